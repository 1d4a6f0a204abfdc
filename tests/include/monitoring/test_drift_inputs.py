"""The tested quantities against NumPy, on a cold store in DuckDB."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from scored_world import close, insert

from shelfcast.cold_store import feature_views
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.errors import NothingToDo, PostConditionFailed
from shelfcast.monitoring import drift_inputs
from shelfcast.monitoring.drift import DriftRules, FeatureState, check_drift
from shelfcast.monitoring.drift_inputs import read_samples, write_report
from shelfcast.monitoring.drift_page import write_page

LAST = date(2025, 7, 3)
SERIES = [f"i{item}@s{store}" for store in range(4) for item in range(10)]
PROMOTIONS = """
    promotion_id VARCHAR, store_id VARCHAR, item_id VARCHAR, starts_on DATE, ends_on DATE, op VARCHAR,
    position_ordinal BIGINT, generation BIGINT, known_at TIMESTAMP
"""


def promotion(name, store_id, item_id, starts_on, ends_on, *, op="r", known_at=None, position=0):
    return {
        "promotion_id": name, "store_id": store_id, "item_id": item_id, "starts_on": starts_on, "ends_on": ends_on,
        "op": op, "position_ordinal": position, "generation": 1, "known_at": known_at or close(starts_on),
    }  # fmt: skip


def demand_rows(day, rng, *, factor=1.0, active=True):
    """Features of a day that are known to be what they say; `units_lag_1` is the day's own sale."""
    mean = rng.uniform(2, 12, len(SERIES))
    frame = pd.DataFrame({"series_id": SERIES})
    frame["item_id"], frame["store_id"] = frame["series_id"].str.split("@").str[0], frame["series_id"].str[-2:]
    frame["business_date"], frame["is_active"] = day, active
    for name in ("units_mean_28", "units_mean_364", "price_latest", "price_mean_56"):
        frame[name] = mean * rng.uniform(0.8, 1.2, len(SERIES))
    for weekday in range(1, 8):
        frame[f"weekday_regular_mean_{weekday}"] = mean * weekday / 4
        frame[f"weekday_promotion_mean_{weekday}"] = np.where(mean > 5, mean * weekday / 2, np.nan)
    frame["promotion_uplift_364"] = np.where(mean > 3, 1.7, np.nan)
    frame["units_lag_1"] = rng.poisson(mean * factor).astype(float)
    frame["units_std_28"], frame["zero_share_28"], frame["stockout_share_28"] = np.sqrt(mean), 0.1, 0.0
    frame["days_since_first_sale"] = 99.0
    return frame


DAYS = sorted({LAST - timedelta(days=back) for back in [*range(64), *range(364 - 40, 364 + 40)]})
RNG = np.random.default_rng(0)
HISTORY = pd.concat([demand_rows(day, RNG, factor=2.0 if day == LAST else 1.0) for day in DAYS])


@pytest.fixture
def store():
    """Nine weeks, and the weeks around last year's day; the last day sells twice as much."""
    made = DuckDBStore(num_threads=1)
    made.run("cold_store/create_business_dates")
    made.connection.execute(f"CREATE TABLE RAW.PROMOTIONS_CHANGES ({PROMOTIONS})")
    feature_views.prepare(made)
    dates = pd.DataFrame({"business_date": DAYS, "closed_at": [close(day) for day in DAYS]})
    insert(made, "OPERATIONS.BUSINESS_DATES", dates)
    insert(made, "FEATURES.DEMAND", HISTORY)
    return made


