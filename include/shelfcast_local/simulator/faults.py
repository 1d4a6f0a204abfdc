"""What goes wrong on request: changes to a day's baskets, and rows that no shop should write."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd

from shelfcast.sources.simulation_settings import Fault, FaultKind, SimulationSettings
from shelfcast_local.simulator.baskets import COPY_DAYS, LATE_DAYS, NOT_EVER, Baskets, Lines, Orders, joined
from shelfcast_local.simulator.streams import Purpose, stream
from shelfcast_local.simulator.world import Booleans, World, as_days

COPY_OFFSET = 50_000
"""Added to an order's id for its second copy; a store has fewer orders a day than that."""
BAD_OFFSET = 90_000


def active(settings: SimulationSettings, kind: FaultKind, day: int) -> Fault | None:
    """The newest fault of that kind that acts on an ordinal day."""
    found = [fault for fault in settings.faults if fault.kind == kind and fault.is_on(date.fromordinal(day))]
    return found[-1] if found else None


def disturbed(world: World, store: int, day: int, baskets: Baskets) -> Baskets:
    """The day's baskets with late and doubled orders."""
    rng = stream(world.settings.seed, Purpose.FAULTS, store, day)
    orders, lines = baskets
    late, copies = rng.random(len(orders.order_id)), rng.random(len(orders.order_id))
    fault = active(world.settings, "late_data", day)
    if fault:
        orders, lines = _written_late(orders, lines, late < fault.amount)
    fault = active(world.settings, "duplicate_orders", day)
    if fault:
        return joined([Baskets(orders, lines), _copies(orders, lines, copies < fault.amount)])
    return Baskets(orders, lines)


def _written_late(orders: Orders, lines: Lines, is_late: Booleans) -> Baskets:
    """Nothing can happen to an order in the shop's database before it is there."""
    written_on = np.where(is_late, orders.written_on + LATE_DAYS, orders.written_on)
    orders = replace(
        orders,
        written_on=written_on,
        cancelled_on=np.maximum(orders.cancelled_on, written_on),
        returned_on=np.maximum(orders.returned_on, written_on),
    )
    return Baskets(orders, replace(lines, corrected_on=np.maximum(lines.corrected_on, written_on[lines.order])))


def _copies(orders: Orders, lines: Lines, is_copied: Booleans) -> Baskets:
    """Second copies of orders under another id, as they were first written; deleted when the shop finds them."""
    never = np.full(int(is_copied.sum()), NOT_EVER)
    chosen = {name: values[is_copied] for name, values in vars(orders).items()}
    chosen |= {
        "order_id": chosen["order_id"] + COPY_OFFSET,
        "cancelled_on": never,
        "returned_on": never,
        "removed_on": chosen["written_on"] + COPY_DAYS,
    }
    position = np.cumsum(is_copied) - 1
    on_copy = is_copied[lines.order]
    kept = {name: values[on_copy] for name, values in vars(lines).items()}
    kept |= {"order": position[kept["order"]], "corrected_on": np.full(int(on_copy.sum()), NOT_EVER)}
    kept |= {"quantity": kept["first_quantity"], "is_void": np.zeros(int(on_copy.sum()), dtype=bool)}
    return Baskets(Orders(**chosen), Lines(**kept))


def bad_rows(world: World, store: int, day: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Broken orders and lines of a store's day; empty without the fault. Nobody corrects them."""
    fault = active(world.settings, "bad_rows", day)
    count = int(fault.amount) if fault else 0
    first = (day - date(2000, 1, 1).toordinal()) * 100_000_000 + store * 100_000 + BAD_OFFSET
    kind = np.arange(count) % 5
    at = as_days(np.full(count, day)).astype("datetime64[s]") + np.timedelta64(12 * 3600, "s")
    orders = pd.DataFrame(
        {
            "order_id": first + np.arange(count),
            "customer_id": store * 1_000_000 + 1,
            "store_id": world.store_ids[store],
            "ordered_at": np.where(kind == 3, np.datetime64("NaT"), at),
            "status": np.array(["completed", "completed", None, "completed", "lost"], dtype=object)[kind],
            "order_amount": np.where(kind == 0, -4.5, 9.0),
        }
    )
    lines = pd.DataFrame(
        {
            "order_id": first + np.arange(count),
            "line_number": 1,
            "item_id": np.where(kind == 1, "no-such-item", world.item_ids[0]),
            "quantity": np.where(kind == 0, -3.0, 2.0),
            "unit_price": 4.5,
        }
    )
    return orders, lines
