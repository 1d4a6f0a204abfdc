"""What customers of a store wanted in a week between two deliveries, and what the shelf let them have.

A store is delivered once a week and filled up to a level that the buyer sets from the demand expected. So what is on
the shelf on any day follows from that week alone, and any week can be made without the weeks before it.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np

from shelfcast_local.simulator.climate import weather_of_days
from shelfcast_local.simulator.offers import discounts, shelf_prices
from shelfcast_local.simulator.shop_calendar import calendar_effect, closed_days
from shelfcast_local.simulator.streams import Purpose, stream
from shelfcast_local.simulator.world import CATEGORY_TRAITS, WEEKDAY_PROFILES, Booleans, Floats, Integers, World

KNOT_DAYS = 28


@dataclass(frozen=True, kw_only=True)
class StoreWeek:
    """Seven days of a store from one delivery to the next; arrays have the shape (7, items).

    Attributes:
        store: Index of the store.
        days: Ordinal days, shape (7,).
        is_open: Shape (7,).
        is_sold: Whether the item is in the store's range.
        expected: Mean of the demand, given everything but chance.
        wanted: Units that customers wanted: the true demand.
        sold: Units that the shelf let them have.
        on_hand: Units left at the end of the day.
        price, discount: Shelf price, and the share that a promotion takes off it.
    """

    store: int
    days: Integers
    is_open: Booleans
    is_sold: Booleans
    expected: Floats
    wanted: Integers
    sold: Integers
    on_hand: Integers
    price: Floats
    discount: Floats


def delivery_week(world: World, store: int, day: int) -> int:
    """Number of the delivery week that an ordinal day falls in."""
    return (day - 1 - int(world.delivery_weekday[store])) // 7


def first_day_of(world: World, store: int, week: int) -> int:
    """Ordinal day of the delivery that begins the week."""
    return week * 7 + 1 + int(world.delivery_weekday[store])


def store_week(world: World, store: int, week: int) -> StoreWeek:
    """Simulates one delivery week of a store."""
    seed, items = world.settings.seed, len(world.category)
    days = first_day_of(world, store, week) + np.arange(7)
    price, discount = shelf_prices(world, store, days), discounts(world, store, days)
    is_open = ~closed_days(world, store, days) & (days >= world.settings.first_day.toordinal())
    is_sold = world.is_sold(store, days)
    planned = _planned(world, store, days, price, discount) * is_open[:, None] * is_sold
    shift = _shift(world, days)[:, None]
    expected = planned * shift * _surprise(world, store, days)
    rng = stream(seed, Purpose.DEMAND, store, week)
    rate = expected * rng.gamma(1 / world.dispersion, world.dispersion, size=(7, items))
    wanted = rng.poisson(rate)
    arrivals = _arrivals(world, store, week, planned, planned * shift)
    sold, on_hand = _empty_shelf(wanted, arrivals)
    return StoreWeek(
        store=store, days=days, is_open=is_open, is_sold=is_sold, expected=expected, wanted=wanted, sold=sold,
        on_hand=on_hand, price=price, discount=discount,
    )  # fmt: skip


def _planned(world: World, store: int, days: Integers, price: Floats, discount: Floats) -> Floats:
    """Demand that a well-informed buyer expects."""
    weekday = (days - 1) % 7
    years = (days - world.settings.first_day.toordinal()) / 365.25
    level = world.base * world.store_size[store] * _affinity(world, store)
    trend = np.exp(np.clip(years[:, None] * np.log1p(np.clip(world.growth, -0.3, 0.4)), -1, 1))
    drift = np.stack([_drift(world, store, day) for day in days.tolist()])
    by_day = WEEKDAY_PROFILES[world.group[store], weekday] * calendar_effect(world, store, days)
    offer = _offer_effect(world, store, days, price, discount)
    return np.asarray(level * trend * drift * by_day[:, None] * _season(world, days) * offer * _launch(world, days))


def _season(world: World, days: Integers) -> Floats:
    strength, peak = CATEGORY_TRAITS[world.category, 2], CATEGORY_TRAITS[world.category, 3]
    day_of_year = np.array([date.fromordinal(day).timetuple().tm_yday for day in days.tolist()])
    return np.asarray(np.exp(strength * np.cos(2 * np.pi * (day_of_year[:, None] - peak) / 365.25)))


def _offer_effect(world: World, store: int, days: Integers, price: Floats, discount: Floats) -> Floats:
    """Price and promotion; in the week after a promotion customers still have some at home."""
    paid = price * (1 - discount)
    effect = (paid / world.reference_price) ** -world.elasticity
    effect = effect * np.where(discount > 0, world.display_uplift, 1.0)
    came_before = discounts(world, store, days - 7) > 0
    return np.where(came_before & (discount == 0), effect * 0.88, effect)


def _launch(world: World, days: Integers) -> Floats:
    """A new item starts slowly and is known after about six weeks."""
    age = days[:, None] - world.introduced_on
    is_newcomer = world.introduced_on > world.settings.first_day.toordinal()
    return np.where(is_newcomer, 1 - 0.65 * np.exp(-np.maximum(age, 0) / 14), 1.0)


def _surprise(world: World, store: int, days: Integers) -> Floats:
    """What the buyer does not know: weather, and days that are good or bad for a store or an item."""
    temperature, rain = weather_of_days(world, int(world.region[store]), days)
    warmth = np.exp(CATEGORY_TRAITS[world.category, 4] * np.clip(temperature - 15, -10, 15)[:, None])
    traffic = np.exp(-(0.014, 0.009, 0.006)[int(world.group[store])] * np.minimum(rain, 20))
    shocks = np.stack([_store_shock(world, day)[store] + _item_shock(world, day) for day in days.tolist()])
    return np.asarray(warmth * traffic[:, None] * np.exp(shocks))


@lru_cache(maxsize=1024)
def _store_shock(world: World, day: int) -> Floats:
    return stream(world.settings.seed, Purpose.STORE_SHOCK, day).normal(0, 0.05, len(world.region))


@lru_cache(maxsize=1024)
def _item_shock(world: World, day: int) -> Floats:
    return stream(world.settings.seed, Purpose.ITEM_SHOCK, day).normal(0, 0.04, len(world.category))


def _affinity(world: World, store: int) -> Floats:
    return np.exp(stream(world.settings.seed, Purpose.AFFINITY, store).normal(0, 0.35, len(world.category)))


def _drift(world: World, store: int, day: int) -> Floats:
    """Slow change of the level, drawn every four weeks and blended between."""
    knot, rest = divmod(day, KNOT_DAYS)
    blend = (1 - np.cos(np.pi * rest / KNOT_DAYS)) / 2
    return np.asarray(np.exp((1 - blend) * _knot(world, store, knot) + blend * _knot(world, store, knot + 1)))


@lru_cache(maxsize=64)
def _knot(world: World, store: int, knot: int) -> Floats:
    seed, items = world.settings.seed, len(world.category)
    own = stream(seed, Purpose.STORE_ITEM_LEVEL, store, knot).normal(0, 0.08, items)
    by_item = stream(seed, Purpose.ITEM_LEVEL, knot).normal(0, 0.07, items)
    by_store = stream(seed, Purpose.STORE_LEVEL, store, knot).normal(0, 0.04)
    return np.asarray(own + by_item + by_store)


def _shift(world: World, days: Integers) -> Floats:
    shift = np.ones(len(days))
    for fault in world.settings.faults:
        if fault.kind == "distribution_shift":
            is_on = np.array([fault.is_on(date.fromordinal(day)) for day in days.tolist()])
            shift = np.where(is_on, fault.amount, shift)
    return shift


def _arrivals(world: World, store: int, week: int, planned: Floats, shifted: Floats) -> Integers:
    """Units that come in by day: the delivery on the first, and emergency deliveries if demand shifts upwards.

    A delivery that comes short makes a stock-out.
    """
    items = len(world.category)
    rng = stream(world.settings.seed, Purpose.SUPPLY, store, week)
    safety = np.exp(rng.normal(0.42, 0.12, items))
    is_short = rng.random(items) < world.settings.short_deliveries
    safety = np.where(is_short, safety * rng.uniform(0.25, 0.7, items), safety)
    arrivals = np.ceil(np.maximum(shifted - planned, 0) * safety)
    arrivals[0] = np.ceil(planned.sum(axis=0) * safety) + (planned.sum(axis=0) > 0) * (1 + world.is_intermittent)
    return np.asarray(arrivals.astype(np.int64))


def _empty_shelf(wanted: Integers, arrivals: Integers) -> tuple[Integers, Integers]:
    sold, on_hand = np.zeros_like(wanted), np.zeros_like(wanted)
    shelf = np.zeros(wanted.shape[1], dtype=np.int64)
    for day in range(len(wanted)):
        shelf = shelf + arrivals[day]
        sold[day] = np.minimum(wanted[day], shelf)
        shelf = shelf - sold[day]
        on_hand[day] = shelf
    return sold, on_hand
