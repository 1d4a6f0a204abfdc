"""The same changes give the same features to the last bit, however many threads build them."""

from contextlib import closing

import pandas as pd
import pytest

from shelfcast.cold_store import feature_views, load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.sources.simulation_settings import SimulationSettings
from shelfcast_local.simulator.simulator import Simulator
from shelfcast_local.year.loop import insert_snapshot

SHOP = Simulator(SimulationSettings(seed=3, stores=4, items=25, history_days=60))


@pytest.fixture(scope="module")
def tables():
    return [(name, rows.to_pandas()) for name, rows in SHOP.history_tables() if rows.num_rows]


def features(tables, *, num_threads):
    store = DuckDBStore(":memory:", num_threads=num_threads)
    with closing(store.connection):
        load_batch.prepare(store)
        for name, rows in tables:
            insert_snapshot(store, name, rows)
        store.run("cold_store/merge_business_dates")
        feature_views.build_partitions(store, SHOP.last_history_date, horizon_days=28)
        return store.connection.execute("SELECT * FROM FEATURES.DEMAND ORDER BY business_date, series_id").df()


def test_one_thread_and_two_build_the_same_features(tables):
    """Means over the series of a store differed in their last digits: a split lies between, and forecasts differ by more."""
    one, two = (features(tables, num_threads=number) for number in (1, 2))
    assert len(one) > 5000
    pd.testing.assert_frame_equal(one, two, check_exact=True)
