"""Shelf prices and promotions: what they are on a day, and when they were announced."""

from datetime import date
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from shelfcast_local.simulator.streams import Purpose, stream
from shelfcast_local.simulator.world import GROUPS, Floats, Integers, World, as_days

PRICE_DAYS = 182
PRICE_NOTICE_DAYS = 14
LONGEST_NOTICE_DAYS = 22
FIRST_MONDAY = date(2000, 1, 3).toordinal()
PLANNED_AT = np.timedelta64(10 * 3600, "s")


class Flyer(NamedTuple):
    """A week's promotions by item: Monday to Sunday, at all stores or at one store group.

    Attributes:
        is_on: Whether the item is on promotion.
        discount: Share taken off the shelf price, 0.1 to 0.4.
        group: Store group, -1 for all stores.
        notice_days: Days between announcement and start; now and then fewer than seven.
        withdrawn_days: Days before the start on which the plan is withdrawn, 0 if it stands.
    """

    is_on: Floats
    discount: Floats
    group: Integers
    notice_days: Integers
    withdrawn_days: Integers


def week_of(day: int) -> int:
    """Number of the week of an ordinal day, Monday first."""
    return (day - FIRST_MONDAY) // 7


@lru_cache(maxsize=256)
def flyer(seed: int, items: int, week: int) -> Flyer:
    """The promotions planned for a week."""
    rng = stream(seed, Purpose.PROMOTIONS, week)
    is_on = rng.random(items) < 0.10 + 0.06 * (np.arange(items) % 3)
    discount = rng.choice([0.1, 0.15, 0.2, 0.25, 0.3, 0.4], size=items, p=[0.1, 0.2, 0.3, 0.2, 0.15, 0.05])
    group = np.where(rng.random(items) < 0.75, -1, rng.integers(0, len(GROUPS), items))
    notice = np.where(rng.random(items) < 0.94, rng.integers(8, LONGEST_NOTICE_DAYS, items), rng.integers(2, 7, items))
    withdrawn = np.where(rng.random(items) < 0.05, 1, 0)
    return Flyer(is_on.astype(float), discount, group, notice, withdrawn)


def discounts(world: World, store: int, days: Integers) -> Floats:
    """Share taken off by a promotion that took place: shape (days, items), 0 without one."""
    rows = [_week_discounts(world, store, week_of(day)) for day in days.tolist()]
    return np.stack(rows)


def _week_discounts(world: World, store: int, week: int) -> Floats:
    plan = flyer(world.settings.seed, len(world.category), week)
    takes_place = _planned_at(world, plan, store, week) & (plan.withdrawn_days == 0)
    return np.where(takes_place, plan.discount, 0.0)


