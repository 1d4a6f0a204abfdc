"""What the tests of the cold store share."""

import pytest

from shelfcast.cold_store import load_batch
from shelfcast.sources import shop_schema


@pytest.fixture
def two_tables(monkeypatch):
    """Only the tables that the test fills: the statements are the same for each."""
    kept = {name: shop_schema.TABLES[name] for name in ("orders", "business_days")}
    monkeypatch.setattr(load_batch, "TABLES", kept)
