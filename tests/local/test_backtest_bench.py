"""What is measured a backtest with: sales that are the same for a seed, and costs that add up."""

from datetime import date

import pandas as pd
import pytest
from bench import backtest
from bench.backtest import Cost, Meter
from bench.synthetic_sales import DISPERSION, write_sales

FIRST = date(2023, 1, 1)


def written(folder, **changed):
    about = {"series": 120, "days": 200, "first_date": FIRST} | changed
    return pd.read_parquet(write_sales(folder, **about))


@pytest.fixture(scope="module")
def sales(tmp_path_factory):
    return written(tmp_path_factory.mktemp("sales"))


def test_synthetic_sales_are_the_same_for_a_seed(sales, tmp_path):
    pd.testing.assert_frame_equal(written(tmp_path / "again"), sales)
    assert not written(tmp_path / "other", seed=8)["units_sold"].equals(sales["units_sold"])


def test_each_series_has_a_row_a_day(sales):
    assert len(sales) == 120 * 200
    assert not sales.duplicated(["store_id", "item_id", "sales_date"]).any()
    assert sales.groupby(["store_id", "item_id"]).size().eq(200).all()
    assert sales["store_id"].nunique() == 2


def test_units_are_overdispersed_counts_with_a_week_and_promotions(sales):
    days = sales.assign(weekday=pd.to_datetime(sales["sales_date"]).dt.weekday)
    regular = days[days["on_promotion"] == 0]
    assert regular.groupby("weekday")["units_sold"].mean().idxmax() == 5
    assert days.groupby("on_promotion")["units_sold"].mean().pipe(lambda mean: mean[1] / mean[0]) > 1.5
    one_weekday = regular[regular["weekday"] == 2].groupby(["store_id", "item_id"])["units_sold"]
    mean, variance = one_weekday.mean(), one_weekday.var()
    assert (variance / (mean + mean**2 / DISPERSION)).median() == pytest.approx(1, abs=0.3)
    zeros = (sales["units_sold"] == 0).groupby([sales["store_id"], sales["item_id"]]).mean()
    assert 0.15 < (zeros > 0.6).mean() < 0.45


def test_costs_of_the_parts_of_a_step_are_added_up():
    with Meter() as meter:
        for step in ("read", "fit", "fit"):
            meter.begin(step)
            sum(range(200_000))
    assert list(meter.costs) == ["read", "fit"]
    assert meter.costs["fit"].wall_seconds > 0


def test_a_bench_measures_each_step_in_a_process_of_its_own(tmp_path):
    costs = backtest.in_own_process(12, 150, tmp_path)
    assert list(costs) == ["history", "features", "frame", "folds", "model", "forecast", "scores", "all"]
    assert all(isinstance(cost, Cost) for cost in costs.values())
    assert costs["all"].peak_bytes == max(cost.peak_bytes for cost in costs.values()) > 2**26
    assert list(tmp_path.iterdir()) == []
