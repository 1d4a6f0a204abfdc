"""Orders and stock of one store as rows of the shop: as first written, as they stand on a day, and what changes."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from shelfcast.sources.closing_times import DAYS_A_WEEK, after_midnight
from shelfcast_local.playback.changes import Change, Transaction, deleted, inserted, updated
from shelfcast_local.simulator.baskets import HOURS, Baskets, Orders
from shelfcast_local.simulator.demand import StoreWeek
from shelfcast_local.simulator.world import Booleans, Floats, Integers, World, as_days

Frames = tuple[pd.DataFrame, pd.DataFrame]
AS_FIRST_WRITTEN = 0


def rows_as_of(world: World, store: int, baskets: Baskets, day: int) -> Frames:
    """Rows of `orders` and `order_lines` that are in the shop's database at the end of an ordinal day."""
    orders = baskets.orders
    return _rows(world, store, baskets, as_of=day, chosen=(orders.written_on <= day) & (orders.removed_on > day))


def rows_first_written(world: World, store: int, baskets: Baskets, chosen: Booleans) -> Frames:
    """The chosen orders with their lines as the till sent them, ordered by time."""
    return _rows(world, store, baskets, as_of=AS_FIRST_WRITTEN, chosen=chosen)


def insertions(orders: pd.DataFrame, lines: pd.DataFrame) -> Transaction:
    """One transaction that writes orders and their lines."""
    return [inserted("orders", orders), inserted("order_lines", lines)]


def hourly_insertions(orders: pd.DataFrame, lines: pd.DataFrame) -> Iterator[Transaction]:
    """The orders of a store's day, one transaction an hour."""
    hours = orders["ordered_at"].dt.hour
    for hour, part in orders.groupby(hours.to_numpy(), sort=True):
        yield insertions(part, lines[lines["order_id"].map(dict.fromkeys(part["order_id"], True)).notna()])
        del hour


def later_changes(baskets: Baskets, day: int) -> Iterator[Transaction]:
    """What happens on a day to orders that are written: one transaction a kind, none that is empty."""
    orders, lines = baskets
    ids, line_ids = _keys(baskets)
    for status, when in (("cancelled", orders.cancelled_on), ("returned", orders.returned_on)):
        yield from _unless_empty([updated("orders", ids[when == day].assign(status=status))])
    corrected = lines.corrected_on == day
    wrong, void = corrected & ~lines.is_void, corrected & lines.is_void
    touched = np.zeros(len(ids), dtype=bool)
    touched[lines.order[corrected]] = True
    amounts = ids.assign(order_amount=_amounts(baskets, day))
    yield from _unless_empty(
        [
            updated("order_lines", line_ids.assign(quantity=lines.quantity)[wrong]),
            deleted("order_lines", line_ids[void]),
            updated("orders", amounts[touched]),
        ]
    )
    removed = orders.removed_on == day
    yield from _unless_empty([deleted("order_lines", line_ids[removed[lines.order]]), deleted("orders", ids[removed])])


def stock_rows(world: World, week: StoreWeek, first: int, last: int) -> pd.DataFrame:
    """Rows of `stock_levels`: the count on the evening before a delivery, and every day that ends with nothing."""
    in_time = (week.days >= max(first, world.settings.first_day.toordinal())) & (week.days <= last)
    is_count = np.arange(7) == 6
    day, item = np.nonzero(in_time[:, None] & week.is_sold & (is_count[:, None] | (week.on_hand == 0)))
    return pd.DataFrame(
        {
            "store_id": np.full(len(day), world.store_ids[week.store]),
            "item_id": world.item_ids[item],
            "stock_date": as_days(week.days[day]),
            "units_on_hand": week.on_hand[day, item].astype(float),
        }
    )


def _rows(world: World, store: int, baskets: Baskets, *, as_of: int, chosen: Booleans) -> Frames:
    orders, lines = baskets
    ordered_at = as_days(orders.sold_on).astype("datetime64[s]") + _seconds(world, orders).astype("timedelta64[s]")
    order_rows = pd.DataFrame(
        {
            "order_id": orders.order_id,
            "customer_id": orders.customer_id,
            "store_id": np.full(len(ordered_at), world.store_ids[store]),
            "ordered_at": ordered_at,
            "status": _status(baskets, as_of),
            "order_amount": _amounts(baskets, as_of),
        }
    )
    keys, present = _keys(baskets)[1], _is_present(baskets, as_of) & chosen[lines.order]
    line_rows = keys.assign(
        item_id=world.item_ids[lines.item],
        quantity=_quantity(baskets, as_of).astype(float),
        unit_price=lines.unit_price,
    )
    return order_rows[chosen], line_rows[present]


def _seconds(world: World, orders: Orders) -> Integers:
    """Seconds of the day in which the orders come; a shop that closes early has them in a shorter day."""
    closes_at = [after_midnight(clock).total_seconds() for clock in world.settings.closes_at]
    opens, usual = 3600 * HOURS[0], 3600 * (HOURS[-1] + 1)
    lengths = np.minimum(closes_at, usual) - opens
    length = lengths[(orders.sold_on - 1) % DAYS_A_WEEK % len(lengths)]  # the first ordinal day was a Monday
    return np.asarray(opens + (orders.second - opens) * length // (usual - opens), dtype=np.int64)


def _keys(baskets: Baskets) -> Frames:
    orders, lines = baskets
    ids = pd.DataFrame({"order_id": orders.order_id})
    return ids, pd.DataFrame({"order_id": orders.order_id[lines.order], "line_number": lines.line_number})


def _status(baskets: Baskets, day: int) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    is_cancelled, is_returned = baskets.orders.cancelled_on <= day, baskets.orders.returned_on <= day
    status = np.where(is_cancelled, "cancelled", np.where(is_returned, "returned", "completed"))
    return np.asarray(status, dtype=object)


def _quantity(baskets: Baskets, day: int) -> Integers:
    lines = baskets.lines
    return np.where(lines.corrected_on <= day, lines.quantity, lines.first_quantity)


def _is_present(baskets: Baskets, day: int) -> Booleans:
    return ~(baskets.lines.is_void & (baskets.lines.corrected_on <= day))


def _amounts(baskets: Baskets, day: int) -> Floats:
    lines = baskets.lines
    values = _quantity(baskets, day) * lines.unit_price * _is_present(baskets, day)
    return np.round(np.bincount(lines.order, values, minlength=len(baskets.orders.order_id)), 2)


def _unless_empty(changes: list[Change]) -> Iterator[Transaction]:
    present = [change for change in changes if change.rows.num_rows]
    if present:
        yield present
