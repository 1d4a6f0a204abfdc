"""A small shop that sells by known rules: six stores, thirteen items, in arrays of shape (days, stores, items).

Simpler than the simulator, whose days are made one by one: a year of a scenario differs from another one only where the
scenario says so, to the last unit, and takes seconds to make.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.signal import lfilter

from shelfcast_local.year.scenarios import HISTORY_WEEKS, YEAR, Scenario

STORES, ITEMS = 6, 13
FIRST_DAY = date(2022, 1, 3)
CLOSES_AT = time(21, 30)
ELASTICITY = 1.6
DISPLAY = 1.2
"""What a promotion sells beyond its lower price."""
PROMOTED_WEEKS = 0.15
DISCOUNTS = (0.1, 0.2, 0.3)
FIGHT = (0.45, 0.5)
"""Share of weeks and depth of promotions after a shift."""
PRICE_STEPS = 0.02
"""Share of weeks in which a price changes by some percent."""
DISPERSION = 0.05
LEVEL_SPREAD, LEVEL_WEEKS = 0.3, 10
"""Standard deviation of the logarithm of a series' level about its mean, and the weeks after which it is forgotten."""

STORE_DAYS, ITEM_DAYS = 0.06, 0.04
"""Standard deviations of what is good or bad about a day for a store or an item."""

WEEK = np.array([0.9, 0.85, 0.9, 1.0, 1.25, 1.45, 0.65])
WEEKEND = np.array([0.6, 0.57, 0.6, 0.67, 0.85, 1.55, 2.2])
"""Factors of Monday to Sunday, as they are and after a change of habits."""

MOST_OF_A_REFORM = 0.35
BROKEN_ROWS, BROKEN_FACTOR = 1 / 3, 10
DAYS_AHEAD = 60
"""Days after the last one of which prices and promotions are planned."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Shop:
    """What a shop sold and planned.

    Attributes:
        days: Ordinal days from the first one on; sales end `DAYS_AHEAD` before their end.
        units: Sold, shape (days, stores, items).
        price: Shelf price, the same shape.
        discount: Share that a promotion takes off it, 0 without one.
    """

    days: npt.NDArray[np.int64]
    units: Floats
    price: Floats
    discount: Floats

    @property
    def last_day(self) -> date:
        """The last day with sales."""
        return date.fromordinal(int(self.days[-1]) - DAYS_AHEAD)


def monday_of(week: int) -> date:
    """The Monday on which a week of the year begins."""
    return FIRST_DAY + timedelta(weeks=HISTORY_WEEKS + week)


def make_shop(scenario: Scenario, *, seed: int) -> Shop:
    """The shop of a scenario; scenarios of one seed differ from the first week on in which they say so."""
    rng = np.random.default_rng(seed)
    # a whole year is drawn of each scenario, or shorter ones would be other shops
    days = FIRST_DAY.toordinal() + np.arange(7 * (HISTORY_WEEKS + YEAR + 1) + DAYS_AHEAD)
    shape = (len(days), STORES, ITEMS)
    size, level = rng.lognormal(0, 0.35, STORES), rng.lognormal(0, 0.6, ITEMS)
    level *= scenario.units_a_day / (level.mean() * size.mean())
    reference = np.round(rng.uniform(1.5, 6, ITEMS), 2)
    price = _prices(scenario, reference, shape, rng)
    discount = _discounts(scenario, shape, rng)
    demand = size[:, None] * level * (price * (1 - discount) / reference) ** -ELASTICITY
    demand *= np.where(discount > 0, DISPLAY, 1.0)
    demand *= (_weekdays(scenario, days) * _season(days))[:, None, None]
    demand *= _levels(shape, rng)
    demand *= np.exp(STORE_DAYS * rng.normal(size=(len(days), STORES, 1)))
    demand *= np.exp(ITEM_DAYS * rng.normal(size=(len(days), 1, ITEMS)))
    rate = demand * rng.gamma(1 / DISPERSION, DISPERSION, size=shape)
    units = _broken(scenario, rng.poisson(rate).astype(float), rng)
    sold = 7 * (HISTORY_WEEKS + scenario.weeks + 1)
    known = slice(sold + DAYS_AHEAD)
    return Shop(days=days[known], units=units[:sold], price=price[known], discount=discount[known])


def tables_of(shop: Shop) -> dict[str, pd.DataFrame]:
    """Rows of the shop's tables, without what the change log adds."""
    stores = [f"S{number}" for number in range(STORES)]
    items = [f"I{number:02d}" for number in range(ITEMS)]
    sold_on = _dates(shop.days[: len(shop.units)])
    before = datetime.combine(FIRST_DAY - timedelta(days=30), time())
    day, store, item = np.nonzero(shop.units)
    order = day * STORES + store
    lines = pd.DataFrame(
        {
            "order_id": order,
            "line_number": item + 1,
            "item_id": np.array(items)[item],
            "quantity": shop.units[day, store, item],
            "unit_price": np.round((shop.price * (1 - shop.discount))[day, store, item], 2),
        }
    )
    heads = pd.DataFrame({"order_id": np.arange(len(shop.units) * STORES)})
    heads = heads.assign(
        customer_id=heads["order_id"] % 97,
        store_id=np.tile(stores, len(shop.units)),
        ordered_at=np.repeat([datetime.combine(on, time(12)) for on in sold_on], STORES),
        status="completed",
        order_amount=np.bincount(order, lines["quantity"] * lines["unit_price"], len(heads)).round(2),
    )
    return {
        "stores": pd.DataFrame(
            {"store_id": stores, "region": "north", "store_group": "market", "opened_on": FIRST_DAY}
        ),
        "items": pd.DataFrame({"item_id": items, "category": "food", "introduced_on": FIRST_DAY}),
        "prices": _price_rows(shop, stores, items, before),
        "promotions": _promotion_rows(shop, stores, items, before),
        "orders": heads,
        "order_lines": lines,
        "business_days": pd.DataFrame(
            {"business_date": sold_on, "closed_at": [datetime.combine(on, CLOSES_AT) for on in sold_on]}
        ),
    }


