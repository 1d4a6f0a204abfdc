"""The paired tests of a panel, each beside an oracle that somebody else wrote or a slow loop."""

import duckdb
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from shelfcast.registry.gate_simulation import SimulatedPanel, simulate
from shelfcast.registry.panel_test import (
    MOST_CLUSTERS,
    Panel,
    diebold_mariano,
    draw_gains,
    long_run_variance,
    textbook_t,
)

SMALL = SimulatedPanel(stores=10, items=3, origins=5, horizon_days=14, store_spread=0.2, day_spread=0.2)


def losses(rows, name):
    return (rows["actual"] - rows[name]).abs().to_numpy()


def panel_of(rows):
    return Panel.of(rows, own=losses(rows, "mean"), other=losses(rows, "champion"))


@pytest.fixture(scope="module")
def rows():
    return simulate(SMALL, seed=4, gain=0.05)


@pytest.mark.parametrize("lag", [0, 1, 6, 27])
def test_the_long_run_variance_is_that_of_statsmodels(lag):
    values = np.random.default_rng(lag).normal(0.3, 1, 150).cumsum() * 0.1
    options = {"maxlags": lag, "use_correction": False}
    fitted = sm.OLS(values, np.ones(150)).fit(cov_type="HAC", cov_kwds=options)
    assert np.sqrt(long_run_variance(values, lag=lag) / 150) == pytest.approx(fitted.bse[0])


def test_diebold_mariano_is_statsmodels_t_with_the_correction_for_small_samples(rows):
    minimum_effect, ahead = 0.005, SMALL.horizon_days
    own, other = losses(rows, "mean"), losses(rows, "champion")
    daily = pd.Series((1 - minimum_effect) * other - own).groupby(rows["sales_date"]).sum().to_numpy()
    days = len(daily)
    options = {"maxlags": ahead - 1, "use_correction": False}
    plain = sm.OLS(daily, np.ones(days)).fit(cov_type="HAC", cov_kwds=options).tvalues[0]
    corrected = plain * np.sqrt((days + 1 - 2 * ahead + ahead * (ahead - 1) / days) / days)
    found = diebold_mariano(panel_of(rows), minimum_effect=minimum_effect)
    assert (found.observations, found.lag) == (70, 13)
    assert found.statistic == pytest.approx(corrected)
    assert found.p_value == pytest.approx(1 - stats.t.cdf(corrected, days - 1))


def test_the_textbook_t_is_scipys(rows):
    known = stats.ttest_rel(losses(rows, "champion"), losses(rows, "mean"), alternative="greater")
    found = textbook_t(panel_of(rows))
    assert (found.statistic, found.p_value) == pytest.approx((known.statistic, known.pvalue))


def test_the_gain_is_what_sql_says(rows):
    query = "SELECT 1 - sum(abs(actual - mean)) / sum(abs(actual - champion)) FROM rows"
    with duckdb.connect() as connection:
        ((said,),) = connection.register("rows", rows).execute(query).fetchall()
    assert panel_of(rows).gain == pytest.approx(said)


def test_the_draws_spread_as_those_of_a_loop_that_repeats_rows(rows):
    """The loop picks stores and folds by hand and sums the rows of each pair as often as it was picked."""
    rng = np.random.default_rng(8)
    own, other = losses(rows, "mean"), losses(rows, "champion")
    place = rows.groupby(["store_id", "fold"]).indices
    gains = []
    for _ in range(600):
        stores, folds = rng.choice(10, 10), rng.choice(5, 5)
        picked = np.concatenate([place[store, fold] for store in stores for fold in folds])
        gains.append(1 - own[picked].sum() / other[picked].sum())
    drawn = draw_gains(panel_of(rows))
    assert (drawn.cluster, drawn.clusters, drawn.blocks) == ("store_id", 10, 5)
    assert np.std(drawn.draws) == pytest.approx(np.std(gains), rel=0.12)
    assert np.mean(drawn.draws) == pytest.approx(np.mean(gains), abs=0.3 * np.std(gains))


