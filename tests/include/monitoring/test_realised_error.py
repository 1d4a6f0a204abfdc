"""Scores against the metrics of training, on a cold store in DuckDB."""

import json
import tracemalloc
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from scored_world import (
    LATER,
    NEXT_DAY,
    PROMISED,
    RELEASE,
    SERIES,
    TODAY,
    close,
    closed_store,
    features,
    insert,
    manifest_of,
    parts_of,
    sales,
    vintage,
)

from shelfcast.deployment import bundle
from shelfcast.errors import BundleError, NothingToDo, PostConditionFailed
from shelfcast.model import baselines, metrics
from shelfcast.monitoring import realised_error
from shelfcast.monitoring.realised_error import Expectation, ScoreState, expectation_of, score_vintages
from shelfcast.retraining.decisions import read_observations


@pytest.fixture
def store():
    return closed_store()


def scored(store, folder, *, on=TODAY):
    return score_vintages(store, on, releases=folder)


def expected_score(actual_rows, back, *, skipped=()):
    """The same with the metrics and simple methods of training, row by row."""
    day = TODAY - timedelta(days=back)
    rows = vintage(day)
    rows = rows[(rows["horizon_days"] <= back) & ~rows[["series_id", "sales_date"]].apply(tuple, axis=1).isin(skipped)]
    rows = rows.merge(actual_rows[["series_id", "sales_date", "units_sold"]], on=["series_id", "sales_date"])
    columns = rows[["series_id", "sales_date", "horizon_days"]].merge(features(day), on="series_id")
    columns["sales_date"] = columns["sales_date"].to_numpy(dtype="datetime64[D]")
    arrays = {name: columns[name].to_numpy() for name in columns.columns}
    arrays["sales_date"] = np.array(columns["sales_date"], dtype="datetime64[D]")
    recent = arrays["units_mean_28"].astype(float)
    simple = {
        "seasonal": baselines._known(baselines._last_same_weekday(arrays), recent),
        "weekday": baselines._known(baselines._weekday_mean(arrays), recent),
    }
    actual, mean = rows["units_sold"].to_numpy(), rows["mean"].to_numpy()
    return {
        "wape": metrics.wape(actual, mean),
        "bias": metrics.bias(actual, mean),
        "coverage_90": metrics.coverage(actual, rows["q05"].to_numpy(), rows["q95"].to_numpy()),
        "strongest_simple_wape": min(metrics.wape(actual, forecast) for forecast in simple.values()),
        "row_count": len(rows),
        "series_count": rows["series_id"].nunique(),
    }


def check(score, expected):
    for name, value in expected.items():
        assert getattr(score, name) == pytest.approx(value), name


def test_yesterday_and_last_week_are_scored_as_training_would(store, tmp_path):
    next_day, next_week = scored(store, tmp_path)
    assert (next_day.business_date, next_day.horizon_from, next_day.horizon_to) == (TODAY - timedelta(days=1), 1, 1)
    assert (next_week.business_date, next_week.horizon_from, next_week.horizon_to) == (TODAY - timedelta(days=7), 1, 7)
    for score, back in ((next_day, 1), (next_week, 7)):
        assert score.state is ScoreState.SCORED
        assert score.release_id == RELEASE
        check(score, expected_score(sales(), back))
    assert (next_day.row_count, next_week.row_count) == (12, 84)
    assert next_day.expected_wape is None


def test_a_day_without_a_row_of_sales_sold_nothing(store, tmp_path):
    store.connection.execute("DELETE FROM FEATURES.DAILY_SALES WHERE series_id = 'i0@s0' AND sales_date = ?", [TODAY])
    actual = sales()
    actual.loc[(actual["series_id"] == "i0@s0") & (actual["sales_date"] == TODAY), "units_sold"] = 0.0
    check(scored(store, tmp_path)[0], expected_score(actual, 1))


def test_what_became_known_later_does_not_change_a_score(store, tmp_path):
    before = expected_score(sales(), 1)
    late = sales().assign(units_sold=99.0, known_at=close(TODAY + timedelta(days=1)))
    insert(store, "FEATURES.DAILY_SALES", late)
    check(scored(store, tmp_path)[0], before)
    known = late.assign(known_at=close(TODAY), units_sold=50.0)
    store.connection.execute("DELETE FROM FEATURES.DAILY_SALES")
    insert(store, "FEATURES.DAILY_SALES", known)
    assert scored(store, tmp_path)[0].bias < -0.8


