"""Puts what monitoring found where people look: the page of the drift check, and curves over the business dates."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from shelfcast import storage
from shelfcast_provider.links import DriftReportLink

if TYPE_CHECKING:
    from airflow.sdk import Context

EXPERIMENT = "monitoring"
CURVES = "all business dates"
"""The run that each date adds a point to: MLflow draws a curve of the points of one run."""


class LogReportOperator(BaseOperator):
    """Logs a business date to an MLflow run of its own and to the run of all dates, and leads to the page.

    Args:
        drift: What `DriftCheckOperator` returned (templated).
        error: What `RealisedErrorOperator` returned (templated).

    Returns:
        The MLflow run's id.
    """

    template_fields: Sequence[str] = ("drift", "error")
    operator_extra_links = (DriftReportLink(),)

    def __init__(self, *, drift: Any, error: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.drift = drift
        self.error = error

    def execute(self, context: "Context") -> str:
        """Logs metrics and page; a retry finds the runs it made, and writes the same points."""
        import mlflow

        from shelfcast_provider.registry.mlflow_hook import MLflowHook

        day, metrics = date.fromisoformat(self.drift["business_date"]), metrics_of(self.drift, self.error)
        page = _page_of(self.drift)
        if not page and not metrics:
            raise AirflowSkipException(
                "There is no reference to compare with and no forecast to score yet: nothing to log."
            )
        hook = MLflowHook()
        hook.get_conn()
        with hook.run_for(EXPERIMENT, CURVES) as run_id:
            hook.log_day(run_id, day, metrics)
        with hook.run_for(EXPERIMENT, context["run_id"]) as run_id:
            hook.log_day(run_id, day, metrics)
            mlflow.set_tag("business_date", day.isoformat())
            if page:
                with storage.local_copy(page.parent, [page.name]) as folder:
                    mlflow.log_artifact(str(folder / page.name))
        address = hook.artifact_url(run_id, page.name) if page else hook.run_url(run_id)
        context["ti"].xcom_push(key=DriftReportLink.key, value=address)
        self.log.info("Logged %s metrics and %s of %s to MLflow: %s", len(metrics), page or "no page", day, address)
        return run_id


def metrics_of(drift: Mapping[str, Any], error: Mapping[str, Any]) -> dict[str, float]:
    """What is drawn over the business dates; what could not be judged or scored has no point.

    Returns:
        `drifted_share` of the judged quantities, 0 to 1; of each score `wape`, `bias` and `strongest_simple_wape`, with how
        many days ahead its last day was.
    """
    judged = len(drift["judged"])
    found = {"drifted_share": len(drift["drifted"]) / judged} if judged else {}
    scored_on = date.fromisoformat(error["business_date"])
    for score in error["scores"]:
        days = (scored_on - date.fromisoformat(score["vintage"])).days
        numbers = {name: score[name] for name in ("wape", "bias", "strongest_simple_wape")}
        found |= {f"{name}_{days}_days": value for name, value in numbers.items() if value is not None}
    return found


def _page_of(drift: Mapping[str, Any]) -> storage.Location | None:
    if not drift["page"]:
        return None
    path = storage.location(unquote(drift["page"]))
    if not path.is_file():
        raise AirflowFailException(f"{path} is not there. Clear the drift task, which writes it.")
    return path
