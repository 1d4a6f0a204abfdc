"""Stores whose newest week is a broken feed rather than a change of demand."""

import numpy as np
import pytest

from shelfcast.registry import gate
from shelfcast.registry.gate import Outcome
from shelfcast.registry.gate_simulation import COST, RULES, SimulatedPanel, simulate
from shelfcast.registry.store_breaks import LASTING_WEEKS, store_breaks

PANEL = SimulatedPanel(stores=8, items=10)


def shop(*, weeks, factor, stores=(3,), seed=1):
    """Fold forecasts of a shop in which some stores sold `factor` times as much in the newest weeks."""
    rows = simulate(PANEL, seed=seed)
    is_newest = rows["sales_date"] > rows["sales_date"].max() - np.timedelta64(7 * weeks, "D")
    is_broken = is_newest & rows["store_id"].isin(stores)
    return rows.assign(actual=np.where(is_broken, rows["actual"] * factor, rows["actual"]))


@pytest.mark.parametrize("factor", [2 / 3, 10.0])
@pytest.mark.parametrize("weeks", [1, 2])
def test_a_store_that_leaves_its_forecast_alone_is_named(factor, weeks):
    (found,) = store_breaks(shop(weeks=weeks, factor=factor), RULES)
    assert (found.store_id, found.weeks) == ("3", weeks)
    assert found.ratio == pytest.approx(factor, rel=0.1)


def test_it_holds_the_candidate_back_with_the_store_named():
    decision = gate.decide(shop(weeks=1, factor=10.0), RULES, strongest_simple="x", cost=COST)
    assert decision.outcome is Outcome.HOLD
    assert "the newest days are not to be learned from" in "; ".join(decision.reasons)
    assert "3 (× " in "; ".join(decision.reasons)


def test_a_change_that_lasts_is_one_of_demand():
    assert store_breaks(shop(weeks=LASTING_WEEKS, factor=2 / 3), RULES) == []


def test_a_shift_of_all_stores_breaks_none():
    assert store_breaks(shop(weeks=1, factor=2 / 3, stores=range(8)), RULES) == []


def test_quiet_stores_are_not_asked_about():
    assert [store_breaks(simulate(PANEL, seed=seed), RULES) for seed in range(20)] == [[]] * 20


def test_orders_without_a_store_have_none():
    assert store_breaks(shop(weeks=1, factor=10.0).drop(columns="store_id"), RULES) == []
