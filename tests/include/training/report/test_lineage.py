"""The tables behind a feature table are those without which it cannot be filled."""

import duckdb
import pytest

from shelfcast.cold_store import feature_views, load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore, translated
from shelfcast.cold_store.raw_tables import changes_of
from shelfcast.cold_store.statements import BOUND_VALUE, statement
from shelfcast.sources.shop_schema import TABLES
from shelfcast.training.report.lineage import raw_tables


@pytest.fixture(scope="module")
def connection():
    """A cold store without a row."""
    store = DuckDBStore()
    load_batch.prepare(store)
    feature_views.prepare(store)
    return store.connection


def can_do_without(table, text, connection):
    connection.begin()
    connection.execute(f"DROP TABLE {table}")
    try:
        connection.execute(f"EXPLAIN {translated(text)}", dict.fromkeys(BOUND_VALUE.findall(text)))
    except duckdb.CatalogException:
        return False
    finally:
        connection.rollback()
    return True


@pytest.mark.parametrize(
    ("table", "filled_by"),
    [
        ("FEATURES.ORDER_TOTAL", ["order_total"]),
        ("FEATURES.DEMAND", ["daily_sales", "demand"]),
        ("FEATURES.DEMAND_AHEAD", ["daily_sales", "demand", "demand_ahead"]),
    ],
)
def test_lineage_goes_back_to_the_shops_tables(table, filled_by, connection):
    texts = [statement(f"cold_store/insert_{name}") for name in filled_by]
    tables = map(changes_of, TABLES.values())
    needed = {name for name in tables if not all(can_do_without(name, text, connection) for text in texts)}
    assert set(raw_tables(table)) == needed
