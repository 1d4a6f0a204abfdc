"""The features against slow and obvious loops, on both clocks."""

import math
from datetime import date, datetime, time, timedelta

import numpy as np
import pandas as pd
import pytest

from shelfcast.cold_store import feature_views, load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.errors import NothingToDo, PostConditionFailed
from shelfcast.sources.shop_schema import TABLES

FIRST = date(2024, 1, 1)
SNAPSHOT_DAYS, LATER_DAYS = 60, 6
HORIZON = 5
SERIES = [("milk", "S1"), ("milk", "S2"), ("soap", "S1")]
CLOSED = {("S1", FIRST + timedelta(days=20)), ("S1", FIRST + timedelta(days=62))}
EMPTY = {("soap", "S1", FIRST + timedelta(days=30))}
PROMOTED = {
    ("milk", "S1"): [
        (FIRST + timedelta(days=10), FIRST + timedelta(days=16)),
        (FIRST + timedelta(days=58), FIRST + timedelta(days=64)),
    ]
}
PRICES = {("milk", "S1"): [(FIRST - timedelta(days=9), 2.0), (FIRST + timedelta(days=40), 2.5)]}


def day(number):
    return FIRST + timedelta(days=number)


def close(on):
    return datetime.combine(on, time(23, 59, 59))


