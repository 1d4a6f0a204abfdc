"""The business date of a daily DAG's run: from the form if someone filled it in, else from the partition key."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException

BUSINESS_DATE = "{{ params.business_date or dag_run.partition_key }}"
"""What tasks are given, to be rendered: the partition key is the date that the asset event carried."""

FORM = {
    "business_date": Param(
        None,
        type=["null", "string"],
        format="date",
        title="Business date",
        description="The day to do or to do anew. What waits for this DAG then runs for the same day. Empty: the run's "
        "partition key, which a run that was woken by the DAG before it has.",
    )
}


def business_date_in(context: Mapping[str, Any]) -> str | None:
    """What `BUSINESS_DATE` is rendered to, out of a task's or a run's context; each key may be missing."""
    given = (context.get("params") or {}).get("business_date")
    return given or getattr(context.get("dag_run"), "partition_key", None) or None


def emit_business_date(context: Mapping[str, Any], _result: object = None) -> None:
    """Lets what a task emits carry its business date: a run by hand has no partition key that Airflow could take.

    An event without a key wakes none of the daily DAGs.
    """
    for asset in context["task"].outlets:
        context["outlet_events"][asset].add_partitions([business_date_in(context)])


def business_date_of(text: str) -> date:
    """The date in `text`, `YYYY-MM-DD`; a retry cannot help a run that has none, so the task fails for good."""
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise AirflowFailException(
            f"The business date is {text!r}, not YYYY-MM-DD; nothing was done. A daily DAG takes it from the form, or from "
            "the partition key of a run that was woken: trigger it by hand with a business date."
        ) from error
