"""Turns what a store sold on a day into orders of customers, and decides what happens to each order later.

The units that the shelf gave out are the truth: once every later event has happened, the lines of completed and
returned orders add up to them. Cancelled orders, voided lines and wrong first quantities come on top.
"""

from dataclasses import dataclass, fields
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from shelfcast_local.simulator.streams import Purpose, stream
from shelfcast_local.simulator.world import Booleans, Floats, Integers, World

LAG_DAYS = (1, 2, 3, 5, 8, 13)
LAG_WEIGHTS = (0.34, 0.24, 0.18, 0.12, 0.08, 0.04)
LATE_DAYS = 3
COPY_DAYS = 2
NOT_EVER = 10_000_000
LINES_AN_ORDER = 2.4
GOLDEN = 0.6180339887498949
HOURS = np.arange(8, 20)
HOUR_WEIGHTS = np.array([5, 7, 9, 10, 10, 8, 8, 9, 11, 12, 8, 3]) / 100


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Orders of one store: each array is one value an order. Days are ordinal, `NOT_EVER` where there is none.

    Attributes:
        order_id, customer_id: Keys.
        second: Second of the day it was sold in.
        sold_on, written_on: The day it was sold, and the day the shop wrote it.
        cancelled_on, returned_on, removed_on: What happens to it later.
    """

    order_id: Integers
    customer_id: Integers
    second: Integers
    sold_on: Integers
    written_on: Integers
    cancelled_on: Integers
    returned_on: Integers
    removed_on: Integers


@dataclass(frozen=True, kw_only=True)
class Lines:
    """Order lines of one store: each array is one value a line.

    Attributes:
        order: Index of its order in `Orders`.
        line_number: 1, 2, … in its order.
        item: Index of the item.
        first_quantity, quantity: Units as first written, and as they really were.
        unit_price: What the customer paid for a unit.
        corrected_on: Day on which `first_quantity` becomes `quantity`, or a voided line is deleted.
        is_void: Lines that were entered by mistake.
    """

    order: Integers
    line_number: Integers
    item: Integers
    first_quantity: Integers
    quantity: Integers
    unit_price: Floats
    corrected_on: Integers
    is_void: Booleans


class Baskets(NamedTuple):
    """Orders of a store with their lines."""

    orders: Orders
    lines: Lines


def day_baskets(world: World, store: int, day: int, *, sold: Integers, unit_price: Floats) -> Baskets:
    """The orders of a store's day.

    Args:
        world: The shop.
        store: Index of the store.
        day: Ordinal day.
        sold: Units by item.
        unit_price: Price paid by item.
    """
    rng = stream(world.settings.seed, Purpose.ORDERS, store, day)
    item, quantity = _split_into_lines(rng, sold, world.line_units)
    customers = _customers(world, rng, store, day, max(1, round(len(item) / LINES_AN_ORDER)))
    weights = basket_size(customers).cumsum()
    order = np.searchsorted(weights, rng.random(len(item)) * weights[-1], side="right")
    item, quantity, order, extra = _with_mistakes(rng, item, quantity, order, len(customers))
    present, order = np.unique(order, return_inverse=True)
    is_cancelled = present >= len(customers)
    customers = np.concatenate([customers, _customers(world, rng, store, day, extra.cancelled)])[present]
    by_order = np.argsort(order, kind="stable")
    orders = _orders(rng, store, day, customers, is_cancelled)
    lines = _lines(rng, day, item[by_order], quantity[by_order], order[by_order], unit_price, extra.is_void[by_order])
    return Baskets(orders, lines)


def basket_size(customer_id: Integers) -> Floats:
    """How large a customer's baskets are against the mean: a lasting trait, spread like a log-normal."""
    return np.asarray(np.exp(0.6 * ndtri((customer_id * GOLDEN) % 1 * 0.998 + 0.001)))


def _split_into_lines(rng: np.random.Generator, sold: Integers, line_units: Floats) -> tuple[Integers, Integers]:
    """Lines of at least one unit each that add up to `sold`: items and quantities."""
    count = np.where(sold > 0, np.clip(np.round(sold / line_units), 1, np.maximum(sold, 1)), 0).astype(np.int64)
    item = np.repeat(np.arange(len(sold)), count)
    spare = np.repeat(np.arange(len(sold)), sold - count)
    first = np.cumsum(count) - count
    lucky = first[spare] + (rng.random(len(spare)) * count[spare]).astype(np.int64)
    return item, 1 + np.bincount(lucky, minlength=len(item))


