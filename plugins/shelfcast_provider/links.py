"""Buttons on tasks that lead to the pages the tasks have made."""

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator, BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

    from shelfcast_provider.registry.mlflow_hook import MLflowHook


class PageLink(BaseOperatorLink):
    """Leads to the address that the task has left in XCom; no button if it has left none.

    Attributes:
        key: XCom key of the address.
    """

    key: ClassVar[str]

    def get_link(self, operator: BaseOperator, *, ti_key: "TaskInstanceKey") -> str:
        """The address."""
        from airflow.sdk.execution_time.xcom import XCom

        return str(XCom.get_value(ti_key=ti_key, key=self.key) or "")


class MLflowRunLink(PageLink):
    """The run that holds a candidate's metrics, pictures and files."""

    name = "MLflow run"
    key = "mlflow_run_url"


class ModelCardLink(PageLink):
    """What a candidate is for, what it was made of, whom it serves how well."""

    name = "Model card"
    key = "model_card_url"


class GateDecisionLink(PageLink):
    """The gate's numbers and reasons, beside the run that they are about; empty until the gate has decided."""

    name = "Gate decision"
    key = "gate_decision_url"


class DriftReportLink(PageLink):
    """Evidently's report on a business date."""

    name = "Drift report"
    key = "drift_report_url"


GATE_DECISION = "gate_decision.json"
"""File of the decision among the artifacts of a candidate's MLflow run."""

CANDIDATE_LINKS = (MLflowRunLink(), ModelCardLink(), GateDecisionLink())
"""Buttons of each task that is about a candidate."""


def leave_candidate_pages(ti: Any, hook: "MLflowHook", run_id: str) -> None:
    """Leaves the addresses that `CANDIDATE_LINKS` lead to.

    Args:
        ti: The running task.
        hook: Of the MLflow server.
        run_id: The candidate's MLflow run.
    """
    from shelfcast.model.candidate import CARD_PAGE

    ti.xcom_push(key=MLflowRunLink.key, value=hook.run_url(run_id))
    ti.xcom_push(key=ModelCardLink.key, value=hook.artifact_url(run_id, CARD_PAGE))
    ti.xcom_push(key=GateDecisionLink.key, value=hook.artifact_url(run_id, GATE_DECISION))
