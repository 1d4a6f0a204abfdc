"""The batch forecast and the forecaster's hook against a real hot store and the shipped fake of the cold one."""

import asyncio
import json
import shutil
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import permutations
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from served_world import DAY, numbers_of, publish

from forecaster.__main__ import app_of, main
from forecaster.redis_reader import RedisReader
from forecaster.settings import ForecasterSettings
from shelfcast.cold_store import feature_views
from shelfcast.deployment import bundle, pointer
from shelfcast.errors import ConfigurationError, HotStoreError, PostConditionFailed, ReleaseError
from shelfcast.hot_store import generation, partition
from shelfcast_provider.hot_store.parity_operator import ParityOperator
from shelfcast_provider.hot_store.publish_generation_operator import PublishGenerationOperator
from shelfcast_provider.serving.forecast_operator import ForecastActiveSeriesOperator
from shelfcast_provider.serving.forecaster_hook import ForecasterHook

ACTIVE = ["bread@S1", "milk@S1", "milk@S2", "fresh@S2", "missing@S3"]


@pytest.fixture
def release(artifacts, releases_folder):
    """Folder of the releases of demand, one of which serves."""
    return shutil.copytree(releases_folder / "demand", artifacts / "releases" / "demand")


@pytest.fixture
def series(predictor, frame):
    rows = {name: numbers_of(predictor, frame, 30 * number) for number, name in enumerate(ACTIVE[:3])}
    return rows | {"fresh@S2": np.full_like(rows["milk@S1"], np.nan)}


@pytest.fixture
def shop(cold_store, hot_store, demand, series):
    """Both stores as a refresh of the business date leaves them; the hot one lacks an active series."""
    cold_store.run("cold_store/create_demand")
    rows = pd.DataFrame({"business_date": DAY, "series_id": [*ACTIVE, "gone@S1"], "is_active": [True] * 5 + [False]})
    insert(cold_store, "FEATURES.DEMAND", rows)
    publish(hot_store, demand, series)
    return cold_store


def forecast(business_date=DAY, run_id="a run"):
    operator = ForecastActiveSeriesOperator(task_id="forecast", model="demand", business_date=str(business_date))
    return operator.execute({"run_id": run_id})


def ledger(store, columns="series_id, horizon_days, mean, reason_code, run_id"):
    return store.connection.execute(f"SELECT {columns} FROM FORECASTS.LEDGER ORDER BY ALL").fetchall()


def test_every_active_series_is_in_the_ledger_with_a_forecast_or_a_reason(shop, release, hot_store):
    answer = forecast()
    assert answer == {
        "release_id": pointer.read(release).current,
        "generation": hot_store.current("demand").generation,
        "forecasts": 3,
        "reasons": 2,
        "rows": 5 * 28,
    }
    codes = {(series, code) for series, code in ledger(shop, "series_id, reason_code")}
    assert codes == {
        ("bread@S1", None), ("milk@S1", None), ("milk@S2", None),
        ("fresh@S2", "no_history"), ("missing@S3", "unknown_series"),
    }  # fmt: skip
    assert all(mean > 0 for _, _, mean, code, _ in ledger(shop) if code is None)


@pytest.mark.parametrize("value", ["'inf'", "'-inf'", "'nan'", "NULL"])
@pytest.mark.parametrize("column", ["mean", "q95"])
def test_a_forecast_that_is_no_number_breaks_the_contract(shop, release, value, column):
    forecast()
    one = "series_id = 'milk@S1' AND horizon_days = 9"
    shop.connection.execute(f"UPDATE FORECASTS.LEDGER SET {column} = {value}::DOUBLE WHERE {one}")
    counted = shop.fetch("serving/count_vintage", {"business_date": DAY}).iloc[0]
    assert (counted["forecasts"], counted["reasons"], counted["row_count"]) == (2, 2, 5 * 28)


def test_a_second_run_replaces_the_vintage_and_adds_nothing(shop, release):
    forecast()
    first = ledger(shop, "series_id, horizon_days, mean, reason_code")
    assert forecast(run_id="another run")["rows"] == 5 * 28
    assert ledger(shop, "series_id, horizon_days, mean, reason_code") == first
    assert ledger(shop, "DISTINCT run_id") == [("another run",)]


