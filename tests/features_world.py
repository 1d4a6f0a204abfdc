"""A small shop's history in the cold store, row by row, for the tests of features."""

from datetime import date, datetime, time, timedelta

import numpy as np
import pandas as pd

from shelfcast.cold_store import feature_views, load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.sources.shop_schema import TABLES

FIRST = date(2024, 1, 1)
SNAPSHOT_DAYS, LATER_DAYS = 60, 6
HORIZON = 5
SERIES = [("milk", "S1"), ("milk", "S2"), ("soap", "S1")]


def day(number):
    return FIRST + timedelta(days=number)


def close(on):
    return datetime.combine(on, time(23, 59, 59))


CLOSED = {
    ("S1", day(20)): close(day(-40)),
    ("S1", day(62)): close(day(-40)),
    ("S2", day(40)): datetime.combine(day(40), time(10)),
    ("S2", day(47)): close(day(49)),
}
"""When each closure was announced: long before, on the day itself, two days later."""
EMPTY = {
    ("soap", "S1", FIRST + timedelta(days=30)): 0,
    ("milk", "S2", FIRST + timedelta(days=2)): 3,
    ("milk", "S2", FIRST + timedelta(days=33)): 1,
    ("milk", "S2", FIRST + timedelta(days=57)): 40,
    ("milk", "S1", FIRST + timedelta(days=15)): 1,
    ("milk", "S1", FIRST + timedelta(days=62)): 0,
    ("soap", "S1", FIRST + timedelta(days=61)): 1,
    ("soap", "S1", FIRST + timedelta(days=65)): 1,
}
"""Units sold on days that ended with an empty shelf: before there is a usual, below it, above it, on a closed day."""
PROMOTED = {
    ("milk", "S1"): [(day(10), day(16), close(day(7))), (day(58), day(64), close(day(55)))],
    ("milk", "S2"): [(day(20), day(24), datetime.combine(day(21), time(9)))],
    ("soap", "S1"): [(day(33), day(36), close(day(40)))],
}
"""First and last day, and when it was announced: before, on the second day, after the end."""
PRICES = {
    ("milk", "S1"): [(day(-9), 2.0, close(day(-11))), (day(40), 2.5, close(day(38))), (day(42), 1.8, close(day(50)))],
    ("milk", "S2"): [(day(-9), 2.0, close(day(-11)))],
}
"""First day, price, and when it was announced; the last one of milk in S1 is changed backward."""


def closing_at(clock):
    """Closes of every day at `HH:MM`; hours from 24 on are of the next day."""
    hours, minutes = map(int, clock.split(":"))
    return lambda on: datetime.combine(on, time()) + timedelta(hours=hours, minutes=minutes)


