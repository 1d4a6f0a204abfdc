"""Registers what a training run made as the candidate."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from shelfcast_provider.links import CANDIDATE_LINKS, GATE_DECISION, leave_candidate_pages

if TYPE_CHECKING:
    from airflow.sdk import Context


class RegisterCandidateOperator(BaseOperator):
    """Writes an MLflow run with params, metrics, pictures, files and a model card, and makes its model the candidate.

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
        import mlflow

        from shelfcast_provider.training.candidate_run import log_candidate
        from shelfcast_provider.training.mlflow_hook import MLflowHook

        hook, folder = MLflowHook(), Path(self.folder)
        hook.get_conn()
        about = json.loads((folder / "candidate" / "training.json").read_text())
        with hook.run_for(self.model, context["run_id"]) as run_id:
            log_candidate(hook, run_id, self.model, folder)
            mlflow.set_tag("mlflow.note.content", _note(context, about))
        tags = {name: str(value) for name, value in about.items()}
        version = hook.register(self.model, run_id, tags)
        leave_candidate_pages(context["ti"], hook, run_id)
        return {"mlflow_run_id": run_id, "version": version}


def _note(context: "Context", about: dict[str, Any]) -> str:
    """What a person reads at the top of the run's page."""
    run, reason = context["run_id"], about["reason"] or "its turn"
    return (
        f"Trained by the Airflow run [{run}]({context['ti'].log_url}), reason: {reason}. Cutoff {about['cutoff']}, frame "
        f"`{about['frame_digest'][:12]}`. The gate's decision follows as `{GATE_DECISION}` among the artifacts."
    )
