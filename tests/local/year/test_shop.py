"""The small shop of a year: scenarios of one seed are one shop until something happens."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from shelfcast_local.year.scenarios import HISTORY_WEEKS, SCENARIOS
from shelfcast_local.year.shop import FIRST_DAY, make_shop, monday_of, tables_of

STATIONARY = make_shop(SCENARIOS["stationary"], seed=1)


@pytest.mark.parametrize("name", [name for name, scenario in SCENARIOS.items() if scenario.first_week])
def test_a_scenario_is_the_stationary_shop_until_its_week(name):
    scenario = SCENARIOS[name]
    shop = make_shop(scenario, seed=1)
    until = 7 * (HISTORY_WEEKS + scenario.first_week)
    np.testing.assert_array_equal(shop.units[:until], STATIONARY.units[:until])
    np.testing.assert_array_equal(shop.price[:until], STATIONARY.price[:until])
    is_of_sales = name != "worse recipe"
    assert (shop.units[until:] != STATIONARY.units[until : len(shop.units)]).any() == is_of_sales


def test_a_broken_week_is_one_week_of_two_stores():
    shop = make_shop(SCENARIOS["broken week"], seed=1)
    changed = (shop.units != STATIONARY.units[: len(shop.units)]).any(axis=(2,))
    days, stores = np.nonzero(changed)
    first = (monday_of(SCENARIOS["broken week"].broken_week) - FIRST_DAY).days
    assert set(stores) == {0, 1}
    assert (days.min(), days.max()) == (first, first + 6)


def test_the_tables_hold_every_unit_and_promotion():
    shop = make_shop(replace(SCENARIOS["stationary"], weeks=2), seed=3)
    tables = tables_of(shop)
    assert tables["order_lines"]["quantity"].sum() == shop.units.sum()
    spans = (tables["promotions"]["ends_on"] - tables["promotions"]["starts_on"]).unique()
    assert list(spans) == [timedelta(days=6)]
    assert (tables["promotions"]["announced_at"].dt.date < tables["promotions"]["starts_on"]).all()
    assert tables["business_days"]["business_date"].iloc[-1] == shop.last_day
    assert shop.last_day == monday_of(3) - timedelta(days=1)
