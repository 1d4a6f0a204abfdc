"""The operators of monitoring on the shipped fake of the cold store."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from urllib.parse import urlparse

import numpy as np
import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from shelfcast.cold_store import feature_views
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.errors import BundleError
from shelfcast.monitoring.realised_error import Score, ScoreState
from shelfcast_provider.cold_store import cold_store_hook
from shelfcast_provider.monitoring.drift_check_operator import DriftCheckOperator
from shelfcast_provider.monitoring.realised_error_operator import RealisedErrorOperator

LAST = date(2025, 7, 3)
SERIES = [f"i{number}@s0" for number in range(40)]
RAW_TABLES = {
    "PROMOTIONS_CHANGES": "promotion_id VARCHAR, store_id VARCHAR, item_id VARCHAR, starts_on DATE, ends_on DATE",
    "STORE_CLOSURES_CHANGES": "store_id VARCHAR, closed_on DATE",
}


class DuckDBHook(DuckDBStore):
    """The cold store's hook as the operators use it."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """One store serves all tasks of a test."""


def insert(store, table, rows):
    store.connection.register("given", rows)
    store.connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM given")


@pytest.fixture
def store(monkeypatch, tmp_path):
    """Six weeks of forty series; the last day sells four times as much, and there are no forecasts."""
    made = DuckDBHook(num_threads=1)
    made.run("cold_store/create_business_dates")
    for name, columns in RAW_TABLES.items():
        log = "op VARCHAR, position_ordinal BIGINT, generation BIGINT, known_at TIMESTAMP"
        made.connection.execute(f"CREATE TABLE RAW.{name} ({columns}, {log})")
    feature_views.prepare(made)
    rng = np.random.default_rng(0)
    for back in range(42):
        day = LAST - timedelta(days=back)
        closed_at = datetime(day.year, day.month, day.day, 23, 59, 59)
        insert(made, "OPERATIONS.BUSINESS_DATES", pd.DataFrame({"business_date": [day], "closed_at": [closed_at]}))
        rows = pd.DataFrame({"series_id": SERIES, "business_date": day, "is_active": True, "days_since_first_sale": 99})
        rows["item_id"], rows["store_id"] = rows["series_id"].str[:-3], "s0"
        for name in ("units_mean_28", "units_mean_364", *(f"weekday_regular_mean_{at}" for at in range(1, 8))):
            rows[name] = 10.0
        rows["units_lag_1"] = rng.poisson(10 if back else 40, len(rows)).astype(float)
        insert(made, "FEATURES.DEMAND", rows)
    monkeypatch.setattr(cold_store_hook, "ColdStoreHook", lambda *_: made)
    monkeypatch.setenv("SHELFCAST_ARTIFACTS", str(tmp_path))
    return made


def drift(business_date):
    return DriftCheckOperator(task_id="drift", business_date=business_date).execute({})


def error(business_date):
    return RealisedErrorOperator(task_id="error", business_date=business_date).execute({})


def test_the_drift_check_answers_names_and_a_page_and_keeps_its_numbers(store, tmp_path):
    answer = drift("2025-07-03")
    assert answer["drifted"] == answer["judged"] == ["demand_level"]
    assert (answer["business_date"], answer["checked"]) == ("2025-07-03", 5)
    assert urlparse(answer["page"]).path == str(tmp_path / "reports" / "drift" / "2025-07-03.html")
    assert (tmp_path / "reports" / "drift" / "2025-07-03.html").stat().st_size > 1000
    states = store.connection.execute("SELECT state, COUNT(*) FROM OPERATIONS.DRIFT_CHECKS GROUP BY 1 ORDER BY 1")
    assert dict(states.fetchall()) == {"all_missing": 4, "drifted": 1}


def test_a_shop_without_weeks_enough_is_checked_without_a_verdict_or_a_page(store):
    for business_date in ("2025-05-23", "2025-06-13"):  # the first day, and the fourth of its weekday
        answer = drift(business_date)
        assert (answer["drifted"], answer["judged"], answer["page"]) == ([], [], None)
    assert drift("2025-06-20")["judged"] == ["demand_level"]


@pytest.mark.parametrize("run", [drift, error])
@pytest.mark.parametrize("business_date", ["None", "", "2025-13-01", None, "{{ ds }}"])
def test_a_run_without_a_business_date_fails_for_good_before_any_work(run, business_date):
    with pytest.raises(AirflowFailException, match="partition key"):
        run(business_date)


@pytest.mark.parametrize("run", [drift, error])
def test_a_date_that_is_not_closed_is_skipped_with_the_reason(store, run):
    with pytest.raises(AirflowSkipException, match="2025-07-04 is not a complete business date"):
        run("2025-07-04")


def test_before_the_first_release_the_scores_say_so(store):
    answer = error("2025-07-03")
    assert [score["state"] for score in answer["scores"]] == ["no_forecasts", "no_forecasts"]
    assert [score["vintage"] for score in answer["scores"]] == ["2025-07-02", "2025-06-26"]


@pytest.mark.parametrize(
    ("simple", "said"),
    [(0.25, "WAPE 20.0% (the strongest simple method: 25.0%), bias -3.0%"), (None, "WAPE 20.0%, bias -3.0%")],
)
def test_the_log_says_of_each_vintage_what_came_of_it(store, monkeypatch, capsys, simple, said):
    about = {"scored_on": LAST, "horizon_from": 1, "release_id": "demand-1", "coverage_90": None, "series_count": 40}
    scored = Score(
        business_date=date(2025, 7, 2), horizon_to=1, state=ScoreState.SCORED, wape=0.2, bias=-0.03, row_count=40,
        strongest_simple_wape=simple, **about,
    )  # fmt: skip
    unsold = replace(scored, state=ScoreState.NO_SALES, wape=None, bias=None, horizon_to=7)
    monkeypatch.setattr("shelfcast.monitoring.realised_error.score_vintages", lambda *_, **__: [scored, unsold])
    error("2025-07-03")
    log = capsys.readouterr().out
    assert f"Scored 40 rows of the vintage of 2025-07-02, 1 to 1 days ahead: {said}." in log
    assert "Did not score the vintage of 2025-07-02, 1 to 7 days ahead: no_sales." in log


def test_a_damaged_release_fails_for_good(store, monkeypatch):
    def damaged(*_, **__):
        raise BundleError("demand-1 is damaged.")

    monkeypatch.setattr("shelfcast.monitoring.realised_error.score_vintages", damaged)
    with pytest.raises(AirflowFailException, match="demand-1 is damaged"):
        error("2025-07-03")


@pytest.mark.parametrize("operator", [DriftCheckOperator, RealisedErrorOperator])
def test_the_business_date_is_templated(operator):
    assert "business_date" in operator.template_fields