class World:
    """A shop with a snapshot of 60 days and some days after it, written row by row into RAW.

    Args:
        closing: The moment at which a date is closed; dates may be closed in another order than their own.
    """

    def __init__(self, closing=close):
        self.closing = closing
        self.store = DuckDBStore()
        load_batch.prepare(self.store)
        self.position = 0
        self.order_id = 0
        rng = np.random.default_rng(5)
        for name, row in self.masters():
            self.add(name, "r", FIRST, **row)
        for number in range(SNAPSHOT_DAYS + LATER_DAYS):
            is_snapshot = number < SNAPSHOT_DAYS
            for item, store in SERIES:
                op, key = "r" if is_snapshot else "c", (item, store, day(number))
                if key in EMPTY:
                    self.empty(*key, op=op)
                    if EMPTY[key]:
                        self.sell(*key, EMPTY[key], op=op)
                elif (store, day(number)) not in CLOSED and rng.random() < 0.8:
                    self.sell(*key, int(rng.integers(1, 9)), op=op)
            self.close(day(number), is_snapshot=is_snapshot)

    def masters(self):
        yield from (
            ("stores", {"store_id": store, "region": "north", "store_group": "a", "opened_on": FIRST})
            for store in ("S1", "S2")
        )
        yield from (("items", {"item_id": item, "category": "c", "introduced_on": FIRST}) for item in ("milk", "soap"))
        for (store, on), announced in CLOSED.items():
            yield "store_closures", {"store_id": store, "closed_on": on, "reason": "r", "announced_at": announced}
        for number, ((item, store), spans) in enumerate(PROMOTED.items()):
            for part, (start, end, announced) in enumerate(spans):
                yield (
                    "promotions",
                    {
                        "promotion_id": 10 * number + part,
                        "store_id": store,
                        "item_id": item,
                        "starts_on": start,
                        "ends_on": end,
                        "discount": 0.2,
                        "announced_at": announced,
                    },
                )
        for (item, store), steps in PRICES.items():
            for on, price, announced in steps:
                yield (
                    "prices",
                    {
                        "store_id": store,
                        "item_id": item,
                        "valid_from": on,
                        "price": price,
                        "announced_at": announced,
                    },
                )

    def add(self, name, op, known_on, /, known_at=None, **row):
        """Writes a version; rows of the snapshot are known when they happened, others at the close behind them."""
        table = TABLES[name]
        self.position += 1
        if op == "r":
            known = row.get(table.known_column) if table.known_column else datetime(1970, 1, 1)
            known = known if isinstance(known, datetime) else datetime.combine(known, time())
            position = ordinal = 0
        else:
            known, position, ordinal = known_at or self.known(known_on), self.position, self.position
        values = [row.get(column.name) for column in table.columns]
        marks = ", ".join("?" for _ in [*values, *range(7)])
        self.store.connection.execute(
            f"INSERT INTO RAW.{name.upper()}_CHANGES VALUES ({marks})",
            [*values, op, position, ordinal, 1, None, known, "b"],
        )

    def known(self, on):
        """The first close behind what is written on a day."""
        return min(self.closing(on + timedelta(days=later)) for later in range(4))

    def sell(self, item, store, on, units, *, op="c", status="completed", known_on=None):
        self.order_id += 1
        at = datetime.combine(on, time(10))
        head = {"order_id": self.order_id, "customer_id": self.order_id % 3, "store_id": store, "ordered_at": at}
        self.add("orders", op, known_on or on, **head, status=status, order_amount=2.0 * units)
        line = {
            "order_id": self.order_id,
            "line_number": 1,
            "item_id": item,
            "quantity": float(units),
            "unit_price": 2.0,
        }
        self.add("order_lines", op, known_on or on, **line)
        return head, line

    def empty(self, item, store, on, *, op="c", known_on=None, units=0.0):
        row = {"store_id": store, "item_id": item, "stock_date": on, "units_on_hand": units}
        self.add("stock_levels", op, known_on or on, **row)

    def close(self, on, *, is_snapshot=False):
        self.position += 1
        self.store.connection.execute(
            "INSERT INTO OPERATIONS.BUSINESS_DATES VALUES (?, ?, ?, 1, 'b')",
            [on, self.closing(on), 0 if is_snapshot else self.position],
        )

    def build(self, on):
        return feature_views.build_partitions(self.store, on, horizon_days=HORIZON)

    def rows(self, table, on):
        order = "series_id" if table != "FEATURES.ORDER_TOTAL" else "customer_id"
        text = f"SELECT * FROM {table} WHERE business_date = ? ORDER BY {order}"
        return self.store.connection.execute(text, [on]).df()

    def known_units(self, on):
        """Units by (item, store, day) as known at the close of `on`: the loop that the SQL is held against."""
        orders, lines = {}, {}
        for name, key, found in (("orders", "order_id", orders), ("order_lines", "order_id", lines)):
            text = f"SELECT * FROM RAW.{name.upper()}_CHANGES WHERE known_at <= ? ORDER BY position_ordinal"
            for row in self.store.connection.execute(text, [self.closing(on)]).df().to_dict("records"):
                found[row[key]] = row
        units = {}
        for number, line in lines.items():
            order = orders.get(number)
            if order and order["op"] != "d" and line["op"] != "d" and order["status"] != "cancelled":
                key = (line["item_id"], order["store_id"], order["ordered_at"].date())
                units[key] = units.get(key, 0.0) + line["quantity"]
        return units


def same(left, right):
    pd.testing.assert_frame_equal(left.reset_index(drop=True), right.reset_index(drop=True))
