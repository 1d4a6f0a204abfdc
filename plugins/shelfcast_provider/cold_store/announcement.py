"""Which business dates to announce, and how."""

import logging
from collections.abc import Sequence
from typing import Any

CONSUMER = "feature_views"
ACTIVE = ["queued", "running"]
LOGGER = logging.getLogger(__name__)


def due_dates(business_dates: Sequence[str], ti: Any) -> list[str]:
    """The dates that a batch completed, behind older ones whose announcement nobody took up.

    Airflow drops the events of a DAG that is paused or not parsed yet. While a run of the consumer waits or runs,
    nobody can tell a date that was dropped from one whose turn is still to come, so the next batch looks again.

    Args:
        business_dates: The dates of the batch, ISO text.
        ti: The running task.
    """
    from shelfcast.cold_store import feature_views
    from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

    if ti.get_dr_count(dag_id=CONSUMER, states=ACTIVE):
        return list(business_dates)
    with ColdStoreHook() as store:
        feature_views.prepare(store)
        unprocessed = store.fetch("cold_store/overdue_business_dates")["business_date"]
    overdue = [date for date in (f"{day:%Y-%m-%d}" for day in unprocessed) if date not in business_dates]
    if overdue:
        LOGGER.warning("%s has no run that succeeded of %s: announced again.", CONSUMER, ", ".join(overdue))
    return [*overdue, *business_dates]


def announce_in_order(event: Any, dates: Sequence[str]) -> None:
    """Emits one partition a date; their runs begin in the order of `dates`.

    Args:
        event: What the task emits of the asset.
        dates: ISO text.
    """
    event.add_partitions(list(dates))
    event.partition_keys = dict.fromkeys(dates)  # Airflow's own is a set: it would emit them in any order
    LOGGER.info("Announced %s business dates: %s.", len(dates), ", ".join(dates) or "none is complete")
