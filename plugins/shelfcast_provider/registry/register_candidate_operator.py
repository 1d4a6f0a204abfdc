"""Registers what a training run made as the candidate."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from shelfcast import storage
from shelfcast.errors import ConfigurationError
from shelfcast_provider.links import CANDIDATE_LINKS, GATE_DECISION, leave_candidate_pages

if TYPE_CHECKING:
    from airflow.sdk import Context

    from shelfcast.model.candidate import TrainingRecord
    from shelfcast_provider.registry.mlflow_hook import MLflowHook
    from shelfcast_provider.registry.wandb_hook import WandbHook

WANDB_TAG = "wandb_run_url"
"""Of the MLflow run: the address of the same candidate in W&B."""


class RegisterCandidateOperator(BaseOperator):
    """Uploads a candidate with its pictures and model card as an MLflow run, and makes its model the candidate.

    If there is a connection `wandb`, the candidate is a run of Weights & Biases too. No row is read.

    Args:
        model: Name of the model.
        folder: Folder of the training run (templated).

    Returns:
        `mlflow_run_id` and `version`.
    """

    template_fields: Sequence[str] = ("folder",)
    operator_extra_links = CANDIDATE_LINKS

    def __init__(self, *, model: str, folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.folder = folder

    def execute(self, context: "Context") -> dict[str, str]:
        """Logs and registers; a retry finds the run and the version it made."""
        from shelfcast.model.candidate import FOLDER
        from shelfcast_provider.registry.mlflow_hook import MLflowHook

        wandb = _wandb_if_connected()
        hook = MLflowHook()
        hook.get_conn()
        with storage.local_copy(storage.location(self.folder) / FOLDER) as candidate:
            return self._register(context, hook, wandb, candidate)

    def _register(
        self, context: "Context", hook: "MLflowHook", wandb: "WandbHook | None", candidate: Path
    ) -> dict[str, str]:
        import mlflow

        from shelfcast.model.candidate import Candidate
        from shelfcast_provider.registry.candidate_run import log_candidate
        from shelfcast_provider.registry.frame_input import log_frame

        record = Candidate.read(candidate).record
        with hook.run_for(self.model, context["run_id"]) as run_id:
            log_candidate(hook, run_id, candidate)
            log_frame(hook, run_id, storage.location(self.folder))
            mlflow.set_tag("mlflow.note.content", _note(context, record))
        tags = {name: str(value) for name, value in record.model_dump(mode="json").items()}
        version = hook.register(self.model, run_id, tags)
        leave_candidate_pages(context["ti"], hook, run_id)
        if wandb:
            _log_to_wandb(wandb, hook, run_id, self.model, candidate)
        self.log.info(
            "Registered version %s of %s as the candidate, trained on %s rows up to %s: %s",
            version, self.model, record.rows, record.cutoff, hook.run_url(run_id),
        )  # fmt: skip
        return {"mlflow_run_id": run_id, "version": version}


def _wandb_if_connected() -> "WandbHook | None":
    """Before any work, so that a wrong connection or a missing package leaves no half of it."""
    from shelfcast_provider.registry.wandb_hook import WandbHook

    try:
        return WandbHook.if_connected()
    except ConfigurationError as error:
        raise AirflowFailException(str(error)) from error


def _log_to_wandb(wandb: "WandbHook", mlflow: "MLflowHook", run_id: str, model: str, candidate: Path) -> None:
    """After all that MLflow is given: what W&B does can take nothing from it."""
    from shelfcast_provider.registry.wandb_candidate import describe

    client = mlflow.get_conn()
    name = client.get_run(run_id).info.run_name
    url = wandb.write_run(describe(run_id, name, model, candidate), candidate.parent)
    if url:
        client.set_tag(run_id, WANDB_TAG, url)


def _note(context: "Context", record: "TrainingRecord") -> str:
    """What a person reads at the top of the run's page."""
    run, reason = context["run_id"], record.reason or "its turn"
    return (
        f"Trained by the Airflow run [{run}]({context['ti'].log_url}), reason: {reason}. Cutoff {record.cutoff}, frame "
        f"`{record.frame_digest[:12]}`. The gate's decision follows as `{GATE_DECISION}` among the artifacts."
    )