def test_batch_and_online_forecasts_are_the_same(shop, release, forecaster, demand):
    forecast()
    online = ForecasterHook().ask(demand, "milk@S2")["forecasts"]
    batch = ledger(shop, "horizon_days, mean, q05, q95, sales_date, series_id")
    assert [row[:4] for row in batch if row[5] == "milk@S2"] == [
        (day["horizon_day"], pytest.approx(day["mean"]), pytest.approx(day["q05"]), pytest.approx(day["q95"]))
        for day in online
    ]


def test_before_the_first_release_there_is_nothing_to_forecast_with(shop, artifacts):
    with pytest.raises(AirflowSkipException, match="the first one is still to come"):
        forecast()


def test_an_empty_hot_store_fails(shop, hot_store, release):
    hot_store.get_conn().flushall()
    with pytest.raises(HotStoreError, match="holds no generation of demand yet"):
        forecast()


DAYS = [DAY + timedelta(days=number) for number in range(3)]


@pytest.fixture
def closed_together(cold_store, demand, series):
    """The cold store after an outage: three dates with features, each with levels of its own."""
    feature_views.prepare(cold_store)
    for offset, day in enumerate(DAYS):
        numbers = pd.DataFrame(list(series.values()), columns=list(demand.vector_fields)) * (1 + offset)
        rows = numbers[list(demand.as_of_features)].assign(series_id=list(series), business_date=day, is_active=True)
        insert(cold_store, "FEATURES.DEMAND", rows)
        for ahead in range(1, demand.horizon + 1):
            covariates = {name: numbers[f"{name}_{ahead}"].to_numpy() for name in demand.ahead_covariates}
            keys = {"series_id": list(series), "business_date": day, "horizon_days": ahead}
            insert(cold_store, "FEATURES.DEMAND_AHEAD", pd.DataFrame(keys | covariates))
    return cold_store


def insert(store, table, rows):
    store.connection.register("given", rows)
    store.connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM given")


def refresh(day):
    """A run of feature_cache_refresh."""
    about = {"run_id": f"refresh of {day}", "ti": SimpleNamespace(try_number=1)}
    PublishGenerationOperator(task_id="publish", model="demand", business_date=str(day)).execute(about)
    return ParityOperator(task_id="parity", models=["demand"], business_date=str(day)).execute({})


def vintages(store):
    return ledger(store, "business_date, series_id, horizon_days, mean, q05, q95, reason_code")


@pytest.mark.parametrize("order", list(permutations(DAYS)), ids=lambda order: "-".join(str(day.day) for day in order))
def test_dates_that_close_together_leave_a_vintage_each_in_whatever_order(closed_together, hot_store, release, order):
    for day in DAYS:
        refresh(day)
        assert forecast(day)["generation"] == hot_store.current("demand").generation
    one_by_one = vintages(closed_together)
    closed_together.connection.execute("DELETE FROM FORECASTS.LEDGER")
    hot_store.get_conn().flushall()
    for day in order:
        refresh(day)
    assert [forecast(day)["forecasts"] for day in order] == [3, 3, 3]
    assert hot_store.current("demand").business_date == str(DAYS[-1])
    assert vintages(closed_together) == one_by_one
    assert {day for day, *_ in one_by_one} == set(DAYS)


def test_a_date_that_the_hot_store_does_not_serve_is_forecast_from_the_cold_one(closed_together, hot_store, release):
    refresh(DAYS[1])
    for day in (DAYS[0], DAYS[2]):
        assert forecast(day)["generation"] == "cold_store"
    assert ledger(closed_together, "DISTINCT generation") == [("cold_store",)]


@pytest.fixture
def in_twos(monkeypatch):
    for module in (generation, partition):
        monkeypatch.setattr(module, "PIECE_ENTITIES", 2)


def test_from_the_hot_store_the_same_vintage_is_made_in_pieces(shop, release, request):
    """The last piece holds no forecast, only reasons."""
    whole = forecast()
    rows = vintages(shop)
    request.getfixturevalue("in_twos")
    assert forecast() == whole
    assert vintages(shop) == rows


def test_from_the_cold_store_the_same_vintage_is_made_in_pieces(closed_together, hot_store, release, request):
    refresh(DAYS[1])
    whole = forecast(DAYS[0])
    rows = vintages(closed_together)
    request.getfixturevalue("in_twos")
    assert forecast(DAYS[0]) == whole
    assert whole["generation"] == "cold_store"
    assert vintages(closed_together) == rows