def test_the_draws_never_spread_less_than_the_error_clustered_both_ways(rows):
    """Cameron, Gelbach and Miller's error is the smaller one: the draws count what is of one row alone up to thrice."""
    own, other = losses(rows, "mean"), losses(rows, "champion")
    gain = 1 - own.sum() / other.sum()
    groups = rows[["store_id", "fold"]].to_numpy()
    options = {"groups": groups, "use_correction": False}
    fitted = sm.OLS((1 - gain) * other - own, np.ones(len(rows))).fit(cov_type="cluster", cov_kwds=options)
    error = fitted.bse[0] / other.mean()
    assert 0.95 * error <= np.std(draw_gains(panel_of(rows)).draws) <= np.sqrt(3) * error


def test_the_order_of_the_rows_does_not_matter(rows):
    shuffled = panel_of(rows.sample(frac=1, random_state=2))
    assert draw_gains(shuffled).bound(0.05) == pytest.approx(draw_gains(panel_of(rows)).bound(0.05))
    found, known = (diebold_mariano(panel, minimum_effect=0).statistic for panel in (shuffled, panel_of(rows)))
    assert found == pytest.approx(known)


def test_the_bound_is_students_for_few_groups_and_the_draws_own_for_many():
    few = draw_gains(panel_of(simulate(SMALL, seed=1)))
    quantile = np.quantile(few.draws, 0.05)
    stretch = stats.t.ppf(0.05, 4) / stats.norm.ppf(0.05) * np.sqrt(5 / 4)
    assert few.bound(0.05) == pytest.approx(few.gain + stretch * (quantile - few.gain))
    assert few.bound(0.05) < quantile < few.gain < few.bound(0.95)


@pytest.mark.parametrize(("stores", "drawn"), [(6, "store_id"), (5, "series_id")])
def test_of_few_stores_the_series_are_drawn(stores, drawn):
    rows = simulate(SimulatedPanel(stores=stores, items=4, origins=2, horizon_days=7), seed=1)
    assert draw_gains(panel_of(rows)).cluster == drawn


def test_very_many_customers_are_joined():
    rng = np.random.default_rng(1)
    day = np.arange(9000) % 70
    rows = pd.DataFrame({"customer_id": np.arange(9000) // 2, "fold": day // 35, "actual": 0.0})
    rows = rows.assign(ordered_at=np.datetime64("2025-06-02") + day, mean=rng.normal(size=9000))
    drawn = draw_gains(panel_of(rows.assign(champion=rng.normal(size=9000))))
    assert (drawn.cluster, drawn.clusters) == ("customer_id", MOST_CLUSTERS)
    assert drawn.blocks == 11, "weeks from Thursday on, as 1970 began"
    assert diebold_mariano(panel_of(rows.assign(champion=2.0)), minimum_effect=0).lag == 3


@pytest.mark.parametrize("shape", [{"origins": 1}, {"stores": 1, "items": 1}])
def test_one_origin_or_one_series_tells_nothing(shape):
    panel = panel_of(simulate(SimulatedPanel(**{"stores": 8, "horizon_days": 14, **shape}), seed=1, gain=0.5))
    assert draw_gains(panel).bound(0.05) is None


def test_where_days_are_no_more_than_the_horizon_diebold_mariano_says_nothing():
    found = diebold_mariano(panel_of(simulate(SimulatedPanel(stores=8, origins=1), seed=1)), minimum_effect=0)
    assert (found.statistic, found.p_value, found.observations, found.lag) == (None, None, 28, 27)


def test_rows_without_days_are_tested_by_fold():
    rows = simulate(SMALL, seed=1).drop(columns=["sales_date", "horizon_days"])
    panel = panel_of(rows)
    assert (draw_gains(panel).blocks, diebold_mariano(panel, minimum_effect=0).observations) == (5, 5)


def test_a_reference_that_never_errs_cannot_be_beaten():
    rows = simulate(SMALL, seed=1).assign(champion=lambda frame: frame["actual"])
    assert np.isnan(panel_of(rows).gain)
    assert draw_gains(panel_of(rows)).bound(0.05) is None


def test_equal_losses_have_no_t():
    rows = simulate(SMALL, seed=1).assign(champion=lambda frame: frame["mean"])
    assert textbook_t(panel_of(rows)).p_value is None
