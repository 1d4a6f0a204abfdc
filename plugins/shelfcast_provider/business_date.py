"""The business date as it comes out of a template."""

from datetime import date

from airflow.sdk.exceptions import AirflowFailException


def business_date_of(text: str) -> date:
    """The date in `text`, `YYYY-MM-DD`; a retry cannot help a run that has none, so the task fails for good."""
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise AirflowFailException(
            f"The business date is {text!r}, not YYYY-MM-DD; nothing was done. A daily DAG takes it from its run's "
            "partition key: trigger it by hand with the date as partition key."
        ) from error
