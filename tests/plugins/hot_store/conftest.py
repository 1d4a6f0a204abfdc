"""A real hot store and the shipped fake of the cold one."""

import pytest
from served_world import cold_store, hot_store, hot_store_server

from shelfcast_provider.hot_store import hot_store_hook

__all__ = ["cold_store", "hot_store", "hot_store_server"]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """So that five vectors are written in three steps."""
    monkeypatch.setattr(hot_store_hook, "KEYS_A_WRITE", 2)
