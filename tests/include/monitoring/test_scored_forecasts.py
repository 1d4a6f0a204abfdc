"""The view over the ledger: old vintages are scored anew and stay as they are, and the documented queries hold."""

import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scored_world import TODAY, close, closed_store, insert, sales, vintage

from shelfcast.monitoring.realised_error import score_vintages
from shelfcast.training import metrics

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "read-the-ledger.md"
OLD_VINTAGE = TODAY - timedelta(days=7)
RESTATED_ON = TODAY - timedelta(days=3)
RESTATED = [f"i{item}@s0" for item in range(6)]


@pytest.fixture
def store(tmp_path):
    made = closed_store()
    score_vintages(made, TODAY, releases=tmp_path)
    return made


def fetched(store, query, **parameters):
    return store.connection.execute(re.sub(r":(\w+)", r"$\1", query), parameters or None).df()


def documented(title):
    """The query below a heading of the page."""
    section = PAGE.read_text().split(f"## {title}")[1]
    return re.search(r"```sql\n(.*?)```", section, re.DOTALL)[1]


def ledger(store):
    return fetched(store, "SELECT * FROM FORECASTS.LEDGER ORDER BY ALL")


def restate(store, *, at):
    """The sales of a day become ten units each, which is known from a close on."""
    rows = sales().query("sales_date == @RESTATED_ON and series_id in @RESTATED")
    insert(store, "FEATURES.DAILY_SALES", rows.assign(units_sold=10.0, known_at=close(at)))


def joined(actual):
    """Forecasts of days that are over beside sales, row by row and without SQL."""
    rows = pd.concat([vintage(TODAY - timedelta(days=back)) for back in (1, 7)])
    return rows.merge(actual[["series_id", "sales_date", "units_sold"]], on=["series_id", "sales_date"])


def restated_sales():
    actual = sales()
    actual.loc[(actual["sales_date"] == RESTATED_ON) & actual["series_id"].isin(RESTATED), "units_sold"] = 10.0
    return actual


def test_a_restated_sale_scores_old_vintages_anew_and_leaves_them_as_they_are(store):
    query = documented("What did restatements change in the score of a vintage?")
    before, vintages = fetched(store, query), ledger(store)
    assert (before["restated_days"] == 0).all()
    assert (before["wape_now"] == before["wape_at_close"]).all()
    restate(store, at=TODAY)
    after = fetched(store, query)
    pd.testing.assert_frame_equal(ledger(store), vintages)
    assert list(after["restated_days"]) == [len(RESTATED), 0]
    assert list(after["wape_at_close"]) == pytest.approx(list(before["wape_at_close"]))
    old = joined(restated_sales()).query("business_date == @OLD_VINTAGE")
    assert after["wape_now"][0] == pytest.approx(metrics.wape(old["units_sold"].to_numpy(), old["mean"].to_numpy()))
    assert after["wape_now"][0] != pytest.approx(before["wape_now"][0])


def test_what_was_restated_before_the_close_was_known_at_it(store):
    restate(store, at=RESTATED_ON - timedelta(days=1))
    store.connection.execute(
        "DELETE FROM FEATURES.DAILY_SALES WHERE sales_date = ? AND units_sold <> 10", [RESTATED_ON]
    )
    after = fetched(store, documented("What did restatements change in the score of a vintage?"))
    assert (after["restated_days"] == 0).all()


def test_the_view_agrees_with_the_score_that_was_kept(store):
    kept = fetched(store, "SELECT * FROM FORECASTS.SCORES ORDER BY business_date")
    for score in kept.itertuples():
        rows = fetched(
            store,
            "SELECT * FROM FORECASTS.SCORED_FORECASTS WHERE business_date = :vintage",
            vintage=score.business_date.date(),
        )
        assert len(rows) == score.row_count
        assert metrics.wape(rows["actual"].to_numpy(), rows["mean"].to_numpy()) == pytest.approx(score.wape)
        naive = metrics.wape(rows["actual"].to_numpy(), rows["seasonal_naive"].to_numpy())
        assert naive >= score.strongest_simple_wape
        assert np.isfinite(naive)


def test_days_that_say_nothing_are_left_out_and_days_to_come_too(store):
    store.connection.execute(
        "UPDATE FEATURES.DAILY_SALES SET is_stocked_out = TRUE WHERE series_id = 'i0@s0' AND sales_date = ?", [TODAY]
    )
    found = fetched(store, "SELECT series_id, sales_date FROM FORECASTS.SCORED_FORECASTS")
    assert pd.to_datetime(found["sales_date"]).max() == pd.Timestamp(TODAY)
    assert not ((found["series_id"] == "i0@s0") & (pd.to_datetime(found["sales_date"]) == pd.Timestamp(TODAY))).any()


def test_the_error_by_week_ahead_is_that_of_a_loop(store):
    (week,) = fetched(store, documented("How good are the forecasts, by week ahead?")).itertuples()
    rows = joined(sales())
    actual, mean = rows["units_sold"].to_numpy(), rows["mean"].to_numpy()
    assert (week.week_ahead, week.forecasts) == (1, len(rows))
    assert (week.wape, week.bias) == pytest.approx((metrics.wape(actual, mean), metrics.bias(actual, mean)))


def test_value_added_is_the_naive_error_less_ours(store):
    found = fetched(store, documented("What do they add to what anyone could have said?")).set_index("store_id")
    rows = joined(sales())
    for name, own in rows.groupby("store_id"):
        wape = metrics.wape(own["units_sold"].to_numpy(), own["mean"].to_numpy())
        assert found.loc[name, "wape"] == pytest.approx(wape)
        assert found.loc[name, "value_added"] == pytest.approx(found.loc[name, "naive_wape"] - wape)
    assert found["value_added"].is_monotonic_increasing


def test_coverage_is_counted_by_release(store):
    (release,) = fetched(store, documented("Do the 90 % intervals of a release hold what they promise?")).itertuples()
    rows = joined(sales())
    inside = metrics.coverage(*(rows[name].to_numpy() for name in ("units_sold", "q05", "q95")))
    assert release.coverage_90 == pytest.approx(inside)


def test_the_forecasts_of_one_day_come_vintage_by_vintage(store):
    query = documented("How did the forecast of one day develop?")
    found = fetched(store, query, series_id="i0@s0", sales_date=TODAY)
    assert list(found["horizon_days"]) == [7, 1]


def test_series_without_a_forecast_are_counted_by_reason(store):
    query = documented("Which active series have no forecast, and why?")
    assert fetched(store, query).empty
    store.connection.execute(
        "UPDATE FORECASTS.LEDGER SET mean = NULL, reason_code = 'no_history' WHERE series_id = 'i0@s0'"
    )
    assert list(fetched(store, query)["series"]) == [1, 1]


def test_every_query_of_the_page_is_checked_here():
    titles = re.findall(r"^## (.*)$", PAGE.read_text(), re.MULTILINE)
    assert len(titles) == 6
    assert all(f'documented("{title}")' in Path(__file__).read_text() for title in titles)