def test_closed_and_sold_out_days_say_nothing(store, tmp_path):
    empty_day = TODAY - timedelta(days=2)
    store.connection.execute(
        "UPDATE FEATURES.DAILY_SALES SET is_stocked_out = TRUE, units_sold = 1 WHERE series_id = 'i0@s0' AND sales_date = ?",
        [empty_day],
    )
    closures = pd.DataFrame(
        [
            ("s1", TODAY, "r", 0, 1, close(TODAY - timedelta(days=9))),
            ("s0", TODAY, "r", 0, 1, close(TODAY - timedelta(days=9))),
            ("s0", TODAY, "d", 1, 1, close(TODAY - timedelta(days=8))),
        ],
        columns=["store_id", "closed_on", "op", "position_ordinal", "generation", "known_at"],
    )
    insert(store, "RAW.STORE_CLOSURES_CHANGES", closures)
    skipped = {("i0@s0", empty_day), *((series, TODAY) for series in SERIES if series.endswith("s1"))}
    next_day, next_week = scored(store, tmp_path)
    check(next_day, expected_score(sales(), 1, skipped=skipped))
    check(next_week, expected_score(sales(), 7, skipped=skipped))
    assert next_week.row_count == 84 - 7


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("DELETE FROM FORECASTS.LEDGER", "no_forecasts"),
        ("UPDATE FORECASTS.LEDGER SET mean = NULL, q05 = NULL, q95 = NULL, reason_code = 'no_history'", "no_forecasts"),
        ("UPDATE FEATURES.DAILY_SALES SET is_stocked_out = TRUE", "nothing_countable"),
        ("UPDATE FEATURES.DAILY_SALES SET units_sold = 0", "no_sales"),
    ],
)
def test_what_cannot_be_scored_has_a_name_and_a_row(store, tmp_path, change, state):
    store.connection.execute(change)
    scores = scored(store, tmp_path)
    assert [score.state.value for score in scores] == [state, state]
    assert all(score.wape is score.bias is score.coverage_90 is score.strongest_simple_wape is None for score in scores)
    rows = store.connection.execute("SELECT state, wape FROM FORECASTS.SCORES").fetchall()
    assert rows == [(state, None)] * 2


KNOWS_LATER = "UPDATE FORECASTS.LEDGER SET release_cutoff = business_date + 1"


@pytest.mark.parametrize(
    ("days_later", "states"),
    [
        (None, ["scored"] * 2),
        (-9, ["scored"] * 2),
        (0, ["scored"] * 2),
        (1, ["no_forecasts"] * 2),
        (9, ["no_forecasts"] * 2),
    ],
)
def test_a_forecast_by_a_release_that_knew_later_days_is_not_scored(store, tmp_path, days_later, states):
    store.connection.execute("UPDATE FORECASTS.LEDGER SET release_cutoff = business_date + ?::INTEGER", [days_later])
    scores = scored(store, tmp_path)
    assert [score.state.value for score in scores] == states
    counted = store.connection.execute("SELECT COUNT(*) FROM FORECASTS.SCORED_FORECASTS").fetchone()
    assert counted == (0 if "no_forecasts" in states else sum(score.row_count for score in scores),)


def test_a_missed_day_that_is_forecast_later_changes_no_score(store, tmp_path):
    """Negative control: taken for a forecast, what knew the day would make the release look perfect."""
    before = scored(store, tmp_path)
    day = TODAY - timedelta(days=2)
    told = (
        vintage(day).merge(sales()[["series_id", "sales_date", "units_sold"]], how="left").fillna({"units_sold": 5.0})
    )
    insert(store, "FEATURES.DEMAND", features(day))
    insert(store, "FORECASTS.LEDGER", told.assign(mean=told.pop("units_sold"), release_cutoff=TODAY))
    rows = "SELECT AVG(ABS(mean - actual)) FROM FORECASTS.SCORED_FORECASTS"
    assert scored(store, tmp_path) == before
    (error,) = store.connection.execute(rows).fetchone()
    asked = {"business_date": day, "scored_on": TODAY, "horizon_from": 1, "horizon_to": 2, "known_until": close(TODAY)}
    assert store.fetch("monitoring/score_vintage", asked)["forecast_count"].iloc[0] == 0
    store.connection.execute("UPDATE FORECASTS.LEDGER SET release_cutoff = NULL")
    assert store.fetch("monitoring/score_vintage", asked)["wape"].iloc[0] == 0.0
    assert store.connection.execute(rows).fetchone()[0] < error


def test_the_governor_takes_a_day_in_hindsight_for_one_without_forecasts(store, tmp_path):
    store.connection.execute(KNOWS_LATER)
    scored(store, tmp_path)
    store.run("monitoring/create_drift_checks")
    [found] = read_observations(store, TODAY)
    assert (found.score_state, found.wape, found.bias) == ("no_forecasts", None, None)


def test_one_missing_vintage_takes_nothing_from_the_other(store, tmp_path):
    store.connection.execute("DELETE FROM FORECASTS.LEDGER WHERE business_date = ?", [TODAY - timedelta(days=1)])
    assert [score.state.value for score in scored(store, tmp_path)] == ["no_forecasts", "scored"]


