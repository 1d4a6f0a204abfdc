"""The replay of the quarantine as a task, on the shipped fake of the cold store."""

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from shelfcast.cold_store import load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast_provider.cold_store import cold_store_hook
from shelfcast_provider.cold_store.replay_quarantine_operator import ReplayQuarantineOperator


class DuckDBHook(DuckDBStore):
    """The cold store's hook as the operators use it."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """One store serves all tasks of a test."""


@pytest.fixture
def store(monkeypatch):
    made = DuckDBHook(num_threads=1)
    load_batch.prepare(made)
    monkeypatch.setattr(cold_store_hook, "ColdStoreHook", lambda: made)
    return made


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("said", [True, "True"])
def test_the_quarantine_is_replayed_when_someone_asks(said):
    found = ReplayQuarantineOperator(task_id="replay", is_asked_for=said).execute({})
    assert found == {"merged": 0, "still_bad": 0}


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("said", [False, "False"])
def test_the_quarantine_is_left_alone_when_nobody_asks(said):
    with pytest.raises(AirflowSkipException, match="replay_quarantine"):
        ReplayQuarantineOperator(task_id="replay", is_asked_for=said).execute({})