def quantities_by_hand(store, day):
    """The definitions, in NumPy, with promotions counted day by day."""
    rows = store.connection.execute(
        "SELECT * FROM FEATURES.DEMAND WHERE business_date = ? AND is_active ORDER BY series_id", [day]
    ).df()
    versions = store.connection.execute("SELECT * FROM RAW.PROMOTIONS_CHANGES ORDER BY position_ordinal").df()
    newest = versions[versions["known_at"] <= pd.Timestamp(close(LAST))].groupby("promotion_id").last()
    found = []
    for row in rows.itertuples():
        own = newest[(newest["store_id"] == row.store_id) & (newest["item_id"] == row.item_id) & (newest["op"] != "d")]
        promoted = {
            one.date() for planned in own.itertuples() for one in pd.date_range(planned.starts_on, planned.ends_on)
        }
        share = {
            days: min(1, sum(day - timedelta(days=back) in promoted for back in range(days)) / lived)
            for days, lived in ((28, 28), (364, 100))
        }
        weekday = day.isoweekday()
        uplift = 1.0 if np.isnan(row.promotion_uplift_364) else row.promotion_uplift_364
        profile = getattr(row, f"weekday_regular_mean_{weekday}")
        if day in promoted:
            promotion_mean = getattr(row, f"weekday_promotion_mean_{weekday}")
            profile = profile * uplift if np.isnan(promotion_mean) else promotion_mean
        level = row.units_mean_28 / (1 + share[28] * (uplift - 1))
        usual = row.units_mean_364 / (1 + share[364] * (uplift - 1))
        found.append(np.log((row.units_lag_1 + 0.5) / (profile * level / usual + 0.5)))
    return {
        "demand_level": np.array(found),
        "demand_variability": np.log((rows.units_std_28 + 0.5) / (np.sqrt(rows.units_mean_28) + 0.5)).to_numpy(),
        "zero_share": rows["zero_share_28"].to_numpy(),
        "stockout_share": rows["stockout_share_28"].to_numpy(),
        "price_level": np.log(rows["price_latest"] / rows["price_mean_56"]).to_numpy(),
    }


def with_promotions(store):
    insert(
        store,
        "RAW.PROMOTIONS_CHANGES",
        pd.DataFrame(
            [
                promotion("now", "s0", "i0", LAST - timedelta(days=2), LAST + timedelta(days=4)),
                promotion("past", "s1", "i1", LAST - timedelta(days=20), LAST - timedelta(days=14)),
                promotion("long ago", "s1", "i1", LAST - timedelta(days=90), LAST - timedelta(days=84)),
                promotion("across the edge", "s1", "i2", LAST - timedelta(days=30), LAST - timedelta(days=24)),
                promotion("withdrawn", "s2", "i0", LAST, LAST, known_at=close(LAST - timedelta(days=9))),
                promotion("withdrawn", "s2", "i0", LAST, LAST, op="d", known_at=close(LAST), position=1),
                promotion("not yet known", "s3", "i0", LAST, LAST, known_at=close(LAST + timedelta(days=1))),
                promotion("moved", "s3", "i1", LAST, LAST, known_at=close(LAST - timedelta(days=9))),
                promotion("moved", "s3", "i1", LAST + timedelta(days=7), LAST + timedelta(days=8), op="u",
                          known_at=close(LAST - timedelta(days=1)), position=1),
                promotion("always", "s3", "i9", LAST - timedelta(days=500), LAST + timedelta(days=500)),
            ]
        ),
    )  # fmt: skip
    return store


def by_window(samples, name):
    """Levels of each window of a reference, the oldest window first."""
    return [np.sort(window["demand_level"]) for window in samples.references[name]]


@pytest.mark.parametrize("is_promoting", [False, True])
def test_the_quantities_are_what_they_say(store, is_promoting):
    samples = read_samples(with_promotions(store) if is_promoting else store, LAST)
    for name, expected in quantities_by_hand(store, LAST).items():
        np.testing.assert_allclose(np.sort(samples.newest[name]), np.sort(expected), err_msg=name)
    recent = [quantities_by_hand(store, LAST - timedelta(weeks=back))["demand_level"] for back in range(1, 9)]
    np.testing.assert_allclose(by_window(samples, "recent_weeks"), [np.sort(values) for values in recent[::-1]])
    last_year = [quantities_by_hand(store, LAST - timedelta(weeks=back))["demand_level"] for back in range(48, 57)]
    np.testing.assert_allclose(by_window(samples, "last_year"), [np.sort(values) for values in last_year[::-1]])


def test_promotions_change_what_is_expected(store):
    """Otherwise the test above compares nothing."""
    plain = read_samples(store, LAST).newest["demand_level"]
    assert not np.allclose(np.sort(plain), np.sort(read_samples(with_promotions(store), LAST).newest["demand_level"]))


def checked(samples):
    return check_drift(samples.newest, samples.references, business_date=samples.business_date)


