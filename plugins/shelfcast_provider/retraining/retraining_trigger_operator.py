"""Starts the retraining that the governor asked for, once."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunLink, TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

if TYPE_CHECKING:
    from airflow.sdk import Context

LONGEST_REASON = 500
"""Characters that the retraining's form takes."""


def retraining_dag(model: str) -> str:
    """Id of the DAG that trains a model."""
    return f"weekly_retraining_{model}"


class RetrainingLink(TriggerDagRunLink):
    """Leads to the retraining that was started; empty, and so not shown, when the governor held."""

    name = "Retraining"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The page of the run."""
        return super().get_link(operator, ti_key=ti_key) if operator.trigger_run_id else ""


class RetrainingTriggerOperator(TriggerDagRunOperator):
    """Starts one run of the model's retraining for a request; skips, with the governor's reason, when it holds.

    The run's id is made of the decision's id, so however often this runs for one cause, one retraining starts. The run
    belongs to a cause, not to a date, and has neither logical date nor partition key.

    Args:
        decision: What `GovernorOperator` returned (templated).
    """

    template_fields: Sequence[str] = ("decision",)
    operator_extra_links = [RetrainingLink()]  # noqa: RUF012 - as Airflow declares it

    def __init__(self, *, decision: Any, **kwargs: Any) -> None:
        super().__init__(trigger_dag_id="", logical_date=None, skip_when_already_exists=True, **kwargs)
        self.decision = decision

    def execute(self, context: "Context") -> None:
        """Starts the run, or skips."""
        decision = _checked(self.decision)
        if decision["outcome"] != "request":
            raise AirflowSkipException(decision["reason"])
        self.trigger_dag_id = retraining_dag(decision["model"])
        self.trigger_run_id = f"retraining_request__{decision['decision_id']}"
        reason = f"{decision['decision_id']}: {decision['reason']}"
        self.conf = {"reason": reason[:LONGEST_REASON]}
        self.log.info("Asked for the run %s of %s: %s", self.trigger_run_id, self.trigger_dag_id, reason)
        super().execute(context)


def _checked(decision: object) -> Mapping[str, str]:
    needed = {"outcome", "decision_id", "reason", "model"}
    if not isinstance(decision, Mapping) or not needed <= set(decision):
        raise AirflowFailException(
            f"{decision!r} is no decision of the governor: it needs {', '.join(sorted(needed))}. Clear the "
            "governor's task."
        )
    return decision
