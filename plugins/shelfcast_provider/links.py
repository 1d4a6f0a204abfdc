"""Buttons on tasks that lead to the pages the tasks have made."""

from typing import TYPE_CHECKING, ClassVar

from airflow.sdk import BaseOperator, BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey


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


class GateDecisionLink(PageLink):
    """The gate's numbers and reasons, beside the run that they are about."""

    name = "Gate decision"
    key = "gate_decision_url"


class DriftReportLink(PageLink):
    """Evidently's report on a business date."""

    name = "Drift report"
    key = "drift_report_url"
