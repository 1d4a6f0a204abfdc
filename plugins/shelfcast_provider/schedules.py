"""When Shelfcast's DAGs wake, and what all of their tasks have in common."""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import Asset, AssetAll, IdentityMapper, PartitionedAssetTimetable

from shelfcast_provider.alerts import failure_notifier, run_failure_notifier
from shelfcast_provider.business_date import FORM, emit_business_date

START = datetime(2024, 1, 1, tzinfo=UTC)
"""Before every business date that is processed; no DAG catches up, so its distance to today does not matter."""

COLD_STORE_WRITERS = "cold_store_writers"
"""Pool of one slot: a cold store table has one writer at a time."""


def on_business_date(assets: Asset | AssetAll) -> PartitionedAssetTimetable:
    """Wakes once for each business date that all these assets have an event for."""
    return PartitionedAssetTimetable(assets=assets, default_partition_mapper=IdentityMapper())


def dag_settings(runbook: str | None, **changes: Any) -> dict[str, Any]:
    """Arguments that every DAG of the loop shares; `changes` override them."""
    return {
        "doc_md": runbook,
        "start_date": START,
        "catchup": False,
        "max_active_runs": 1,
        "dagrun_timeout": timedelta(hours=6),
        "on_failure_callback": run_failure_notifier(),
        "default_args": {
            "owner": "shelfcast",
            "retries": 2,
            "retry_delay": timedelta(seconds=20),
            "execution_timeout": timedelta(hours=2),
            "on_failure_callback": failure_notifier(),
        },
        **changes,
    }


def daily_settings(runbook: str | None, **changes: Any) -> dict[str, Any]:
    """Arguments of a DAG whose run is about one business date: its form asks for it, and what it emits carries it."""
    settings = dag_settings(runbook, params=FORM, **changes)
    return {**settings, "default_args": {**settings["default_args"], "post_execute": emit_business_date}}
