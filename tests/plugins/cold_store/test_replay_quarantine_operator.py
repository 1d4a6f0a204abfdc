"""The replay of the quarantine as a task, on the shipped fake of the cold store."""

import pytest

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
def test_the_quarantine_is_replayed_and_what_came_of_it_is_told(capsys):
    assert ReplayQuarantineOperator(task_id="replay").execute({}) == {"merged": 0, "still_bad": 0}
    assert "Merged 0 rows out of quarantine; 0 rows stay there." in capsys.readouterr().out
