"""The record of releases on the shipped fake of the cold store."""

from dataclasses import replace
from datetime import date

import pytest

from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.deployment.release_log import ReleaseEntry, ReleaseOutcome, record
from shelfcast.errors import BundleError

ENTRY = ReleaseEntry(
    release_id="demand-20240630-0123456789",
    run_id="manual__1",
    model="demand",
    version="3",
    mlflow_run_id="abc",
    previous=None,
    outcome=ReleaseOutcome.ROLLED_BACK,
    reason="it's late: q05 = 3 is not 'a quantile'; DROP",
)


@pytest.fixture
def store():
    return DuckDBStore(num_threads=1)


def rows(store, columns="release_id, run_id, previous, outcome, reason, cutoff"):
    return store.connection.execute(f"SELECT {columns} FROM OPERATIONS.RELEASES ORDER BY run_id").fetchall()


def test_a_second_try_of_a_run_replaces_what_the_first_left(store):
    record(store, ENTRY)
    for _ in range(2):
        record(store, replace(ENTRY, outcome=ReleaseOutcome.PROMOTED, previous="demand-20240623-0123456789"))
    record(store, replace(ENTRY, run_id="manual__2"))
    day = date(2024, 6, 30)
    assert rows(store) == [
        (ENTRY.release_id, "manual__1", "demand-20240623-0123456789", "promoted", ENTRY.reason, day),
        (ENTRY.release_id, "manual__2", None, "rolled_back", ENTRY.reason, day),
    ]
    assert rows(store, "decided_at IS NOT NULL, model, version, mlflow_run_id")[0] == (True, "demand", "3", "abc")


def test_what_is_no_release_is_not_recorded(store):
    with pytest.raises(BundleError, match="no release id"):
        record(store, replace(ENTRY, release_id="demand"))
