"""Registers what a training run made as the candidate."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from shelfcast_provider.links import MLflowRunLink

if TYPE_CHECKING:
    from airflow.sdk import Context


class RegisterCandidateOperator(BaseOperator):
    """Writes an MLflow run with params, metrics, pictures and files, and makes its model the candidate.

    Args:
        model: Name of the model.
        folder: Folder of the training run (templated).

    Returns:
        `mlflow_run_id` and `version`.
    """

    template_fields: Sequence[str] = ("folder",)
    operator_extra_links = (MLflowRunLink(),)

    def __init__(self, *, model: str, folder: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.folder = folder

    def execute(self, context: "Context") -> dict[str, str]:
        """Logs and registers; a retry finds the run and the version it made."""
        import mlflow

        from shelfcast_provider.training.mlflow_hook import MLflowHook

        hook, folder = MLflowHook(), Path(self.folder)
        hook.get_conn()
        about = json.loads((folder / "candidate" / "training.json").read_text())
        with hook.run_for(self.model, context["run_id"]) as run_id:
            self._log(folder, about)
            mlflow.set_tag("mlflow.note.content", _note(context, about))
        tags = {name: str(value) for name, value in about.items()}
        version = hook.register(self.model, run_id, tags)
        context["ti"].xcom_push(key=MLflowRunLink.key, value=hook.run_url(run_id))
        return {"mlflow_run_id": run_id, "version": version}

    def _log(self, folder: Path, about: dict[str, Any]) -> None:
        import mlflow
        import pandas as pd

        from shelfcast.training import declaration as declarations
        from shelfcast.training.frame import FRAME
        from shelfcast.training.plots import draw
        from shelfcast.training.rows import model_features

        declaration = declarations.load(self.model)
        candidate = folder / "candidate"
        metrics = json.loads((candidate / "metrics.json").read_text())
        mlflow.log_params({**declaration.fit.model_dump(), "seed": about["seed"], "cutoff": about["cutoff"]})
        mlflow.log_metrics({name: value for name, value in metrics.items() if isinstance(value, int | float)})
        mlflow.set_tags({"frame_digest": about["frame_digest"], "reason": about["reason"], "level": metrics["level"]})
        mlflow.log_dict({"features": list(model_features(declaration))}, "features.json")
        frame = pd.read_parquet(folder / FRAME).head(1000)
        source = mlflow.data.pandas_dataset.from_pandas(
            frame, source=str(folder / FRAME), name=f"{self.model}_frame", digest=about["frame_digest"][:32]
        )
        mlflow.log_input(source, context="training")
        mlflow.log_artifacts(str(candidate), "candidate")
        draw(pd.read_parquet(candidate / "fold_forecasts.parquet"), folder / "plots")
        mlflow.log_artifacts(str(folder / "plots"), "plots")


def _note(context: "Context", about: dict[str, Any]) -> str:
    """What a person reads at the top of the run's page."""
    run, reason = context["run_id"], about["reason"] or "its turn"
    return (
        f"Trained by the Airflow run [{run}]({context['ti'].log_url}), reason: {reason}. Cutoff {about['cutoff']}, frame "
        f"`{about['frame_digest'][:12]}`. The gate's decision follows as `gate_decision.json` among the artifacts."
    )