def test_a_doubled_day_is_found_and_kept_once(store):
    samples = read_samples(store, LAST)
    report = check_drift(samples.newest, samples.references, business_date=LAST)
    assert report.drifted == ("demand_level",)
    assert write_report(store, report) == 5
    assert write_report(store, report) == 5
    rows = store.connection.execute("SELECT * FROM OPERATIONS.DRIFT_CHECKS ORDER BY feature").df().set_index("feature")
    assert rows["state"].to_dict() == {
        "demand_level": "drifted", "demand_variability": "steady", "price_level": "steady",
        "stockout_share": "constant", "zero_share": "constant",
    }  # fmt: skip
    assert rows.loc["demand_level", "distance"] == report.features[0].distance
    assert pd.isna(rows.loc["zero_share", "q_value"])


def test_reports_of_other_dates_stay(store):
    for day in (LAST - timedelta(days=1), LAST):
        samples = read_samples(store, day)
        write_report(store, check_drift(samples.newest, samples.references, business_date=day))
    count = store.connection.execute("SELECT COUNT(*) FROM OPERATIONS.DRIFT_CHECKS").fetchone()
    assert count == (10,)


def test_a_report_with_a_feature_twice_is_refused(store):
    samples = read_samples(store, LAST)
    report = check_drift(samples.newest, samples.references, business_date=LAST)
    twice = type(report)(business_date=LAST, features=report.features + report.features[:1])
    with pytest.raises(PostConditionFailed, match="holds 6 rows of 5 quantities for 2025-07-03, expected 6"):
        write_report(store, twice)


def test_a_shop_without_a_past_has_samples_and_no_reference(store):
    store.connection.execute("DELETE FROM OPERATIONS.BUSINESS_DATES WHERE business_date < ?", [LAST])
    samples = read_samples(store, LAST)
    report = check_drift(samples.newest, samples.references, business_date=LAST)
    assert {found.state.value for found in report.features} == {"no_reference"}
    assert write_page(samples, checked(samples), folder=None, rules=DriftRules()) is None


@pytest.mark.parametrize("days_off", [1, 63, -300])
def test_a_date_without_features_is_nothing_to_watch(store, days_off):
    with pytest.raises(NothingToDo):
        read_samples(store, LAST + timedelta(days=days_off))


def test_a_date_on_which_nothing_is_active_is_nothing_to_watch(store):
    store.connection.execute("UPDATE FEATURES.DEMAND SET is_active = FALSE WHERE business_date = ?", [LAST])
    with pytest.raises(NothingToDo, match="no active series on 2025-07-03"):
        read_samples(store, LAST)


def test_a_large_shop_is_watched_by_the_same_choice_of_series_each_time(store, monkeypatch):
    monkeypatch.setattr(drift_inputs, "MOST_SERIES", 12)
    samples = read_samples(store, LAST)
    assert len(samples.newest["demand_level"]) == 12
    assert [len(window["demand_level"]) for window in samples.references["recent_weeks"]] == [12] * 8
    np.testing.assert_array_equal(
        np.sort(read_samples(store, LAST).newest["demand_level"]), np.sort(samples.newest["demand_level"])
    )


def test_the_page_is_written_whole_and_again(store, tmp_path):
    samples = read_samples(store, LAST)
    page = write_page(samples, checked(samples), tmp_path / "reports" / "drift", rules=DriftRules())
    assert page == tmp_path / "reports" / "drift" / "2025-07-03.html"
    text = page.read_text()
    assert "demand_level" in text
    assert "stockout_share" not in text
    assert write_page(samples, checked(samples), page.parent, rules=DriftRules()) == page
    assert [path.name for path in page.parent.iterdir()] == ["2025-07-03.html"]


def test_the_page_shows_what_the_verdict_rests_on(store, tmp_path):
    samples = read_samples(store, LAST)
    text = write_page(samples, checked(samples), tmp_path, rules=DriftRules()).read_text()
    tested = [found for found in checked(samples).features if np.isfinite(found.q_value)]
    assert {found.reference for found in tested} == {"recent_weeks", "last_year"}
    assert any(found.q_value != found.p_value for found in tested), "or the next lines could not tell them apart"
    for found in tested:
        verdict = "Detected" if found.state is FeatureState.DRIFTED else "Not Detected"
        assert f'"data_drift": "{verdict}", "drift_score": {round(found.q_value, 6)}' in text
        measures = f"(distance {found.distance:.2f}, shift {found.shift:+.2f}, departure {found.departure:+.1f})"
        assert f"q-value of K-S against {found.reference.replace('_', ' ')} {measures}" in text
    assert "K-S p_value" not in text, "a test of Evidently's own, against one reference for all"