def _customers(world: World, rng: np.random.Generator, store: int, day: int, count: int) -> Integers:
    """Customers of a store: a pool that grows, in which a few come often."""
    age = day - world.settings.first_day.toordinal()
    pool = 300 * world.store_size[store] * (1 + age / 700)
    number = (pool * rng.random(count) ** 2.2).astype(np.int64)
    return np.asarray(store * 1_000_000 + number + 1)


class _Extra(NamedTuple):
    cancelled: int
    is_void: Booleans


def _with_mistakes(
    rng: np.random.Generator, item: Integers, quantity: Integers, order: Integers, orders: int
) -> tuple[Integers, Integers, Integers, _Extra]:
    """Adds lines that were voided later, and orders that were cancelled later; both of items that are on sale."""
    if not len(item):
        return item, quantity, order, _Extra(0, np.zeros(0, dtype=bool))
    voids, cancelled = int(rng.poisson(0.004 * len(item))), int(rng.poisson(0.02 * orders))
    of_cancelled = np.repeat(np.arange(cancelled), rng.integers(1, 4, cancelled))
    added = voids + len(of_cancelled)
    void_orders = order[rng.integers(0, len(order), voids)]
    is_void = np.zeros(len(item) + added, dtype=bool)
    is_void[len(item) : len(item) + voids] = True
    return (
        np.concatenate([item, item[rng.integers(0, len(item), added)]]),
        np.concatenate([quantity, rng.integers(1, 4, added)]),
        np.concatenate([order, void_orders, orders + of_cancelled]),
        _Extra(cancelled, is_void),
    )


def _orders(rng: np.random.Generator, store: int, day: int, customers: Integers, is_cancelled: Booleans) -> Orders:
    count = len(customers)
    second = rng.choice(HOURS, size=count, p=HOUR_WEIGHTS) * 3600 + rng.integers(0, 3600, count)
    later = day + rng.choice(LAG_DAYS, size=count, p=LAG_WEIGHTS)
    is_returned = (rng.random(count) < 0.018) & ~is_cancelled
    same_day = rng.random(count) < 0.6
    order_id = (day - date(2000, 1, 1).toordinal()) * 100_000_000 + store * 100_000 + np.arange(count) + 1
    return Orders(
        order_id=order_id,
        customer_id=customers,
        second=second,
        sold_on=np.full(count, day),
        written_on=np.full(count, day),
        cancelled_on=np.where(is_cancelled, np.where(same_day, day, day + 1), NOT_EVER),
        returned_on=np.where(is_returned, later, NOT_EVER),
        removed_on=np.full(count, NOT_EVER),
    )


def _lines(
    rng: np.random.Generator,
    day: int,
    item: Integers,
    quantity: Integers,
    order: Integers,
    unit_price: Floats,
    is_void: Booleans,
) -> Lines:
    count = len(item)
    later = day + rng.choice(LAG_DAYS, size=count, p=LAG_WEIGHTS)
    wrong = np.maximum(1, quantity + rng.choice([-3, -2, -1, 1, 2, 8], size=count))
    is_wrong = (rng.random(count) < 0.012) & (wrong != quantity) & ~is_void
    starts = np.flatnonzero(np.diff(order, prepend=-1))
    return Lines(
        order=order,
        line_number=np.arange(count) - np.repeat(starts, np.diff(np.append(starts, count))) + 1,
        item=item,
        first_quantity=np.where(is_wrong, wrong, quantity),
        quantity=quantity,
        unit_price=np.round(unit_price[item], 2),
        corrected_on=np.where(is_wrong | is_void, later, NOT_EVER),
        is_void=is_void,
    )


def joined(parts: list[Baskets]) -> Baskets:
    """Baskets of many days as one; their order is kept."""
    sizes = np.cumsum([0] + [len(part.orders.order_id) for part in parts])
    shifted = [part.lines.order + start for part, start in zip(parts, sizes, strict=False)]
    lines = _concatenated(Lines, [part.lines for part in parts])
    lines["order"] = np.concatenate(shifted)
    return Baskets(Orders(**_concatenated(Orders, [part.orders for part in parts])), Lines(**lines))


def _concatenated(kind: type[Orders] | type[Lines], parts: list[Orders] | list[Lines]) -> dict[str, Any]:
    return {field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(kind)}