def _weekdays(scenario: Scenario, days: npt.NDArray[np.int64]) -> Floats:
    weekday = (days - 1) % 7
    return np.where(_from(scenario.habits_week, days), WEEKEND[weekday], WEEK[weekday])


def _season(days: npt.NDArray[np.int64]) -> Floats:
    return np.asarray(1 + 0.12 * np.cos(2 * np.pi * (days - FIRST_DAY.toordinal()) / 365.25))


def _levels(shape: tuple[int, int, int], rng: np.random.Generator) -> Floats:
    """What a series sells beside its own mean: it comes and goes over weeks, as no mean of a year can tell."""
    memory = np.exp(-1 / (7 * LEVEL_WEEKS))
    shocks = rng.normal(size=shape) * np.where(np.arange(shape[0]) == 0, 1.0, np.sqrt(1 - memory**2))[:, None, None]
    return np.exp(LEVEL_SPREAD * np.asarray(lfilter([1.0], [1.0, -memory], shocks, axis=0)))


def _prices(scenario: Scenario, reference: Floats, shape: tuple[int, int, int], rng: np.random.Generator) -> Floats:
    """Prices of an item are the same in all stores; steps of some percent, and the reform."""
    weeks = shape[0] // 7 + 1
    is_step = rng.random((weeks, ITEMS)) < PRICE_STEPS
    steps = np.cumsum(np.where(is_step, rng.uniform(-0.06, 0.08, (weeks, ITEMS)), 0.0), axis=0)
    reform = rng.uniform(-MOST_OF_A_REFORM, MOST_OF_A_REFORM, ITEMS)
    if scenario.reform_week is not None:
        steps[HISTORY_WEEKS + scenario.reform_week :] += reform
    by_day = np.repeat(np.round(reference * np.exp(steps), 2), 7, axis=0)[: shape[0]]
    return np.repeat(by_day[:, None, :], STORES, axis=1)


def _discounts(scenario: Scenario, shape: tuple[int, int, int], rng: np.random.Generator) -> Floats:
    """A promotion holds a week, Monday to Sunday, and is never followed by another one at once."""
    weeks = shape[0] // 7 + 1
    chance, depth = rng.random((weeks, *shape[1:])), rng.choice(DISCOUNTS, (weeks, *shape[1:]))
    share = np.full((weeks, 1, 1), PROMOTED_WEEKS)
    if scenario.shift_week is not None:
        share[HISTORY_WEEKS + scenario.shift_week :], depth[HISTORY_WEEKS + scenario.shift_week :] = FIGHT
    is_promoted = chance < share
    is_promoted[1:] &= ~is_promoted[:-1]
    return np.repeat(np.where(is_promoted, depth, 0.0), 7, axis=0)[: shape[0]]


def _broken(scenario: Scenario, units: Floats, rng: np.random.Generator) -> Floats:
    missing = rng.random(units.shape) < BROKEN_ROWS
    if scenario.broken_week is None:
        return units
    first = 7 * (HISTORY_WEEKS + scenario.broken_week)
    week = slice(first, first + 7)
    units[week, 0] = np.where(missing[week, 0], 0.0, units[week, 0])
    units[week, 1] *= BROKEN_FACTOR
    return units


def _from(week: int | None, days: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    if week is None:
        return np.zeros(len(days), dtype=bool)
    return np.asarray(days >= monday_of(week).toordinal())


def _price_rows(shop: Shop, stores: list[str], items: list[str], before: datetime) -> pd.DataFrame:
    changed = np.ones(shop.price.shape, dtype=bool)
    changed[1:] = shop.price[1:] != shop.price[:-1]
    day, store, item = np.nonzero(changed)
    valid_from = _dates(shop.days[day])
    return pd.DataFrame(
        {
            "store_id": np.array(stores)[store],
            "item_id": np.array(items)[item],
            "valid_from": valid_from,
            "price": shop.price[day, store, item],
            "announced_at": _announced(valid_from, before),
        }
    )


def _promotion_rows(shop: Shop, stores: list[str], items: list[str], before: datetime) -> pd.DataFrame:
    begins = shop.discount > 0
    begins[1:] &= shop.discount[:-1] == 0
    day, store, item = np.nonzero(begins)
    starts_on = _dates(shop.days[day])
    return pd.DataFrame(
        {
            "promotion_id": np.arange(len(day)),
            "store_id": np.array(stores)[store],
            "item_id": np.array(items)[item],
            "starts_on": starts_on,
            "ends_on": [on + timedelta(days=6) for on in starts_on],
            "discount": shop.discount[day, store, item],
            "announced_at": _announced(starts_on, before),
        }
    )


def _announced(days: list[date], before: datetime) -> list[datetime]:
    """Forty days ahead, so that a horizon of four weeks is planned."""
    return [max(before, datetime.combine(on - timedelta(days=40), time(9))) for on in days]


def _dates(ordinals: npt.NDArray[np.int64]) -> list[date]:
    return [date.fromordinal(int(ordinal)) for ordinal in ordinals]
