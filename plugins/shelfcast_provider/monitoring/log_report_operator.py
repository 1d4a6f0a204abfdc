"""Puts the drift check's page where people can open it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from shelfcast_provider.links import DriftReportLink

if TYPE_CHECKING:
    from airflow.sdk import Context

EXPERIMENT = "monitoring"


class LogReportOperator(BaseOperator):
    """Logs a page to an MLflow run of its own, and leads there.

    Args:
        page: URI of the page, or nothing if there was none to write (templated).

    Returns:
        The MLflow run's id.
    """

    template_fields: Sequence[str] = ("page",)
    operator_extra_links = (DriftReportLink(),)

    def __init__(self, *, page: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.page = page

    def execute(self, context: "Context") -> str:
        """Logs it; a retry finds the run it made."""
        import mlflow

        from shelfcast_provider.training.mlflow_hook import MLflowHook

        if self.page in ("", "None"):
            raise AirflowSkipException("There is no reference to compare with yet, so there is no report.")
        path = Path(unquote(urlparse(self.page).path))
        if not path.is_file():
            raise AirflowFailException(f"{path} is not there. Clear the drift task, which writes it.")
        hook = MLflowHook()
        hook.get_conn()
        with hook.run_for(EXPERIMENT, context["run_id"]) as run_id:
            mlflow.log_artifact(str(path))
        address = hook.artifact_url(run_id, path.name)
        context["ti"].xcom_push(key=DriftReportLink.key, value=address)
        self.log.info("Logged %s to MLflow: %s", path, address)
        return run_id
