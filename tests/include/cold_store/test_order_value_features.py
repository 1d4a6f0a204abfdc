"""The features of order values against slow and obvious loops, on both clocks."""

from datetime import datetime, time, timedelta

import pandas as pd
import pytest
from features_world import LATER_DAYS, SNAPSHOT_DAYS, World, close, day, same


@pytest.fixture(scope="module")
def world():
    made = World()
    made.build(day(SNAPSHOT_DAYS + LATER_DAYS - 1))
    return made


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
