"""What absent means to a model: the same when it is fitted and when it serves."""

import re

import numpy as np
import pandas as pd
import pytest
from small_world import predict

from shelfcast.model import lightgbm_fit
from shelfcast.model.difficulty import fit_difficulty
from shelfcast.model.lightgbm_fit import GAP_SHARE, may_be_absent, parameters, train, with_gaps
from shelfcast.model.matrix import Sample
from shelfcast.training.backtest import rows as backtest_rows
from shelfcast.training.frame import columns_of
from shelfcast.training.progress import silent

MISSING_IS_NAN = 2


def missing_types(text):
    """How a model's splits read what is absent, by feature: 0 not at all (as 0.0), 1 as zero, 2 as such."""
    names = re.search(r"^feature_names=(.*)$", text, flags=re.MULTILINE)[1].split()
    features, kinds = (
        " ".join(re.findall(rf"^{line}=(.*)$", text, flags=re.MULTILINE)).split()
        for line in ("split_feature", "decision_type")
    )
    found = {}
    for feature, kind in zip(features, kinds, strict=True):
        found.setdefault(names[int(feature)], set()).add(int(kind) >> 2 & 3)
    return found


def read_as_zero(text, declaration):
    """Features that may be absent and would be read as 0 then, of those that a model splits by."""
    unsure = {name for name, may in zip(declaration.feature_names, may_be_absent(declaration), strict=True) if may}
    found = missing_types(text)
    return {name for name in set(found) & unsure if found[name] != {MISSING_IS_NAN}}


@pytest.fixture(scope="module")
def priced(frame):
    """Rows of which the price decides: half the price sells four times as much. Nothing in them is absent but weather."""
    rng = np.random.default_rng(4)
    price = rng.choice([1.0, 1.5, 2.0, 2.0, 2.0, 2.5], len(frame))
    units = rng.poisson(frame["units_mean_28"].to_numpy() * (2.0 / price) ** 2).astype(float)
    return frame.assign(price=price, units_sold=units, is_countable=True)


@pytest.fixture(scope="module")
def sample(priced, demand):
    return Sample.of(columns_of(priced), demand)


@pytest.fixture(scope="module")
def orders(order_value):
    rng = np.random.default_rng(11)
    count, mean = rng.integers(1, 30, 3000).astype(float), rng.gamma(4.0, 10.0, 3000)
    value = mean * rng.lognormal(0, 0.2, 3000)
    return Sample.of({"total_spent": count * mean, "purchase_count": count, "order_amount": value}, order_value)


@pytest.mark.parametrize("rows", [500, None])
def test_no_feature_that_may_be_absent_is_read_as_zero(sample, orders, demand, order_value, settings, rows):
    known, some_orders = sample.part(slice(rows)), orders.part(slice(rows))
    small = demand.fitted_by(min_data_in_leaf=5)
    days = np.datetime64("2024-01-01") + np.arange(len(known.target))
    seen = parameters(order_value, seed=7, num_threads=1)
    text = train(known, small, settings=settings)
    assert len(missing_types(text)) > 9
    assert read_as_zero(text, small) == set()
    assert read_as_zero(fit_difficulty(known, days, small, settings=settings), small) == set()
    assert read_as_zero(train(some_orders, order_value, settings=seen), order_value) == set()


def test_a_backtest_fits_with_the_same_gaps(priced, demand):
    rows = backtest_rows.collect([priced], demand)
    fitted = backtest_rows.fit(rows, demand, seed=7, num_threads=1, progress=silent)
    assert read_as_zero(fitted.mean_text, demand) == read_as_zero(fitted.difficulty_text, demand) == set()


def without_price(sample, demand, settings):
    """Mean forecasts over the baseline: with a price that is not known, with those that are, and with none."""
    text = train(sample, demand, settings=settings)
    position = demand.feature_names.index("price_ratio")

    def mean(ratios):
        rows = sample.rows.copy()
        rows[:, position] = ratios
        return predict(text, rows, np.ones(len(rows)), demand).mean()

    return mean(np.nan), mean(sample.rows[:, position]), mean(0.0)


def test_an_item_without_a_known_price_is_forecast_as_items_of_any_price_are(sample, demand, settings, monkeypatch):
    unknown, usual, given_away = without_price(sample, demand, settings)
    assert given_away > 1.5 * usual, "the price must matter"
    assert unknown == pytest.approx(usual, rel=0.2)
    monkeypatch.setattr(lightgbm_fit, "GAP_SHARE", 0.0)
    unknown, usual, _ = without_price(sample, demand, settings)
    assert unknown != pytest.approx(usual, rel=0.2), "it would be so without gaps, too"


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_gaps_depend_on_the_row_and_the_seed_alone(sample, demand, kind):
    rows = sample.rows.astype(kind)
    whole, order = with_gaps(rows, demand, seed=7), np.random.default_rng(1).permutation(len(rows))
    np.testing.assert_array_equal(with_gaps(rows[order], demand, seed=7), whole[order])
    np.testing.assert_array_equal(with_gaps(rows[1::3], demand, seed=7), whole[1::3])
    np.testing.assert_array_equal(with_gaps(np.asfortranarray(rows), demand, seed=7), whole)
    assert whole.dtype == kind
    assert (np.isnan(with_gaps(rows, demand, seed=8)) != np.isnan(whole)).any()


def test_gaps_are_few_spread_evenly_and_never_where_all_is_known(demand):
    rng, features = np.random.default_rng(2), demand.feature_names
    rows = rng.integers(0, 4, (60_000, len(features))).astype(float)
    rows[:, 0] = np.arange(len(rows)) % 20_000
    is_gap = np.isnan(with_gaps(rows, demand, seed=7))
    share = pd.Series(is_gap.mean(axis=0), index=features)
    never = ["log_baseline", "horizon_days", "weekday", "day_of_month", "workdays_left_in_month", "day_of_year"]
    assert set(share[share == 0].index) == {*never, "days_from_easter"}
    often = share[share > 0]
    assert often.between(0.7 * GAP_SHARE, 1.3 * GAP_SHARE).all(), often
    together = is_gap.sum(axis=1)
    assert together.var() == pytest.approx(len(often) * GAP_SHARE * (1 - GAP_SHARE), rel=0.2), "they come one by one"


def test_sums_that_were_made_in_another_order_leave_the_same_gaps(sample, demand):
    rng = np.random.default_rng(2)
    again = sample.rows * (1 + rng.uniform(-1e-14, 1e-14, sample.rows.shape))
    found, expected = (np.isnan(with_gaps(rows, demand, seed=7)) for rows in (again, sample.rows))
    assert (found == expected).mean() > 0.99999
    changed = np.isnan(with_gaps(sample.rows * 1.01, demand, seed=7))
    assert (changed != expected).any(), "other rows have other gaps"
