"""The view over the ledger beside a loop over the tables: old vintages are scored anew and stay as they are.

The documented queries are taken out of their page and held to pandas on the rows of that loop.
"""

import hashlib
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from ledger_page import BY_WEEK, COVERAGE, ONE_DAY, QUESTIONS, REASONS, RESTATEMENTS, TOTALS, VALUE_ADDED, blocks
from scored_world import DAYS, SERIES, TODAY, close, closed_store, features, insert, sales, vintage

from shelfcast.cold_store.duckdb_store import translated
from shelfcast.model import metrics
from shelfcast.monitoring.realised_error import score_vintages

VINTAGES = [TODAY - timedelta(days=back) for back in (14, 7, 1)]
CLOSED_ON, SOLD_OUT_ON, NOTHING_SOLD_ON, RESTATED_ON = (TODAY - timedelta(days=back) for back in (2, 4, 5, 3))
RESTATED = SERIES[:5]
CLOSURES = pd.DataFrame(
    [("s1", CLOSED_ON, "r", 0), ("s0", CLOSED_ON, "r", 0), ("s0", CLOSED_ON, "d", 1)],
    columns=["store_id", "closed_on", "op", "position_ordinal"],
).assign(generation=1, known_at=close(VINTAGES[0]))
SPECIAL_CASES = (
    ("UPDATE FEATURES.DAILY_SALES SET is_stocked_out = TRUE WHERE series_id = 'i1@s0' AND sales_date = ?", SOLD_OUT_ON),
    ("DELETE FROM FEATURES.DAILY_SALES WHERE series_id = 'i2@s0' AND sales_date = ?", NOTHING_SOLD_ON),
    ("UPDATE FEATURES.DEMAND SET units_mean_28 = NULL WHERE series_id = 'i0@s0' AND business_date = ?", VINTAGES[1]),
    ("UPDATE FORECASTS.LEDGER SET q05 = NULL, q95 = NULL WHERE series_id = 'i4@s0' AND business_date = ?", VINTAGES[0]),
    (
        "UPDATE FORECASTS.LEDGER SET mean = NULL, q05 = NULL, q50 = NULL, q95 = NULL, reason_code = 'no_history' "
        "WHERE series_id = 'i3@s0' AND business_date = ?",
        VINTAGES[1],
    ),
)


@pytest.fixture
def store(tmp_path):
    """Three vintages; a closed store, an empty shelf, a day without sales, a series without a forecast."""
    made = closed_store()
    insert(made, "FORECASTS.LEDGER", vintage(VINTAGES[0]))
    insert(made, "FEATURES.DEMAND", features(VINTAGES[0]))
    insert(made, "RAW.STORE_CLOSURES_CHANGES", CLOSURES)
    for change, day in SPECIAL_CASES:
        made.connection.execute(change, [day])
    score_vintages(made, TODAY, releases=tmp_path)
    return made


def table(store, name):
    return store.connection.execute(f"SELECT * FROM {name} ORDER BY ALL").df()


def answer(store, question, **parameters):
    query = translated(blocks()[question])
    return store.connection.execute(query, parameters).df() if parameters else store.connection.execute(query).df()


def digest(store, name):
    """Of every digit in the table."""
    return hashlib.sha256(table(store, name).to_csv().encode()).hexdigest()


def restate(store, *, units=10.0, at=TODAY):
    """The sales of a day become `units` in some series, which is known from a moment on."""
    rows = sales().query("sales_date == @RESTATED_ON and series_id in @RESTATED")
    insert(store, "FEATURES.DAILY_SALES", rows.assign(units_sold=units, known_at=close(at)))


def newest(rows, keys, order):
    return rows.sort_values(order).drop_duplicates(keys, keep="last")


