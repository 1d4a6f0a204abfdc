"""The backtest's DuckDB makes the features that the cold store makes day by day."""

from datetime import datetime

import numpy as np
import pytest
from features_world import FIRST, HORIZON, LATER_DAYS, SNAPSHOT_DAYS, World, close, day

from shelfcast.cold_store import feature_views
from shelfcast.model import declaration as declarations
from shelfcast.sources.dataset_values import text_literal
from shelfcast.sources.shop_schema import TABLES
from shelfcast.training.backtest.features import build_features
from shelfcast.training.backtest.store import BacktestStore

CUTOFF = day(SNAPSHOT_DAYS + LATER_DAYS - 1)
KEYS = {"FEATURES.DEMAND": ["series_id"], "FEATURES.DEMAND_AHEAD": ["series_id", "horizon_days"]}


def full_world():
    """The shop of the feature tests, with holidays and weather."""
    world = World()
    for number, kind in ((50, "public"), (67, "public"), (68, "school")):
        world.add("holidays", "r", FIRST, region="north", holiday_on=day(number), kind=kind, name=kind)
    for number in range(1, HORIZON + 1):
        known = {"region": "north", "issued_at": close(CUTOFF), "target_date": day(65 + number)}
        world.add("weather_forecasts", "c", CUTOFF, temperature_celsius=1.0 * number, precipitation_mm=0.5, **known)
    for number in range(SNAPSHOT_DAYS + LATER_DAYS):
        world.build(day(number))
    return world


def files_of(world, folder):
    """The shop's tables as a backtest reads them."""
    for name, table in TABLES.items():
        source = f"SELECT {', '.join(table.column_names)} FROM RAW.{name.upper()}_CHANGES"
        if name == "business_days":
            source = "SELECT business_date, closed_at FROM OPERATIONS.BUSINESS_DATES"
        (folder / name).mkdir()
        target = text_literal(str(folder / name / "part.parquet"))
        world.store.connection.execute(f"COPY ({source}) TO {target} (FORMAT parquet)")
    return folder


@pytest.fixture(scope="module")
def world():
    return full_world()


@pytest.fixture(scope="module")
def store(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("backtest")
    declared = declarations.load("demand").model_copy(update={"horizon_days": HORIZON, "origins": 7})
    with BacktestStore(folder / "backtest.duckdb", num_threads=1) as made:
        (folder / "shop").mkdir()
        made.load_history(files_of(world, folder / "shop"))
        build_features(made, CUTOFF, declared, most_rows=1_000_000)
        yield made


def numbers(store, table, on):
    text = f"SELECT * FROM {table} WHERE business_date = ? ORDER BY ALL"
    return store.connection.execute(text, [on]).df().set_index(KEYS[table])


@pytest.mark.parametrize("table", KEYS)
@pytest.mark.parametrize("days_before", [0, 7, 14, 21, 28, 35, 42])
def test_features_of_a_backtest_are_those_of_the_cold_store(world, store, table, days_before):
    on = day(SNAPSHOT_DAYS + LATER_DAYS - 1 - days_before)
    if table == "FEATURES.DEMAND_AHEAD":
        feature_views.ensure_ahead(world.store, [on], horizon_days=HORIZON)
    found, wanted = numbers(store, table, on), numbers(world.store, table, on)
    assert len(wanted)
    assert found.index.equals(wanted.index)
    for name in wanted.select_dtypes(["number", "bool"]):
        np.testing.assert_allclose(found[name].astype(float), wanted[name].astype(float), atol=1e-6, err_msg=name)


def test_the_days_of_a_backtest_close_when_they_did(world, store):
    assert feature_views.closed_at(store, CUTOFF) == feature_views.closed_at(world.store, CUTOFF)
    assert isinstance(feature_views.closed_at(store, CUTOFF), datetime)