class World:
    """A shop with a snapshot of 60 days and some days after it, written row by row into RAW."""

    def __init__(self):
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
                if (
                    (store, day(number)) not in CLOSED
                    and (item, store, day(number)) not in EMPTY
                    and rng.random() < 0.8
                ):
                    self.sell(item, store, day(number), int(rng.integers(1, 9)), op="r" if is_snapshot else "c")
            self.close(day(number), is_snapshot=is_snapshot)

    def masters(self):
        yield from (
            ("stores", {"store_id": store, "region": "north", "store_group": "a", "opened_on": FIRST})
            for store in ("S1", "S2")
        )
        yield from (("items", {"item_id": item, "category": "c", "introduced_on": FIRST}) for item in ("milk", "soap"))
        announced = datetime.combine(FIRST - timedelta(days=60), time())
        for store, on in CLOSED:
            yield "store_closures", {"store_id": store, "closed_on": on, "reason": "r", "announced_at": announced}
        for item, store, on in EMPTY:
            yield "stock_levels", {"store_id": store, "item_id": item, "stock_date": on, "units_on_hand": 0.0}
        for number, ((item, store), spans) in enumerate(PROMOTED.items()):
            for part, (start, end) in enumerate(spans):
                yield (
                    "promotions",
                    {
                        "promotion_id": 10 * number + part,
                        "store_id": store,
                        "item_id": item,
                        "starts_on": start,
                        "ends_on": end,
                        "discount": 0.2,
                        "announced_at": close(start - timedelta(days=3)),
                    },
                )
        for (item, store), steps in PRICES.items():
            for on, price in steps:
                yield (
                    "prices",
                    {
                        "store_id": store,
                        "item_id": item,
                        "valid_from": on,
                        "price": price,
                        "announced_at": close(on - timedelta(days=2)),
                    },
                )

    def add(self, name, op, known_on, /, known_at=None, **row):
        """Writes a version; rows of the snapshot are known when they happened, others at their day's close."""
        table = TABLES[name]
        self.position += 1
        if op == "r":
            known = row.get(table.known_column) if table.known_column else datetime(1970, 1, 1)
            known = known if isinstance(known, datetime) else datetime.combine(known, time())
            position = ordinal = 0
        else:
            known, position, ordinal = known_at or close(known_on), self.position, self.position
        values = [row.get(column.name) for column in table.columns]
        marks = ", ".join("?" for _ in [*values, *range(7)])
        self.store.connection.execute(
            f"INSERT INTO RAW.{name.upper()}_CHANGES VALUES ({marks})",
            [*values, op, position, ordinal, 1, None, known, "b"],
        )

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

    def close(self, on, *, is_snapshot=False):
        self.position += 1
        self.store.connection.execute(
            "INSERT INTO OPERATIONS.BUSINESS_DATES VALUES (?, ?, ?, 1, 'b')",
            [on, close(on), 0 if is_snapshot else self.position],
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
            for row in self.store.connection.execute(text, [close(on)]).df().to_dict("records"):
                found[row[key]] = row
        units = {}
        for number, line in lines.items():
            order = orders.get(number)
            if order and order["op"] != "d" and line["op"] != "d" and order["status"] != "cancelled":
                key = (line["item_id"], order["store_id"], order["ordered_at"].date())
                units[key] = units.get(key, 0.0) + line["quantity"]
        return units


@pytest.fixture(scope="module")
def world():
    made = World()
    made.build(day(SNAPSHOT_DAYS + LATER_DAYS - 1))
    return made


def mean(values):
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else math.nan


def panel(world, item, store, on):
    """(day, units or None, promoted) from the series' first day to `on`."""
    units = world.known_units(on)
    own = [when for (i, s, when) in units if (i, s) == (item, store)] + [
        when for i, s, when in EMPTY if (i, s) == (item, store) and when <= on
    ]
    rows = []
    for number in range((on - min(own)).days + 1):
        when = min(own) + timedelta(days=number)
        countable = (store, when) not in CLOSED and not (
            (item, store, when) in EMPTY and not units.get((item, store, when))
        )
        promoted = any(
            start <= when <= end
            for start, end in PROMOTED.get((item, store), [])
            if close(start - timedelta(days=3)) <= close(on)
        )
        rows.append((when, units.get((item, store, when), 0.0) if countable else None, promoted))
    return rows


def level(rows, days):
    """Units of the last days against what their kind of day (weekday, promotion) had sold before each of them."""
    sold, usual = [], []
    for position in range(max(0, len(rows) - days), len(rows)):
        when, units, promoted = rows[position]
        alike = [
            value
            for other, value, flag in rows[:position]
            if (other.isoweekday(), flag) == (when.isoweekday(), promoted)
        ]
        before = [value for value in alike[-52:] if value is not None]
        if units is not None and before:
            sold.append(units)
            usual.append(mean(before))
    return sum(sold) / sum(usual) if sum(usual) else None


@pytest.mark.parametrize("number", [15, 59, 61, 65])
@pytest.mark.parametrize(("item", "store"), SERIES)
def test_every_feature_equals_the_loop(world, number, item, store):
    on = day(number)
    rows = panel(world, item, store, on)
    found = world.rows("FEATURES.DEMAND", on).set_index("series_id").loc[f"{item}@{store}"]
    units = [value for _, value, _ in rows]
    expected = {f"units_mean_{days}": mean(units[-days:]) for days in (7, 14, 28, 56, 182, 364)}
    last = [value for value in units[-28:] if value is not None]
    expected["units_std_28"] = float(np.std(last, ddof=1))
    expected["zero_share_28"] = mean([float(value == 0) for value in last])
    expected |= {f"units_lag_{lag}": units[-lag] if len(units) >= lag else None for lag in range(1, 8)}
    for weekday in range(1, 8):
        of_day = [row for row in rows if row[0].isoweekday() == weekday]
        recent = [row for row in rows[-56:] if row[0].isoweekday() == weekday]
        expected[f"weekday_mean_{weekday}"] = mean([row[1] for row in recent])
        expected[f"weekday_regular_mean_{weekday}"] = mean([row[1] for row in of_day if not row[2]])
        expected[f"weekday_promotion_mean_{weekday}"] = mean([row[1] for row in of_day if row[2]])
    regular, promoted = (mean([row[1] for row in rows if row[2] is flag]) for flag in (False, True))
    expected["promotion_uplift_364"] = promoted / regular
    expected |= {f"level_{days}": level(rows, days) for days in (7, 14, 28, 56)}
    sold = [when for when, value, _ in rows if value]
    expected["days_since_first_sale"] = (on - sold[0]).days
    expected["days_since_last_sale"] = (on - sold[-1]).days
    expected["stockout_share_28"] = mean([float((item, store, row[0]) in EMPTY) for row in rows[-28:]])
    steps = [(max(when, rows[0][0]), price) for when, price in PRICES.get((item, store), []) if when <= on]
    prices = [([price for start, price in steps if start <= when] or [None])[-1] for when, _, _ in rows]
    expected["price_latest"], expected["price_mean_56"] = prices[-1], mean(prices[-56:])
    for name, value in expected.items():
        wanted = math.nan if value is None else value
        assert float(found[name]) == pytest.approx(wanted, abs=1e-9, nan_ok=True), name
    assert bool(found["is_active"])


def test_store_and_item_means_are_those_of_their_active_series(world):
    rows = world.rows("FEATURES.DEMAND", day(65))
    for row in rows.to_dict("records"):
        same_store = rows[(rows["store_id"] == row["store_id"]) & rows["is_active"]]
        same_item = rows[(rows["item_id"] == row["item_id"]) & rows["is_active"]]
        assert row["store_units_mean_28"] == pytest.approx(same_store["units_mean_28"].mean())
        assert row["item_units_mean_28"] == pytest.approx(same_item["units_mean_28"].mean())


def test_days_ahead_are_told_as_they_were_announced():
    world = World()
    on = day(SNAPSHOT_DAYS + LATER_DAYS - 1)
    issued = {"region": "north", "target_date": on + timedelta(days=1), "precipitation_mm": 0.0}
    for days_before, celsius in ((2, 5.0), (0, 7.0), (-1, 9.0)):
        at = datetime.combine(on - timedelta(days=days_before), time(6))
        world.add(
            "weather_forecasts",
            "c",
            on - timedelta(days=days_before),
            issued_at=at,
            temperature_celsius=celsius,
            **issued,
        )
    start = on + timedelta(days=2)
    promotion = {
        "store_id": "S1",
        "item_id": "soap",
        "starts_on": start,
        "ends_on": start + timedelta(days=1),
        "discount": 0.3,
    }
    world.add("promotions", "c", on, promotion_id=90, announced_at=close(on), **promotion)
    world.add(
        "promotions",
        "c",
        on,
        promotion_id=91,
        announced_at=close(on + timedelta(days=1)),
        **{**promotion, "starts_on": on + timedelta(days=4), "ends_on": on + timedelta(days=4)},
    )
    world.add("holidays", "r", FIRST, region="north", holiday_on=on + timedelta(days=3), kind="public", name="n")
    world.add(
        "prices",
        "c",
        on,
        store_id="S1",
        item_id="milk",
        valid_from=on + timedelta(days=3),
        price=3.0,
        announced_at=close(on),
    )
    world.add(
        "store_closures", "c", on, store_id="S1", closed_on=on + timedelta(days=5), reason="r", announced_at=close(on)
    )
    world.build(on)
    ahead = world.rows("FEATURES.DEMAND_AHEAD", on).set_index(["series_id", "horizon_days"])
    assert ahead.loc[("soap@S1", 1), "temperature_celsius"] == 7.0
    assert math.isnan(ahead.loc[("soap@S1", 2), "temperature_celsius"])
    assert ahead.loc["soap@S1", "on_promotion"].tolist() == [0, 1, 1, 0, 0]
    assert ahead.loc[("soap@S1", 2), "discount"] == 0.3
    assert ahead.loc["milk@S2", "is_public_holiday"].tolist() == [0, 0, 1, 0, 0]
    assert ahead.loc["milk@S1", "price"].tolist() == [2.5, 2.5, 3.0, 3.0, 3.0]
    assert ahead.loc["milk@S1", "is_open"].tolist() == [1, 1, 1, 1, 0]
    assert ahead.loc["milk@S1", "is_open_day_after"].tolist() == [1, 1, 1, 0, 1]
    assert ahead.loc["milk@S1", "is_open_day_before"].tolist() == [1, 1, 1, 1, 1]
    assert ahead.loc["soap@S1", "promotion_day"].tolist() == [0, 1, 2, 0, 0]


def same(left, right):
    pd.testing.assert_frame_equal(left.reset_index(drop=True), right.reset_index(drop=True))


def test_a_late_restatement_changes_today_and_no_earlier_partition():
    world = World()
    before, last = day(SNAPSHOT_DAYS + 3), day(SNAPSHOT_DAYS + LATER_DAYS - 1)
    world.build(before)
    kept = world.rows("FEATURES.DEMAND", before)
    row = (
        world.store.connection.execute(
            "SELECT * FROM RAW.ORDER_LINES_CHANGES WHERE item_id = 'milk' ORDER BY order_id DESC LIMIT 1 OFFSET 20"
        )
        .df()
        .iloc[0]
    )
    line = {
        name: getattr(row[name], "item", lambda value=row[name]: value)() for name in TABLES["order_lines"].column_names
    }
    world.add("order_lines", "u", last, **{**line, "quantity": 500.0})
    world.build(last)
    assert world.rows("FEATURES.DEMAND", last)["units_mean_28"].max() > 15
    world.build(before)
    same(world.rows("FEATURES.DEMAND", before), kept)


def test_a_frame_of_an_earlier_cutoff_does_not_see_what_came_later():
    world = World()
    cutoff, last = day(SNAPSHOT_DAYS + 2), day(SNAPSHOT_DAYS + LATER_DAYS - 1)
    world.build(cutoff)
    feature_views.ensure_ahead(
        world.store, [cutoff - timedelta(days=7 * number) for number in range(4)], horizon_days=HORIZON
    )
    asked = {
        "cutoff": cutoff,
        "known_until": close(cutoff),
        "first_origin": cutoff - timedelta(days=21),
        "origin_step_days": 7,
        "horizon_days": HORIZON,
    }
    frozen = world.store.fetch("training/demand_frame", asked)
    assert len(frozen) == 3 * 3 * HORIZON
    world.sell("milk", "S1", cutoff - timedelta(days=9), 300, known_on=last)
    world.build(last)
    same(world.store.fetch("training/demand_frame", asked), frozen)
    today = {**asked, "known_until": close(last)}
    assert world.store.fetch("training/demand_frame", today)["units_sold"].max() >= 300


def test_history_in_one_statement_equals_day_by_day(world):
    other = World()
    other.store.connection.execute("UPDATE OPERATIONS.BUSINESS_DATES SET position = 1")
    for number in range(SNAPSHOT_DAYS):
        other.build(day(number))
    for number in (20, 40, 59):
        same(other.rows("FEATURES.DEMAND", day(number)), world.rows("FEATURES.DEMAND", day(number)))


def test_building_twice_and_rows_delivered_twice_change_nothing(world):
    other = World()
    on = day(SNAPSHOT_DAYS + LATER_DAYS - 1)
    other.build(on)
    other.build(on)
    same(other.rows("FEATURES.DEMAND", on), world.rows("FEATURES.DEMAND", on))
    versions = "SELECT * FROM FEATURES.DAILY_SALES ORDER BY ALL"
    same(other.store.connection.execute(versions).df(), world.store.connection.execute(versions).df())


def test_a_cancelled_order_counts_no_more_and_a_returned_one_does():
    world = World()
    on, last = day(SNAPSHOT_DAYS + 4), day(SNAPSHOT_DAYS + LATER_DAYS - 1)
    head, _ = world.sell("milk", "S2", on, 100)
    other, _ = world.sell("milk", "S2", on, 1000)
    world.add("orders", "u", last, **head, status="cancelled", order_amount=0.0)
    world.add("orders", "u", last, **other, status="returned", order_amount=0.0)
    world.build(last)
    sold = world.store.connection.execute(
        "SELECT known_at, units_sold FROM FEATURES.DAILY_SALES WHERE series_id = 'milk@S2' AND sales_date = ? ORDER BY 1",
        [on],
    ).fetchall()
    assert [known for known, _ in sold] == [close(on), close(last)]
    assert sold[0][1] - sold[1][1] == 100


def test_a_deleted_order_leaves_no_sale():
    world = World()
    on, last = day(SNAPSHOT_DAYS + 4), day(SNAPSHOT_DAYS + LATER_DAYS - 1)
    head, line = world.sell("milk", "S2", on, 100)
    world.add("orders", "d", last, order_id=head["order_id"])
    world.add("order_lines", "d", last, order_id=line["order_id"], line_number=1)
    world.build(last)
    assert (("milk", "S2", on) in world.known_units(last)) == bool(
        world.rows("FEATURES.DEMAND", last)["units_lag_2"].notna().any()
    )
    assert world.rows("FEATURES.DEMAND", last).set_index("series_id").loc["milk@S2", "units_lag_2"] < 100


@pytest.mark.parametrize(
    ("name", "key", "gone"),
    [("items", {"item_id": "milk"}, ["milk@S1", "milk@S2"]), ("stores", {"store_id": "S1"}, ["milk@S1", "soap@S1"])],
)
def test_series_of_a_deleted_item_or_store_end_when_it_is_known(name, key, gone):
    world = World()
    before, on = day(SNAPSHOT_DAYS + 3), day(SNAPSHOT_DAYS + 4)
    world.add(name, "d", on, **key)
    world.build(on)
    for when, ended in ((before, []), (on, gone)):
        rows = world.rows("FEATURES.DEMAND", when)
        assert sorted(rows.loc[~rows["is_active"], "series_id"]) == ended


def test_order_totals_are_those_of_completed_orders(world):
    on = day(65)
    found = world.rows("FEATURES.ORDER_TOTAL", on).set_index("customer_id")
    orders = world.store.connection.execute("SELECT * FROM RAW.ORDERS_CHANGES WHERE known_at <= ?", [close(on)]).df()
    for customer, own in orders.groupby("customer_id"):
        assert found.loc[customer, "purchase_count"] == len(own)
        assert found.loc[customer, "total_spent"] == pytest.approx(float(own["order_amount"].astype(float).sum()))


def test_an_order_of_the_next_day_that_was_written_before_the_close_is_none_of_this_day():
    world = World()
    on = day(SNAPSHOT_DAYS + 4)
    world.build(on)
    kept = world.rows("FEATURES.ORDER_TOTAL", on)
    head, _ = world.sell("milk", "S1", on + timedelta(days=1), 1, known_on=on)
    world.build(on)
    same(world.rows("FEATURES.ORDER_TOTAL", on), kept)
    moved = {**head, "ordered_at": datetime.combine(on, time(10))}
    world.add("orders", "u", on, **moved, status="completed", order_amount=2.0)
    world.build(on)
    assert world.rows("FEATURES.ORDER_TOTAL", on)["total_spent"].sum() == kept["total_spent"].sum() + 2.0


def order_value_frame(world, on):
    asked = {"cutoff": on, "known_until": close(on)}
    return world.store.fetch("training/order_value_frame", asked).set_index("order_id")


def spent(world, customer, on):
    """Total and number of the completed orders up to a day, as known at its close: the loop."""
    newest = {}
    text = "SELECT * FROM RAW.ORDERS_CHANGES WHERE known_at <= ? ORDER BY position_ordinal"
    for row in world.store.connection.execute(text, [close(on)]).df().to_dict("records"):
        newest[row["order_id"]] = row
    amounts = [
        float(row["order_amount"])
        for row in newest.values()
        if row["op"] != "d"
        and row["status"] == "completed"
        and row["customer_id"] == customer
        and row["ordered_at"].date() <= on
    ]
    return sum(amounts), len(amounts)


def totals_by_loop(world, frame):
    """(total, number) of each order of a frame by the loop, at the close of the day before the order's."""
    wanted = [(row.customer_id, row.ordered_at.date() - timedelta(days=1)) for row in frame.itertuples()]
    found = {key: spent(world, *key) for key in set(wanted)}
    return [found[key] for key in wanted]


def totals_of(frame):
    return list(zip(frame["total_spent"], frame["purchase_count"], strict=True))


def restated_world():
    """Orders of the snapshot and of later days that are returned, deleted, moved and brought twice, each some days on."""
    world = World()
    on = [day(SNAPSHOT_DAYS + number) for number in range(LATER_DAYS)]
    orders = "SELECT order_id, customer_id, store_id, ordered_at, order_amount::DOUBLE FROM RAW.ORDERS_CHANGES WHERE op = 'r'"
    names = ("order_id", "customer_id", "store_id", "ordered_at", "order_amount")
    rows = [dict(zip(names, row, strict=True)) for row in world.store.connection.execute(orders).fetchall()]
    world.add("orders", "u", on[1], **rows[40], status="returned")
    world.add("orders", "u", on[3], **rows[40], status="completed")
    world.add("orders", "d", on[2], order_id=rows[50]["order_id"])
    world.add("orders", "u", on[4], **{**rows[60], "customer_id": 7, "order_amount": 99.5}, status="completed")
    head, _ = world.sell("milk", "S1", on[2], 3, known_on=on[1])
    world.add("orders", "u", on[3], **head, status="returned", order_amount=6.0)
    world.sell("milk", "S1", on[0], 5, known_on=on[4])
    return world


def test_the_order_value_frame_and_the_served_totals_are_those_of_the_loop():
    world, last = restated_world(), day(SNAPSHOT_DAYS + LATER_DAYS - 1)
    frame = order_value_frame(world, last)
    assert totals_of(frame) == totals_by_loop(world, frame)
    for on in (day(SNAPSHOT_DAYS - 1 + number) for number in range(LATER_DAYS + 1)):
        world.build(on)
        served = world.rows("FEATURES.ORDER_TOTAL", on).set_index("customer_id")
        wanted = {customer: spent(world, customer, on) for customer in (0, 1, 2, 7)}
        assert dict(zip(served.index, totals_of(served), strict=True)) == {
            customer: total for customer, total in wanted.items() if total[1]
        }


def test_an_order_is_learnt_from_what_serving_would_have_read_on_its_day():
    world, last = restated_world(), day(SNAPSHOT_DAYS + LATER_DAYS - 1)
    frame = order_value_frame(world, last)
    for on in (day(SNAPSHOT_DAYS - 1 + number) for number in range(LATER_DAYS)):
        world.build(on)
        served = world.rows("FEATURES.ORDER_TOTAL", on).set_index("customer_id")
        of_next_day = frame[frame["ordered_at"].dt.date == on + timedelta(days=1)]
        assert totals_of(served.reindex(of_next_day["customer_id"], fill_value=0.0)) == totals_of(of_next_day)


def test_a_return_changes_the_features_of_later_orders_and_of_no_earlier_one():
    world = World()
    returned_on, last = day(SNAPSHOT_DAYS + 3), day(SNAPSHOT_DAYS + LATER_DAYS - 1)
    head, _ = world.sell("milk", "S2", day(SNAPSHOT_DAYS), 1000)
    frozen, before = order_value_frame(world, day(SNAPSHOT_DAYS + 2)), order_value_frame(world, last)
    world.add("orders", "u", returned_on, **head, status="returned", order_amount=0.0)
    pd.testing.assert_frame_equal(order_value_frame(world, day(SNAPSHOT_DAYS + 2)), frozen)
    after = order_value_frame(world, last)
    change = after["total_spent"] - before.loc[after.index, "total_spent"]
    own = after["customer_id"] == head["customer_id"]
    is_later = after["ordered_at"].dt.date > returned_on
    assert (change[own & is_later] == -2000.0).all()
    assert (own & is_later).any()
    assert (change[~(own & is_later)] == 0).all()


def test_an_order_of_the_same_day_does_not_count_and_one_of_the_day_before_does():
    world, on = World(), day(SNAPSHOT_DAYS + 3)
    heads = [world.sell("milk", "S2", on, 500)[0] for _ in range(4)]
    later = [world.sell("milk", "S2", on + timedelta(days=1), 1)[0] for _ in range(3)]
    frame = order_value_frame(world, on + timedelta(days=1))
    same_customer = [head["order_id"] for head in (heads[0], heads[3])]
    (first, second) = totals_of(frame.loc[same_customer])
    assert first == second
    (next_day,) = (head["order_id"] for head in later if head["customer_id"] == heads[0]["customer_id"])
    assert frame.loc[next_day, "total_spent"] >= first[0] + 2000.0


def test_a_date_that_is_not_closed_is_nothing_to_do(world):
    with pytest.raises(NothingToDo, match="has not closed"):
        world.build(date(2030, 1, 1))
    with pytest.raises(NothingToDo, match="not a complete business date"):
        feature_views.closed_at(world.store, date(2030, 1, 1))
    assert feature_views.closed_at(world.store, day(3)) == close(day(3))
    assert feature_views.latest_business_date(world.store) == day(65)
    assert feature_views.latest_business_date(DuckDBStore()) is None


def test_a_date_without_any_sale_breaks_its_post_condition():
    store = DuckDBStore()
    load_batch.prepare(store)
    store.connection.execute(
        "INSERT INTO OPERATIONS.BUSINESS_DATES VALUES (DATE '2024-01-01', TIMESTAMP '2024-01-01 23:59:59', 0, 1, 'b')"
    )
    with pytest.raises(PostConditionFailed, match="at least one active"):
        feature_views.build_partitions(store, FIRST, horizon_days=2)


def test_covariates_that_are_there_are_not_built_again(world):
    assert feature_views.ensure_ahead(world.store, [day(65)], horizon_days=HORIZON) == 0
    assert day(65) in feature_views.built_dates(world.store)
