"""What serves in the small world: releases of both models, vectors to ask them with, a hot store and a forecaster."""

import json
import secrets
import socket
import subprocess
import threading
import time
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
import uvicorn

from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.deployment import pointer
from shelfcast.deployment.build_bundle import build
from shelfcast.deployment.bundle import load
from shelfcast.hot_store.generation import Manifest, checksum, generation_name
from shelfcast.hot_store.vector import Vector, pack, schema_id
from shelfcast.model.candidate import Candidate, TrainingRecord
from shelfcast.model.matrix import Sample
from shelfcast.serving import releases as following
from shelfcast.serving.predictor import Predictor
from shelfcast.training.backtest.rows import RowsInMemory
from shelfcast.training.folds import regression_folds
from shelfcast.training.recipe import fits_in_process, train_by_folds

DAY = date(2025, 6, 30)


@pytest.fixture(scope="session")
def order_value_parts(order_value, tmp_path_factory):
    """A folder with the files that a candidate of `order_value` is."""
    rng = np.random.default_rng(11)
    count = rng.integers(1, 30, 3000).astype(float)
    mean = rng.gamma(4.0, 10.0, 3000)
    orders = {"total_spent": count * mean, "purchase_count": count, "order_amount": mean * rng.lognormal(0, 0.2, 3000)}
    moments = np.datetime64("2024-01-01") + np.arange(len(count)).astype("timedelta64[h]")
    rows = RowsInMemory(
        sample=Sample.of(orders, order_value),
        business_date=moments,
        moments=moments,
        is_countable=np.ones(len(count), bool),
    )
    how = {"seed": 7, "num_threads": 1}
    folds = list(regression_folds(moments, folds=2))
    model = train_by_folds(rows, order_value, folds, fits_in_process(rows, **how), **how).model
    record = TrainingRecord(model="order_value", cutoff=date(2024, 6, 30), seed=7)
    folder = tmp_path_factory.mktemp("order_value")
    made = Candidate(model=model, record=record, metrics={"wape": 0.2, "level": "order"})
    made.write(folder, fold_forecasts=pd.DataFrame({"actual": [1.0], "mean": [1.0]}))
    return folder


def released(parts, folder):
    """Releases a candidate into its model's folder, which is answered."""
    folder.mkdir(parents=True)
    pointer.swap(folder, build(parts, folder))
    return folder


@pytest.fixture(scope="session")
def releases_folder(parts, tmp_path_factory):
    """The releases of a shop where only demand is forecast so far."""
    return released(parts, tmp_path_factory.mktemp("releases") / "demand").parent


@pytest.fixture(scope="session")
def predictor(releases_folder):
    release = pointer.read(releases_folder / "demand").current
    return Predictor(load(releases_folder / "demand" / release))


def with_model(bundle, **changed):
    """A release whose model is another one in part."""
    return replace(bundle, model=replace(bundle.model, **changed))


def numbers_of(predictor, frame, row=0):
    """A vector's numbers out of the synthetic frame: as-of features, then each covariate for 28 days."""
    chosen = frame.iloc[row * 28 : row * 28 + 28]
    as_of = chosen.iloc[0][list(predictor.declaration.as_of_features)].to_numpy(float)
    ahead = [chosen[name].to_numpy(float) for name in predictor.declaration.ahead_covariates]
    return np.concatenate([as_of, *ahead]).astype(np.float32)


@pytest.fixture
def vectors(predictor, frame):
    return [Vector(business_date=DAY, numbers=numbers_of(predictor, frame, row)) for row in (0, 40, 200)]


class DuckDBHook(DuckDBStore):
    """The cold store's hook as the operators use it."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """One store serves all tasks of a test."""


@pytest.fixture
def cold_store(monkeypatch):
    """The shipped fake of the cold store, in the hook's place."""
    from shelfcast_provider.cold_store import cold_store_hook

    made = DuckDBHook(num_threads=1)
    monkeypatch.setattr(cold_store_hook, "ColdStoreHook", lambda *_: made)
    return made


@pytest.fixture(scope="session")
def hot_store_server(tmp_path_factory):
    """A real server on loopback; its configuration."""
    from shelfcast_local.configuration import Configuration
    from shelfcast_local.services import hot_store

    home = tmp_path_factory.mktemp("hot_store")
    configuration = Configuration.load(home)
    service = hot_store.service(home, configuration)
    process = subprocess.Popen(service.command, stdout=subprocess.DEVNULL)
    assert wait_for(service.is_healthy)
    yield configuration
    process.kill()
    process.wait()


@pytest.fixture
def hot_store(hot_store_server, monkeypatch):
    """The hook of an empty hot store."""
    from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook

    connection = {
        "conn_type": "redis", "host": "127.0.0.1", "port": hot_store_server.ports["hot_store"],
        "password": hot_store_server.passwords["hot_store"], "extra": {"db": 0},
    }  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_HOT_STORE", json.dumps(connection))
    hook = HotStoreHook()
    hook.get_conn().flushall()
    return hook


def publish(hook, declaration, rows, *, business_date=DAY, run="a run"):
    """Publishes rows of numbers by entity as a generation, which is answered."""
    fields = declaration.vector_fields
    values = pack(np.stack(list(rows.values())), business_date=business_date, fields=fields)
    manifest = Manifest(
        model=declaration.name,
        generation=generation_name(business_date, run),
        business_date=business_date.isoformat(),
        count=len(values),
        schema=schema_id(fields),
        checksum=checksum(values),
    )
    hook.publish(manifest, [dict(zip(rows, values, strict=True))], entity_kind=declaration.entity)
    return manifest.generation


@pytest.fixture
def artifacts(tmp_path, monkeypatch):
    """An empty artifacts folder."""
    monkeypatch.setenv("SHELFCAST_ARTIFACTS", str(tmp_path / "artifacts"))
    (tmp_path / "artifacts" / "releases").mkdir(parents=True)
    return tmp_path / "artifacts"


@pytest.fixture
def forecaster(artifacts, hot_store, hot_store_server, monkeypatch):
    """The forecaster itself over the artifacts and the hot store; its application."""
    from forecaster.__main__ import app_of
    from forecaster.settings import ForecasterSettings
    from shelfcast_local.services import hot_store as server

    monkeypatch.setattr(following, "LOOK_EVERY_SECONDS", 0.05)
    token = secrets.token_urlsafe(18)
    app = app_of(
        ForecasterSettings(
            hot_store_url=server.url(hot_store_server),
            releases=artifacts / "releases",
            forecaster_token=token,
            forecaster_port=0,
            stale_after_days="any",
        )
    )
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        connection = {"conn_type": "shelfcast_forecaster", "host": "127.0.0.1", "port": port, "password": token}
        monkeypatch.setenv("AIRFLOW_CONN_FORECASTER", json.dumps(connection))
        running = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
        thread = threading.Thread(target=running.run, args=([listening],))
        thread.start()
        assert wait_for(lambda: running.started)
        yield app
        running.should_exit = True
        thread.join()


def wait_for(condition):
    """Waits up to twenty seconds until a condition holds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not condition():
        time.sleep(0.02)
    return condition()