def test_scoring_twice_leaves_one_row_a_vintage(store, tmp_path):
    for _ in range(2):
        check(scored(store, tmp_path)[0], expected_score(sales(), 1))
    insert(store, "FORECASTS.LEDGER", vintage(TODAY - timedelta(days=2)))
    insert(store, "FEATURES.DEMAND", features(TODAY - timedelta(days=2)))
    scored(store, tmp_path, on=TODAY - timedelta(days=1))
    counted = store.connection.execute("SELECT scored_on, COUNT(*) FROM FORECASTS.SCORES GROUP BY 1 ORDER BY 1")
    assert counted.fetchall() == [(TODAY - timedelta(days=1), 2), (TODAY, 2)]


def test_a_date_that_is_not_closed_cannot_be_scored(store, tmp_path):
    with pytest.raises(NothingToDo, match="2025-07-11 is not a complete business date"):
        scored(store, tmp_path, on=TODAY + timedelta(days=1))


def test_two_scores_of_one_vintage_are_refused(store, tmp_path, monkeypatch):
    monkeypatch.setattr(realised_error, "HORIZONS", ((1, 1), (1, 1)))
    with pytest.raises(PostConditionFailed, match="holds 2 rows of 1 vintages scored on 2025-07-10"):
        scored(store, tmp_path)


@pytest.fixture
def promised():
    return PROMISED


@pytest.fixture
def release(tmp_path, promised):
    parts = parts_of(promised)
    manifest = manifest_of(parts)
    folder = tmp_path / manifest["release_id"]
    folder.mkdir()
    for name, text in parts.items():
        (folder / name).write_text(text)
    (folder / bundle.MANIFEST).write_text(json.dumps(manifest))
    return folder


def test_the_release_says_what_was_to_be_expected_of_the_same_days_ahead(store, release):
    assert expectation_of(RELEASE, release.parent, horizon=(1, 1)) == Expectation(wape=0.41, bias=pytest.approx(-0.02))
    next_day, next_week = scored(store, release.parent)
    assert (next_day.expected_wape, next_day.expected_bias) == (0.41, pytest.approx(-0.02))
    assert next_week.expected_wape == pytest.approx((41 + 6 * 80) / 700)
    assert next_week.expected_bias == pytest.approx((98 + 6 * 110) / 700 - 1)
    kept = store.connection.execute("SELECT expected_wape FROM FORECASTS.SCORES WHERE horizon_to = 1").fetchall()
    assert kept == [(0.41,)]


@pytest.mark.parametrize("release_id", [None, "demand-20200101-0000000000"])
def test_a_release_that_is_gone_promises_nothing(release, release_id):
    assert expectation_of(release_id, release.parent, horizon=(1, 1)) is None


@pytest.mark.parametrize(
    "promised",
    [
        {"wape": 0.4, "bias": 0.0},
        {"wape": 0.4, "bias": 0.0, "by_horizon_day": {"2": LATER, "3": LATER}},
        {"wape": 0.4, "bias": 0.0, "by_horizon_day": {"1": dict.fromkeys(NEXT_DAY, 0.0)}},
    ],
    ids=["of an older format", "other days", "no sales"],
)
def test_a_release_whose_folds_do_not_tell_the_days_ahead_promises_nothing(release):
    assert expectation_of(release.name, release.parent, horizon=(1, 1)) is None


def test_a_damaged_release_is_an_error(store, release):
    (release / "metrics.json").write_text("{}")
    with pytest.raises(BundleError, match="is not what was released"):
        scored(store, release.parent)


def multiply(store, times):
    """Gives each series so many twins, who sell and are forecast as it does."""
    for table in ("FEATURES.DAILY_SALES", "FEATURES.DEMAND", "FORECASTS.LEDGER"):
        twin = f"o.* REPLACE ('{times}.' || i || '.' || series_id AS series_id)"
        store.connection.execute(f"INSERT INTO {table} SELECT {twin} FROM {table} o, range({times - 1}) r(i)")


def peak_of(act):
    """Most bytes that Python holds while it acts."""
    tracemalloc.start()
    act()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_four_times_the_series_are_scored_in_no_more_memory(store, tmp_path):
    """The sums are taken in the store."""
    ledger = "SELECT * FROM FORECASTS.LEDGER"
    one = scored(store, tmp_path)
    peaks, controls = [], []
    for times in (50, 4):
        multiply(store, times)
        peaks.append(peak_of(lambda: scored(store, tmp_path)))
        controls.append(peak_of(lambda: store.connection.execute(ledger).df()))
    assert peaks[1] < 1.15 * peaks[0]
    assert controls[1] > 2 * controls[0], "what reads the rows does take more"
    for score, before in zip(scored(store, tmp_path), one, strict=True):
        assert score.wape == pytest.approx(before.wape)
        assert score.series_count == 200 * before.series_count
