"""Four times the series do not make a task four times as large: they go through in pieces."""

import shutil
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from served_world import DAY, numbers_of

from shelfcast.cold_store import feature_views
from shelfcast.hot_store import generation, generation_reader, partition
from shelfcast_provider.hot_store import hot_store_hook
from shelfcast_provider.hot_store.parity_operator import ParityOperator
from shelfcast_provider.hot_store.publish_generation_operator import PublishGenerationOperator
from shelfcast_provider.serving.forecast_operator import ForecastActiveSeriesOperator

PIECE, FEW, MANY = 50, 150, 600
ON = {"business_date": str(DAY)}


@pytest.fixture
def in_pieces(monkeypatch):
    for module in (generation, generation_reader, partition):
        monkeypatch.setattr(module, "PIECE_ENTITIES", PIECE)
    monkeypatch.setattr(hot_store_hook, "KEYS_A_WRITE", PIECE)


@pytest.fixture
def shop(cold_store, hot_store, artifacts, releases_folder, predictor, frame):
    """Both stores, a release, and how to give the cold store so many series."""
    shutil.copytree(releases_folder / "demand", artifacts / "releases" / "demand")
    feature_views.prepare(cold_store)
    numbers = pd.DataFrame([numbers_of(predictor, frame)], columns=list(predictor.declaration.vector_fields))
    return lambda count: fill(cold_store, predictor.declaration, numbers, count)


def fill(store, demand, numbers, count):
    """Gives so many series the same numbers on the business date, and no others."""
    names = pd.DataFrame({"series_id": [f"item{number:05d}@S{number % 7}" for number in range(count)]})
    names["business_date"] = DAY
    days = []
    for ahead in range(1, demand.horizon + 1):
        covariates = numbers[[f"{name}_{ahead}" for name in demand.ahead_covariates]]
        days.append(covariates.set_axis(demand.ahead_covariates, axis=1).assign(horizon_days=ahead))
    for table, rows in (
        ("FEATURES.DEMAND", numbers[list(demand.as_of_features)].assign(is_active=True)),
        ("FEATURES.DEMAND_AHEAD", pd.concat(days)),
    ):
        store.connection.execute(f"DELETE FROM {table}")
        store.connection.register("names", names)
        store.connection.register("given", rows)
        store.connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM names CROSS JOIN given")
        store.connection.unregister("names")
        store.connection.unregister("given")


def publish():
    context = {"run_id": "a run", "ti": SimpleNamespace(try_number=1)}
    return PublishGenerationOperator(task_id="publish", model="demand", **ON).execute(context)["vectors"]


def parity():
    return ParityOperator(task_id="parity", models=["demand"], **ON).execute({})["demand"]


def forecast():
    return ForecastActiveSeriesOperator(task_id="forecast", model="demand", **ON).execute({"run_id": "a run"})[
        "forecasts"
    ]


def peaks(shop, hot_store, count, tasks):
    """Most bytes that Python holds at a time in each of the tasks, which go through all the series."""
    hot_store.get_conn().flushall()
    shop(count)
    found = []
    for task in tasks:
        tracemalloc.start()
        assert task() == count
        found.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return np.array(found)


def growth(shop, hot_store, tasks):
    peaks(shop, hot_store, PIECE, tasks)  # what is loaded and kept at the first use of anything
    few, many = (peaks(shop, hot_store, count, tasks) for count in (FEW, MANY))
    return many / few


@pytest.fixture
def from_the_cold_store(hot_store, monkeypatch):
    """As if the hot store served another date."""
    behind = SimpleNamespace(current=lambda _: SimpleNamespace(business_date=""))

    def forecast_of_it():
        with monkeypatch.context() as patch:
            patch.setattr(hot_store_hook, "HotStoreHook", lambda: behind)
            return forecast()

    return forecast_of_it


def test_four_times_the_series_take_no_more_memory(shop, hot_store, in_pieces, from_the_cold_store):
    """What is left to grow is the names."""
    found = growth(shop, hot_store, (publish, parity, forecast, from_the_cold_store))
    assert (found < 1.15).all(), found


def test_in_one_piece_they_would_take_more(shop, hot_store, from_the_cold_store):
    """The control: pieces are what keeps the tasks small."""
    found = growth(shop, hot_store, (publish, parity, forecast, from_the_cold_store))
    assert (found > 2).all(), found
