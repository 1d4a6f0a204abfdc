"""The gate's decision about the candidate."""

import tempfile
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from shelfcast.model import declaration as declarations
from shelfcast_provider.links import CANDIDATE_LINKS, GATE_DECISION, leave_candidate_pages

if TYPE_CHECKING:
    from airflow.sdk import Context

    from shelfcast.registry.gate import Decision
    from shelfcast_provider.registry.mlflow_hook import MLflowHook


class GateOperator(BaseOperator):
    """Decides whether the candidate may be released; a hold skips what follows, with its reasons.

    Args:
        model: Name of the model.

    Returns:
        `decision_id`, `outcome`, `reason`, and the candidate's `mlflow_run_id` and `version`.
    """

    operator_extra_links = CANDIDATE_LINKS

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def execute(self, context: "Context") -> dict[str, str]:
        """Reads the candidate's fold forecasts, decides and records it in the cold store and in MLflow."""
        from shelfcast.registry.gate import Outcome
        from shelfcast_provider.registry.mlflow_hook import CANDIDATE, MLflowHook

        hook = MLflowHook()
        version = hook.version(self.model, CANDIDATE)
        if version is None or version.run_id is None:
            raise AirflowSkipException(
                f"There is no candidate of {self.model}; weekly_retraining_{self.model} makes one."
            )
        decision, cutoff = self._judge(hook, version.run_id)
        decision_id = f"gate__{self.model}__v{version.version}"
        reason = "; ".join(decision.reasons)
        self._record(decision_id, decision, cutoff)
        self._tell_mlflow(hook, version, decision_id, decision)
        self.log.info("%s: %s, because %s", decision_id, decision.outcome, reason)
        for segment in decision.segments:
            self.log.info("%s", segment)
        self.log.info("%s", decision.figures())
        self.log.info("Kept the decision beside the candidate: %s", hook.artifact_url(version.run_id, GATE_DECISION))
        answer = {"decision_id": decision_id, "outcome": str(decision.outcome), "reason": reason}
        context["ti"].xcom_push(key="decision", value=answer)
        leave_candidate_pages(context["ti"], hook, version.run_id)
        if decision.outcome is Outcome.HOLD:
            raise AirflowSkipException(f"The gate holds version {version.version} back: {reason}")
        return {**answer, "mlflow_run_id": version.run_id, "version": str(version.version)}

    def _judge(self, hook: "MLflowHook", run_id: str) -> "tuple[Decision, date]":
        """The decision about the candidate of an MLflow run, and the run's cutoff."""
        import pandas as pd

        from shelfcast.model import candidate
        from shelfcast.model.candidate import FOLD_FORECASTS, FOLDER, METRICS, MODELS, RECORD, Question
        from shelfcast.registry.candidate_cost import measure
        from shelfcast.registry.gate import decide, obstacle_of
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook
        from shelfcast_provider.registry.champion_evidence import evidence_of, rows_beside_served

        declaration = declarations.load(self.model)
        with tempfile.TemporaryDirectory() as folder:
            parts = Path(hook.download(run_id, FOLDER, folder))
            contents = candidate.contents_of(parts, (METRICS, RECORD))  # a model that is damaged is held by its cost
            record, metrics = candidate.record_of(contents, FOLDER), candidate.metrics_of(contents, FOLDER)
            rows = pd.read_parquet(parts / FOLD_FORECASTS)
            with ColdStoreHook() as store:
                if record.question is not Question.FIRST:
                    rows = rows_beside_served(store, rows, declaration)
                decision = decide(
                    rows,
                    declaration.gate,
                    strongest_simple=metrics["strongest_simple"],
                    cost=measure(*(parts / name for name in MODELS)),
                    evidence=evidence_of(store, parts, record, declaration),
                    is_forced=record.is_forced,
                    obstacle=obstacle_of(record, declaration),
                )
        return decision, record.cutoff

    def _record(self, decision_id: str, decision: "Decision", cutoff: date) -> None:
        from shelfcast.registry.decisions import Entry, record
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

        entry = Entry(
            decision_id=decision_id,
            kind="gate",
            model=self.model,
            business_date=cutoff,
            outcome=decision.outcome.value,
            reason="; ".join(decision.reasons),
            details=decision.as_dict(),
        )
        with ColdStoreHook() as store:
            record(store, entry)

    def _tell_mlflow(self, hook: Any, version: Any, decision_id: str, decision: "Decision") -> None:
        client, outcome = hook.get_conn(), decision.outcome.value
        client.set_model_version_tag(self.model, version.version, "gate", outcome)
        client.set_model_version_tag(self.model, version.version, "gate_question", decision.question.value)
        client.set_model_version_tag(self.model, version.version, "decision_id", decision_id)
        client.update_model_version(
            self.model, version.version, description=f"{outcome}: {'; '.join(decision.reasons)}"
        )
        for name, value in decision.figures().items():
            client.log_metric(version.run_id, name, value)
        client.log_dict(version.run_id, decision.as_dict(), GATE_DECISION)