def _planned_at(world: World, plan: Flyer, store: int, week: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    monday = FIRST_MONDAY + 7 * week
    in_range = (world.introduced_on <= monday) & (world.discontinued_on >= monday + 6)
    in_scope = (plan.group == -1) | (plan.group == world.group[store])
    is_open = world.settings.first_day.toordinal() <= monday and int(world.opened_on[store]) <= monday
    return np.asarray((plan.is_on > 0) & in_range & in_scope & is_open)


def promotions_written(world: World, first: int, last: int, *, as_of: int) -> pd.DataFrame:
    """Rows of `promotions` announced in these days and not withdrawn by the day `as_of`."""
    parts = []
    for week in range(week_of(first), week_of(last + LONGEST_NOTICE_DAYS) + 1):
        monday = FIRST_MONDAY + 7 * week
        plan = flyer(world.settings.seed, len(world.category), week)
        is_announced = (monday - plan.notice_days >= first) & (monday - plan.notice_days <= last)
        stands = (plan.withdrawn_days == 0) | (monday - plan.withdrawn_days > as_of)
        parts.append(_promotion_rows(world, week, is_announced & stands))
    return pd.concat(parts, ignore_index=True)


def promotions_withdrawn(world: World, day: int) -> pd.DataFrame:
    """Rows of `promotions` that the shop takes back on that day."""
    week = week_of(day) + 1
    plan = flyer(world.settings.seed, len(world.category), week)
    is_withdrawn = (plan.withdrawn_days > 0) & (FIRST_MONDAY + 7 * week - plan.withdrawn_days == day)
    return _promotion_rows(world, week, is_withdrawn)


def _promotion_rows(world: World, week: int, chosen: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> pd.DataFrame:
    plan, monday = flyer(world.settings.seed, len(world.category), week), FIRST_MONDAY + 7 * week
    planned = np.stack([_planned_at(world, plan, store, week) & chosen for store in range(len(world.region))])
    stores, items = np.nonzero(planned)
    return pd.DataFrame(
        {
            "promotion_id": week * 10_000_000 + items * 1_000 + stores,
            "store_id": world.store_ids[stores],
            "item_id": world.item_ids[items],
            "starts_on": as_days(np.full(len(items), monday)),
            "ends_on": as_days(np.full(len(items), monday + 6)),
            "discount": plan.discount[items],
            "announced_at": as_days(monday - plan.notice_days[items]).astype("datetime64[s]") + PLANNED_AT,
        }
    )


def _steps(world: World, day: int) -> Integers:
    """How many price changes each item has had by a day."""
    since = day - world.settings.first_day.toordinal()
    offset = (np.arange(len(world.category)) * 67) % PRICE_DAYS
    return np.asarray(np.maximum(0, (since + PRICE_DAYS - offset) // PRICE_DAYS - (offset == 0)))


@lru_cache(maxsize=64)
def _price_level(seed: int, items: int, steps: int) -> Floats:
    """Factor on the first price after a number of changes."""
    if steps <= 0:
        return np.ones(items)
    change = stream(seed, Purpose.PRICES, steps).normal(0.015, 0.035, items)
    return _price_level(seed, items, steps - 1) * np.exp(change)


def shelf_prices(world: World, store: int, days: Integers) -> Floats:
    """Price without promotion: shape (days, items), in the shop's currency, two decimals."""
    return np.stack([_prices_of_day(world, store, day) for day in days.tolist()])


def _prices_of_day(world: World, store: int, day: int) -> Floats:
    items = len(world.category)
    steps = _steps(world, day)
    level = np.ones(items)
    for step in np.unique(steps).tolist():
        level = np.where(steps == step, _price_level(world.settings.seed, items, step), level)
    return np.round(world.reference_price * level * (1.03, 1.0, 0.98)[int(world.group[store])], 2)


def prices_written(world: World, first: int, last: int) -> pd.DataFrame:
    """Rows of `prices` announced in these days, 14 days before they hold; a new series' first price included."""
    start = world.settings.first_day.toordinal()
    days = np.arange(max(first, start - PRICE_NOTICE_DAYS), last + 1) + PRICE_NOTICE_DAYS
    return pd.concat([_price_rows(world, store, days) for store in range(len(world.region))], ignore_index=True)


def _price_rows(world: World, store: int, days: Integers) -> pd.DataFrame:
    """First prices and changes that hold from one of `days`."""
    first_on = np.maximum(world.introduced_on, world.opened_on[store])
    found: list[tuple[int, Integers]] = []
    for day in days.tolist():
        is_changed = (_steps(world, day) != _steps(world, day - 1)) & (first_on < day) & (world.discontinued_on >= day)
        items = np.flatnonzero(is_changed | (first_on == day))
        if len(items):
            found.append((day, items))
    valid_from = np.concatenate([np.full(len(items), day) for day, items in found] or [np.empty(0, np.int64)])
    items = np.concatenate([items for _, items in found] or [np.empty(0, np.int64)])
    prices = [_prices_of_day(world, store, day)[items] for day, items in found]
    return pd.DataFrame(
        {
            "store_id": np.full(len(items), world.store_ids[store]),
            "item_id": world.item_ids[items],
            "valid_from": as_days(valid_from),
            "price": np.concatenate(prices or [np.empty(0)]),
            "announced_at": as_days(valid_from - PRICE_NOTICE_DAYS).astype("datetime64[s]") + PLANNED_AT,
        }
    )