def by_hand(store):
    """What the view should say, without SQL."""
    closes = table(store, "OPERATIONS.BUSINESS_DATES").set_index("business_date")["closed_at"]
    closures = newest(
        table(store, "RAW.STORE_CLOSURES_CHANGES"), ["store_id", "closed_on"], ["generation", "position_ordinal"]
    ).query("op != 'd'")
    versions, series_day = table(store, "FEATURES.DAILY_SALES"), ["series_id", "sales_date"]
    at_close = versions[versions["known_at"] <= versions["sales_date"].map(closes)]
    now, first = (newest(rows, series_day, "known_at").set_index(series_day) for rows in (versions, at_close))
    rows = table(store, "FORECASTS.LEDGER")
    rows = rows[rows["mean"].notna() & rows["sales_date"].isin(closes.index)]
    rows = rows.join(now[["units_sold", "is_stocked_out"]], on=series_day)
    rows = rows[rows["is_stocked_out"].ne(True)]
    closed = pd.MultiIndex.from_frame(closures[["store_id", "closed_on"]])
    rows = rows[~pd.MultiIndex.from_frame(rows[["store_id", "sales_date"]]).isin(closed)]
    known = table(store, "FEATURES.DEMAND").set_index(["business_date", "series_id"])
    return rows.assign(
        actual=rows["units_sold"].fillna(0.0),
        actual_at_close=rows.join(first["units_sold"].rename("first"), on=series_day)["first"].fillna(0.0),
        seasonal_naive=[said_before(row, known.loc[row.business_date, row.series_id]) for row in rows.itertuples()],
    ).reset_index(drop=True)


def said_before(row, known):
    """The last same weekday up to the vintage, else the mean of four weeks, else nothing."""
    day = row.sales_date
    while day > row.business_date:
        day -= timedelta(days=7)
    lag = known[f"units_lag_{(row.business_date - day).days + 1}"]
    return next(float(value) for value in (lag, known["units_mean_28"], 0.0) if pd.notna(value))


def wape(rows, actual="actual", forecast="mean"):
    return metrics.wape(rows[actual].to_numpy(), rows[forecast].to_numpy())


def check_view(store):
    found, expected = table(store, "FORECASTS.SCORED_FORECASTS"), by_hand(store)
    keys = ["business_date", "series_id", "sales_date"]
    expected = expected[found.columns].sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(found.sort_values(keys, ignore_index=True), expected, check_dtype=False)
    return found


def test_the_view_says_what_a_loop_over_the_tables_says(store):
    found = check_view(store)
    over = len(SERIES) * (14 + 7 + 1)
    assert len(found) == over - 2 * 6 - 2 * 1 - 7, "six series twice closed, one twice sold out, one without a forecast"
    assert (found["actual"] == 0).any()
    assert (found["seasonal_naive"] == 0).any()
    assert found["horizon_days"].max() == 14


def test_a_restated_sale_scores_old_vintages_anew_and_leaves_them_as_they_are(store):
    before, ledger = table(store, "FORECASTS.SCORED_FORECASTS"), digest(store, "FORECASTS.LEDGER")
    restate(store)
    after = check_view(store)
    assert digest(store, "FORECASTS.LEDGER") == ledger
    pd.testing.assert_series_equal(after["actual_at_close"], before["actual_at_close"], check_exact=True)
    changed = after[after["actual"] != before["actual"]]
    assert set(changed["business_date"]) == set(pd.to_datetime(VINTAGES[:2]))
    assert set(changed["series_id"]) <= set(RESTATED)
    for day in VINTAGES[:2]:
        assert wape(after[after["business_date"] == str(day)]) != wape(before[before["business_date"] == str(day)])


def test_a_version_that_a_newer_one_followed_changes_no_score(store):
    before = digest(store, "FORECASTS.SCORED_FORECASTS")
    restate(store, at=RESTATED_ON - timedelta(days=1))
    assert digest(store, "FORECASTS.SCORED_FORECASTS") == before


def test_what_was_restated_before_the_close_was_known_at_it(store):
    store.connection.execute("DELETE FROM FEATURES.DAILY_SALES WHERE sales_date = ?", [RESTATED_ON])
    restate(store, at=RESTATED_ON)
    assert (answer(store, RESTATEMENTS)["restated_days"] == 0).all()
    check_view(store)


def test_one_digit_of_one_forecast_would_change_the_digest(store):
    before = digest(store, "FORECASTS.LEDGER")
    store.connection.execute(
        "UPDATE FORECASTS.LEDGER SET mean = mean + 1e-12 WHERE series_id = 'i0@s0' AND business_date = ? "
        "AND horizon_days = 1",
        [VINTAGES[0]],
    )
    assert digest(store, "FORECASTS.LEDGER") != before