def lose(store, monkeypatch, statement):
    """From now on all but the first batch of a statement are lost."""
    whole = type(store).batches

    def batches(self, name, *asked, **names):
        found = list(whole(self, name, *asked, **names))
        return found[:1] if name == statement else found

    monkeypatch.setattr(type(store), "batches", batches)


def test_a_piece_of_active_series_that_is_lost_breaks_the_contract(shop, release, in_twos, monkeypatch):
    lose(shop, monkeypatch, "serving/active_series")
    with pytest.raises(PostConditionFailed, match="5 series are active; the ledger holds 1 with forecasts and 1 with"):
        forecast()


def test_a_piece_of_vectors_that_is_lost_keeps_the_vintage(closed_together, hot_store, release, in_twos, monkeypatch):
    refresh(DAYS[1])
    forecast(DAYS[0])
    rows = vintages(closed_together)
    lose(closed_together, monkeypatch, "hot_store/demand_ahead_vectors")
    with pytest.raises(HotStoreError, match="2 of 4 vectors of demand for 2025-06-30 came out of the cold store"):
        forecast(DAYS[0], run_id="another run")
    assert vintages(closed_together) == rows


def test_a_vector_that_the_hot_store_lost_keeps_the_vintage(shop, release, hot_store, in_twos):
    forecast()
    rows = ledger(shop)
    lost = hot_store.get_conn().keys("fs:{S1}:demand:*:bread@S1")
    assert hot_store.get_conn().unlink(*lost) == 1
    with pytest.raises(HotStoreError, match=r"holds 3 of 4 vectors.*without a vector: bread@S1\. Nothing was read"):
        forecast(run_id="another run")
    assert ledger(shop) == rows


def test_a_generation_that_is_read_in_part_is_held_whole_against_its_manifest(shop, release, hot_store, in_twos):
    """A series that is not active any more counts too, though nothing is forecast of it."""
    shop.connection.execute("UPDATE FEATURES.DEMAND SET is_active = FALSE WHERE series_id = 'bread@S1'")
    assert forecast()["forecasts"] == 2
    (key,) = hot_store.get_conn().keys("fs:{S1}:demand:*:bread@S1")
    hot_store.get_conn().setrange(key, 20, b"!")
    with pytest.raises(HotStoreError, match=r"damaged: bread@S1\."):
        forecast()


def test_a_release_that_knows_later_days_does_not_replace_a_vintage_but_makes_a_missing_one(
    closed_together, hot_store, release, monkeypatch
):
    refresh(DAYS[0])
    forecast(DAYS[0])
    kept = vintages(closed_together)
    monkeypatch.setattr(bundle, "cutoff_of", lambda _: DAYS[1])
    with pytest.raises(AirflowSkipException, match=r"knows days up to 2025-07-01.*vintage of 2025-06-30 stays"):
        forecast(DAYS[0])
    assert vintages(closed_together) == kept
    closed_together.connection.execute("DELETE FROM FORECASTS.LEDGER")
    assert forecast(DAYS[0])["forecasts"] == 3


IN_HINDSIGHT = "SELECT DISTINCT business_date FROM FORECASTS.LEDGER WHERE release_cutoff > business_date"


def test_a_vintage_says_whether_its_release_knew_later_days(closed_together, hot_store, release, monkeypatch):
    refresh(DAYS[0])
    forecast(DAYS[0])
    cutoff = bundle.cutoff_of(pointer.read(release).current)
    monkeypatch.setattr(bundle, "cutoff_of", lambda _: DAYS[2])
    for day in (DAYS[1], DAYS[2]):  # a day that was missed, and the last one that the next release knows
        forecast(day)
    found = dict(ledger(closed_together, "DISTINCT business_date, release_cutoff"))
    assert found == {DAYS[0]: cutoff, DAYS[1]: DAYS[2], DAYS[2]: DAYS[2]}
    assert closed_together.connection.execute(IN_HINDSIGHT).fetchall() == [(DAYS[1],)]


def test_a_ledger_of_before_gets_the_column_and_keeps_its_rows(closed_together, hot_store, release):
    refresh(DAYS[1])
    forecast(DAYS[0])
    kept = vintages(closed_together)
    closed_together.connection.execute("ALTER TABLE FORECASTS.LEDGER DROP COLUMN release_cutoff")
    forecast(DAYS[1])
    assert [row for row in vintages(closed_together) if row[0] == DAYS[0]] == kept
    assert dict(ledger(closed_together, "DISTINCT business_date, release_cutoff"))[DAYS[0]] is None


