"""The gate's decision about the candidate."""

import json
import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from shelfcast.training import declaration as declarations
from shelfcast_provider.links import GateDecisionLink

if TYPE_CHECKING:
    from airflow.sdk import Context

GATE_DECISION = "gate_decision.json"


class GateOperator(BaseOperator):
    """Decides whether the candidate may be released; a hold skips what follows, with its reasons.

    Args:
        model: Name of the model.

    Returns:
        `decision_id`, `outcome`, `reason`, and the candidate's `mlflow_run_id` and `version`.
    """

    operator_extra_links = (GateDecisionLink(),)

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def execute(self, context: "Context") -> dict[str, str]:
        """Reads the candidate's fold forecasts, decides and records it in the cold store and in MLflow."""
        import pandas as pd

        from shelfcast.registry.decisions import Entry, record
        from shelfcast.registry.gate import Outcome, decide, obstacle_of
        from shelfcast.training.evaluation import ChampionState
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook
        from shelfcast_provider.training.mlflow_hook import CANDIDATE, MLflowHook

        hook = MLflowHook()
        version = hook.version(self.model, CANDIDATE)
        if version is None or version.run_id is None:
            raise AirflowSkipException(
                f"There is no candidate of {self.model}; weekly_retraining_{self.model} makes one."
            )
        with tempfile.TemporaryDirectory() as folder:
            parts = Path(hook.download(version.run_id, "candidate", folder))
            about = json.loads((parts / "training.json").read_text())
            metrics = json.loads((parts / "metrics.json").read_text())
            declaration = declarations.load(self.model)
            decision = decide(
                pd.read_parquet(parts / "fold_forecasts.parquet"),
                declaration.gate,
                strongest_simple=metrics["strongest_simple"],
                is_forced=bool(about["is_forced"]),
                obstacle=obstacle_of(about, declaration),
                is_champion_comparable=about.get("champion") != ChampionState.NOT_COMPARABLE,
            )
        decision_id = f"gate__{self.model}__v{version.version}"
        reason = "; ".join(decision.reasons)
        entry = Entry(
            decision_id=decision_id,
            kind="gate",
            model=self.model,
            business_date=date.fromisoformat(about["cutoff"]),
            outcome=decision.outcome.value,
            reason=reason,
            details=decision.as_dict(),
        )
        with ColdStoreHook() as store:
            record(store, entry)
        self._tell_mlflow(hook, version, decision_id, decision.as_dict())
        self.log.info("%s: %s, because %s", decision_id, decision.outcome, reason)
        answer = {"decision_id": decision_id, "outcome": str(decision.outcome), "reason": reason}
        context["ti"].xcom_push(key="decision", value=answer)
        context["ti"].xcom_push(key=GateDecisionLink.key, value=hook.artifact_url(version.run_id, GATE_DECISION))
        if decision.outcome is Outcome.HOLD:
            raise AirflowSkipException(f"The gate holds version {version.version} back: {reason}")
        return {**answer, "mlflow_run_id": version.run_id, "version": str(version.version)}

    def _tell_mlflow(self, hook: Any, version: Any, decision_id: str, details: dict[str, object]) -> None:
        client = hook.get_conn()
        client.set_model_version_tag(self.model, version.version, "gate", str(details["outcome"]))
        client.set_model_version_tag(self.model, version.version, "decision_id", decision_id)
        client.log_dict(version.run_id, details, GATE_DECISION)