@pytest.mark.parametrize("back", [14, 7, 1])
def test_the_view_agrees_with_the_score_of_a_vintage_as_known_now(store, back):
    restate(store)
    hopeless = ", ".join(f"weekday_mean_{day} = 1000" for day in range(1, 8))
    store.connection.execute(
        f"UPDATE FEATURES.DEMAND SET {hopeless}"
    )  # so the strongest simple method is the naive one
    day = TODAY - timedelta(days=back)
    asked = {"business_date": day, "horizon_from": 1, "horizon_to": back, "scored_on": TODAY}
    score = store.fetch("monitoring/score_vintage", asked | {"known_until": close(TODAY + timedelta(days=1))}).iloc[0]
    rows = table(store, "FORECASTS.SCORED_FORECASTS").query("business_date == @day")
    told = rows.dropna(subset="q05")
    assert (score["row_count"], score["series_count"]) == (len(rows), rows["series_id"].nunique())
    assert score["wape"] == pytest.approx(wape(rows))
    assert score["bias"] == pytest.approx(metrics.bias(rows["actual"].to_numpy(), rows["mean"].to_numpy()))
    assert score["coverage_90"] == pytest.approx(told["actual"].between(told["q05"], told["q95"]).mean())
    assert score["strongest_simple_wape"] == pytest.approx(wape(rows, forecast="seasonal_naive"))


def test_the_error_is_told_by_week_ahead(store):
    found = answer(store, BY_WEEK).set_index("week_ahead")
    expected = by_hand(store)
    weeks = dict(list(expected.groupby(np.ceil(expected["horizon_days"] / 7).astype(int))))
    assert list(found.index) == list(weeks) == [1, 2]
    for week, rows in weeks.items():
        bias = metrics.bias(rows["actual"].to_numpy(), rows["mean"].to_numpy())
        assert found.loc[week, ["forecasts", "wape", "bias"]].tolist() == pytest.approx([len(rows), wape(rows), bias])


@pytest.mark.parametrize("level", ["store_id", "item_id", "series_id"])
def test_value_added_is_the_naive_error_less_ours(store, level):
    restate(store)
    query = translated(blocks()[VALUE_ADDED].replace("store_id", level))
    found = store.connection.execute(query).df().set_index(level)
    groups = dict(list(by_hand(store).groupby(level)))
    assert set(found.index) == set(groups)
    for name, rows in groups.items():
        naive, ours = wape(rows, forecast="seasonal_naive"), wape(rows)
        told = found.loc[name, ["naive_wape", "wape", "value_added"]].tolist()
        assert told == pytest.approx([naive, ours, naive - ours])
    assert found["value_added"].is_monotonic_increasing


@pytest.mark.parametrize("units", [0.0, 30.0])
def test_what_restatements_changed_is_told_by_vintage(store, units):
    quiet = answer(store, RESTATEMENTS)
    assert (quiet["restated_days"] == 0).all()
    assert (quiet["wape_now"] == quiet["wape_at_close"]).all()
    restate(store, units=units)
    found = answer(store, RESTATEMENTS).set_index("business_date")
    assert list(found["restated_days"]) == [5, 4, 0], "one of the five has no forecast in the second vintage"
    for day, rows in by_hand(store).groupby("business_date"):
        told = found.loc[day, ["wape_at_close", "wape_now"]].tolist()
        assert told == pytest.approx([wape(rows, actual="actual_at_close"), wape(rows)])


def test_coverage_is_told_by_release_of_forecasts_that_have_intervals(store):
    store.connection.execute("UPDATE FORECASTS.LEDGER SET release_id = 'old' WHERE business_date = ?", [VINTAGES[0]])
    found = answer(store, COVERAGE).set_index("release_id")["coverage_90"]
    rows = by_hand(store).dropna(subset="q05")
    inside = rows["actual"].between(rows["q05"], rows["q95"]).groupby(rows["release_id"]).mean()
    assert found.to_dict() == pytest.approx(inside.to_dict())
    assert len(found) == 2