def test_a_date_without_active_series_fails_for_good(shop, release):
    with pytest.raises(AirflowFailException, match="No series is active on 2025-06-29"):
        forecast(DAY - timedelta(days=1))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [("current.json", "{", "does not say which release"), ("{release}/metrics.json", "{}", "is not what was released")],
)
def test_a_damaged_release_fails_for_good(shop, release, name, content, says):
    (release / name.format(release=pointer.read(release).current)).write_text(content)
    with pytest.raises(AirflowFailException, match=says):
        forecast()


def test_a_run_without_a_business_date_forecasts_nothing(shop, release):
    with pytest.raises(AirflowFailException, match="partition key"):
        forecast("None")


def test_a_third_model_is_read_by_its_declaration(hot_store, hot_store_server, order_value):
    from shelfcast_local.services.hot_store import url

    third = order_value.model_copy(update={"name": "basket_size", "as_of_features": ("purchase_count",)})
    generation = publish(hot_store, third, {"17": np.array([3.0], dtype=np.float32)})

    async def read(name):
        return await RedisReader(url(hot_store_server)).read(third, name)

    found, vector = asyncio.run(read("17"))
    assert (found, vector.business_date, vector.numbers.tolist()) == (generation, DAY, [3.0])
    assert asyncio.run(read("18")) == (generation, None)


def test_a_hot_store_that_is_down_is_an_error_with_advice(demand):
    with pytest.raises(HotStoreError, match="does not answer"):
        asyncio.run(RedisReader("redis://:secret@127.0.0.1:9/0").read(demand, "milk@S1"))


def test_the_forecaster_says_which_models_it_serves_and_refuses_by_name(release, forecaster, demand):
    hook = ForecasterHook()
    assert hook.ready()["releases"].keys() == {"demand", "order_value"}
    with pytest.raises(ReleaseError, match=r"refused /v1/demand/forecast \(503\).*holds no generation of demand"):
        hook.ask(demand, "milk@S1")


def test_wrong_settings_stop_the_forecaster_before_it_serves(monkeypatch):
    monkeypatch.setenv("SHELFCAST_FORECASTER_TOKEN", "short")
    with pytest.raises(SystemExit, match="SHELFCAST_HOT_STORE_URL is not set"):
        main()


@pytest.mark.parametrize(
    ("said", "age_days", "status"),
    [
        (None, 7, 200),
        (None, 8, 503),
        (3, 3, 200),
        (3, 4, 503),
        ("any", 900, 200),
    ],
)
def test_features_are_served_up_to_the_age_that_the_model_or_the_environment_allows(
    release, hot_store, hot_store_server, demand, series, said, age_days, status
):
    from starlette.testclient import TestClient

    from shelfcast_local.services.hot_store import url

    assert demand.stale_after_days == 7
    publish(hot_store, demand, series, business_date=datetime.now(UTC).date() - timedelta(days=age_days))
    settings = ForecasterSettings(
        hot_store_url=url(hot_store_server),
        releases=release.parent,
        forecaster_token="x" * 16,
        forecaster_port=0,
        stale_after_days=said,
    )
    with TestClient(app_of(settings), headers={"Authorization": f"Bearer {'x' * 16}"}) as client:
        response = client.post("/v1/demand/forecast", json={"series_id": "milk@S1"})
    assert response.status_code == status
    assert response.json().get("reason_code") == ("stale_features" if status == 503 else None)


class NoForecaster(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>welcome</html>")

    def log_message(self, *_):
        """Tests are quiet."""


def test_something_else_that_answers_is_not_taken_for_the_forecaster(monkeypatch):
    with HTTPServer(("127.0.0.1", 0), NoForecaster) as server:
        Thread(target=server.serve_forever).start()
        connection = {"conn_type": "shelfcast_forecaster", "host": "127.0.0.1", "port": server.server_port}
        monkeypatch.setenv("AIRFLOW_CONN_FORECASTER", json.dumps(connection))
        with pytest.raises(ReleaseError, match="is no forecaster"):
            ForecasterHook().ready()
        server.shutdown()


def test_a_connection_with_extras_is_refused(monkeypatch):
    connection = {"conn_type": "shelfcast_forecaster", "host": "127.0.0.1", "extra": {"verify": False}}
    monkeypatch.setenv("AIRFLOW_CONN_FORECASTER", json.dumps(connection))
    with pytest.raises(ConfigurationError, match="not allowed: verify"):
        ForecasterHook()