@pytest.mark.parametrize(("ahead", "vintages"), [(0, [14, 7, 1]), (3, [10, 4]), (13, [14])])
def test_the_forecasts_of_one_day_come_vintage_by_vintage(store, ahead, vintages):
    """Horizons of the vintages of a day that is `ahead`."""
    day = TODAY + timedelta(days=ahead)
    found = answer(store, ONE_DAY, series_id="i5@s0", sales_date=day)
    rows = table(store, "FORECASTS.LEDGER").query("series_id == 'i5@s0' and sales_date == @day")
    assert list(found["horizon_days"]) == vintages
    said = ["business_date", "horizon_days", "release_id", "q05", "mean", "q95"]
    pd.testing.assert_frame_equal(found[said], rows[said].reset_index(drop=True))
    sold = sales().query("series_id == 'i5@s0' and sales_date == @day")["units_sold"]
    assert list(found["actual"].dropna()) == [float(sold.iloc[0])] * 3 if ahead == 0 else found["actual"].isna().all()


def test_a_vintage_that_had_a_reason_says_so_among_the_others(store):
    found = answer(store, ONE_DAY, series_id="i3@s0", sales_date=TODAY)
    assert found["reason_code"].fillna("").tolist() == ["", "no_history", ""]
    assert found["actual"].isna().tolist() == [False, True, False]


def test_series_without_a_forecast_are_counted_by_vintage_and_reason(store):
    store.connection.execute("UPDATE FORECASTS.LEDGER SET reason_code = 'unknown_series' WHERE store_id = 's1'")
    found = answer(store, REASONS)
    assert list(zip(found["reason_code"], found["series"], strict=True)) == [
        ("unknown_series", 6), ("no_history", 1), ("unknown_series", 6), ("unknown_series", 6),
    ]  # fmt: skip


@pytest.mark.parametrize("level", ["store_id", "item_id"])
@pytest.mark.parametrize("back", [7, 1])
def test_totals_add_up_and_their_intervals_are_held_out(store, level, back):
    day = TODAY - timedelta(days=back)
    query = translated(blocks()[TOTALS].replace("store_id", level))
    found = store.connection.execute(query, {"business_date": day}).df()
    rows = table(store, "FORECASTS.LEDGER").query("business_date == @day")
    of_days = rows.groupby([level, "sales_date"])["mean"]
    assert found["mean"].to_numpy() == pytest.approx(of_days.sum().to_numpy())
    assert list(found["series_without_forecast"]) == list(of_days.size() - of_days.count())
    assert found["series_without_forecast"].any() == (back == 7), "one series has none in that vintage"
    over = by_hand(store).query("sales_date <= @day").groupby([level, "business_date", "sales_date"])
    ratios = over["actual"].sum() / over["mean"].sum()
    assert (found["held_out"] == len(ratios)).all()
    low, high = np.quantile(ratios, [0.05, 0.95])
    assert (found["q05"] / found["mean"]).to_numpy() == pytest.approx(low)
    assert (found["q95"] / found["mean"]).to_numpy() == pytest.approx(high)


def test_totals_of_the_first_vintage_have_no_interval_yet(store):
    found = answer(store, TOTALS, business_date=VINTAGES[0])
    assert found["mean"].notna().all()
    assert found[["q05", "q95"]].isna().all(axis=None)
    assert (found["held_out"] == 0).all()


def test_the_interval_of_a_total_covers_what_it_promises(tmp_path):
    made = closed_store()
    for day in DAYS[:27]:
        said = {"mean": 6.0, "q05": 2.0, "q50": 6.0, "q95": 10.0}  # of a Poisson distribution's, as the sales are
        insert(made, "FORECASTS.LEDGER", vintage(day).assign(**said))
    score_vintages(made, TODAY, releases=tmp_path)
    found = answer(made, TOTALS, business_date=DAYS[26]).set_index(["store_id", "sales_date"])
    sold = sales().groupby(["store_id", "sales_date"])["units_sold"].sum().reindex(found.index)
    assert 0.8 <= sold.between(found["q05"], found["q95"]).mean() <= 0.97
    assert sold.between(6 * 2.0, 6 * 10.0).all()
    assert (found["q95"] - found["q05"]).max() < 0.5 * 6 * (10.0 - 2.0)


def test_every_query_of_the_page_is_checked_here():
    assert tuple(blocks()) == QUESTIONS
