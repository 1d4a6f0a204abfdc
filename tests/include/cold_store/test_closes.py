"""Days that are closed at any hour, and in another order than their own: nothing is lost, nothing is known too early."""

from datetime import datetime, time, timedelta

import pytest
from exported_shop import ExportedShop, tiny
from features_world import CLOSED, EMPTY, HORIZON, LATER_DAYS, SNAPSHOT_DAYS, World, close, closing_at, day, same

from shelfcast.cold_store import feature_views, load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.errors import PostConditionFailed
from shelfcast.sources.closing_times import BEFORE_MIDNIGHT

LAST_OF_SNAPSHOT, LAST = SNAPSHOT_DAYS - 1, SNAPSHOT_DAYS + LATER_DAYS - 1
HOURS = ("18:00", "22:10", "26:00")
SWAPPED = ("demand", "demand_ahead", "order_total")
LATE = 63
"""A day whose day-end job comes after that of the day behind it."""


def varying(on):
    """A shop that closes at other hours from day to day."""
    return closing_at(HOURS[on.toordinal() % len(HOURS)])(on)


def late(on):
    return close(on + timedelta(days=1)) + timedelta(hours=6) if on == day(LATE) else close(on)


def sales(world):
    """Every version of daily sales, without the moment it was known at."""
    asked = "SELECT series_id, sales_date, units_sold, is_stocked_out FROM FEATURES.DAILY_SALES ORDER BY ALL"
    return world.store.connection.execute(asked).df()


def frame(world, cutoff):
    origins = [cutoff - timedelta(days=number) for number in range(9)]
    feature_views.ensure_ahead(world.store, origins, horizon_days=HORIZON)
    asked = {"cutoff": cutoff, "known_until": world.closing(cutoff), "first_origin": origins[-1]}
    return world.store.fetch("training/demand_frame", {**asked, "origin_step_days": 1, "horizon_days": HORIZON})


@pytest.fixture(scope="module")
def usual():
    """The shop that closes each day before midnight."""
    made = World()
    made.build(day(LAST))
    return made


@pytest.mark.parametrize("closing", [*map(closing_at, HOURS), varying], ids=[*HOURS, "varying"])
def test_whenever_a_shop_closes_its_features_and_targets_are_the_same(usual, closing):
    world = World(closing)
    for number in range(LAST_OF_SNAPSHOT, LAST + 1):
        world.build(day(number))
    for number in range(LAST_OF_SNAPSHOT - 3, LAST + 1):
        same(world.rows("FEATURES.DEMAND", day(number)), usual.rows("FEATURES.DEMAND", day(number)))
    same(sales(world), sales(usual))
    targets = ["series_id", "sales_date", "units_sold", "is_countable"]
    same(frame(world, day(LAST))[targets], frame(usual, day(LAST))[targets])


def test_what_was_sold_behind_the_last_close_of_the_snapshot_is_known_with_the_next():
    world = World(closing_at("18:00"))
    head, line = {"order_id": 9000, "customer_id": 1, "store_id": "S1"}, {"line_number": 1, "unit_price": 2.0}
    head["ordered_at"] = datetime.combine(day(LAST_OF_SNAPSHOT), time(20))
    world.add("orders", "r", None, **head, status="completed", order_amount=2.0)
    world.add("order_lines", "r", None, order_id=9000, **line, item_id="milk", quantity=500.0)
    world.build(day(LAST_OF_SNAPSHOT))
    lag = "units_lag_1"
    assert world.rows("FEATURES.DEMAND", day(LAST_OF_SNAPSHOT))[lag].max() < 500
    world.build(day(LAST_OF_SNAPSHOT + 1))
    assert world.rows("FEATURES.DEMAND", day(LAST_OF_SNAPSHOT + 1))["units_lag_2"].max() > 500
    world.build(day(LAST_OF_SNAPSHOT))
    assert world.rows("FEATURES.DEMAND", day(LAST_OF_SNAPSHOT))[lag].max() < 500


def test_an_only_order_of_the_next_day_that_was_in_the_snapshot_is_kept():
    """The shop closes at two, the order came half an hour after midnight, and the store sold no more that day."""
    world, next_day = World(closing_at("26:00")), day(LAST_OF_SNAPSHOT + 1)
    for table, key in (("ORDERS", "ordered_at"), ("STOCK_LEVELS", "stock_date")):
        world.store.connection.execute(f"DELETE FROM RAW.{table}_CHANGES WHERE {key}::DATE = ?", [next_day])
    at = datetime.combine(next_day, time(0, 30))
    head = {"order_id": 9000, "customer_id": 1, "store_id": "S2", "ordered_at": at, "order_amount": 2.0}
    line = {"order_id": 9000, "line_number": 1, "item_id": "milk", "quantity": 77.0, "unit_price": 2.0}
    world.add("orders", "r", None, **head, status="completed")
    world.add("order_lines", "r", None, **line)
    for on in (day(LAST_OF_SNAPSHOT), next_day):
        world.build(on)
    assert world.rows("FEATURES.DEMAND", next_day).set_index("series_id").loc["milk@S2", "units_lag_1"] == 77


def test_a_day_of_the_snapshot_is_built_again_without_a_loss(usual):
    world = World(varying)
    for number in (LAST, 40, LAST_OF_SNAPSHOT, LAST_OF_SNAPSHOT + 1):
        world.build(day(number))
        same(sales(world), sales(usual))
    for number in (40, LAST):
        same(world.rows("FEATURES.DEMAND", day(number)), usual.rows("FEATURES.DEMAND", day(number)))


def test_a_rebuilt_span_that_would_lose_a_day_stops_and_changes_nothing():
    """Also the second time, and also with versions that an earlier release stamped behind their close."""
    world, on = World(closing_at("18:00")), day(LAST_OF_SNAPSHOT)
    world.build(on)
    world.store.connection.execute("UPDATE FEATURES.DAILY_SALES SET known_at = sales_date + INTERVAL 86399 SECOND")
    kept = sales(world)
    for _ in range(2):
        with pytest.raises(PostConditionFailed, match=rf"fewer days of series .* on {on}.*drop FEATURES.DAILY_SALES"):
            world.build(day(LAST_OF_SNAPSHOT + 1))
        same(sales(world), kept)
    for table in ("DAILY_SALES", "DEMAND"):
        world.store.connection.execute(f"DROP TABLE FEATURES.{table}")
    world.build(day(LAST_OF_SNAPSHOT + 1))
    assert world.rows("FEATURES.DEMAND", on)["units_lag_1"].max() > 0


def test_days_closed_out_of_their_order_are_seen_whole(usual):
    world = World(late)
    world.build(day(LATE + 1))
    world.build(day(LATE))
    world.build(day(LAST))
    for number in range(LATE - 1, LAST + 1):
        same(world.rows("FEATURES.DEMAND", day(number)), usual.rows("FEATURES.DEMAND", day(number)))
    same(sales(world), sales(usual))
    again = World(late)
    again.build(day(LAST))
    same(sales(again), sales(world))


def test_a_day_that_is_closed_when_the_next_one_is_built_already_comes_into_that_one_too(usual):
    world = World(late)
    row = "FROM OPERATIONS.BUSINESS_DATES WHERE business_date = ?"
    held_back = world.store.connection.execute(f"SELECT * {row}", [day(LATE)]).fetchone()
    world.store.connection.execute(f"DELETE {row}", [day(LATE)])
    world.build(day(LATE + 1))
    of_the_day = world.rows("FEATURES.DEMAND", day(LATE + 1)).set_index("series_id")["units_lag_1"]
    expected = usual.rows("FEATURES.DEMAND", day(LATE + 1)).set_index("series_id")["units_lag_1"]
    assert of_the_day.equals(expected)
    world.store.connection.execute("INSERT INTO OPERATIONS.BUSINESS_DATES VALUES (?, ?, ?, ?, ?)", held_back)
    assert world.build(day(LATE)).dates_built == 2
    for number in (LATE, LATE + 1):
        same(world.rows("FEATURES.DEMAND", day(number)), usual.rows("FEATURES.DEMAND", day(number)))


def test_a_day_of_which_nothing_was_known_yet_is_no_day_without_sales():
    """Its till was offline: all that it sold was written after the close of the day behind it."""
    world = World(late)
    for table in ("ORDERS", "ORDER_LINES", "STOCK_LEVELS"):
        of_the_day = "order_id IN (SELECT order_id FROM RAW.ORDERS_CHANGES WHERE ordered_at::DATE = ?)"
        where = "stock_date = ?" if table == "STOCK_LEVELS" else of_the_day
        changed = f"UPDATE RAW.{table}_CHANGES SET known_at = ? WHERE {where}"
        world.store.connection.execute(changed, [late(day(LATE)), day(LATE)])
    world.build(day(LAST))
    before = world.rows("FEATURES.DEMAND", day(LATE - 1)).set_index("series_id")["units_lag_1"]
    behind = world.rows("FEATURES.DEMAND", day(LATE + 1)).set_index("series_id")["units_lag_2"]
    assert behind.equals(before.rename("units_lag_2"))
    targets = frame(world, day(LATE + 1))
    of_the_day = targets["sales_date"].dt.date == day(LATE)
    assert of_the_day.any()
    assert not targets.loc[of_the_day, "is_countable"].any()
    later = frame(world, day(LAST))
    days = zip(later["item_id"], later["store_id"], later["sales_date"].dt.date, strict=True)
    wanted = [(item, store, on) not in EMPTY and (store, on) not in CLOSED for item, store, on in days]
    assert later["is_countable"].tolist() == wanted


def test_an_order_does_not_see_itself_in_its_customers_total_when_the_day_before_is_closed_after_it():
    world = World(late)
    world.build(day(LAST))
    asked = {"cutoff": day(LAST), "known_until": late(day(LAST))}
    seen = world.store.fetch("training/order_value_frame", asked)
    seen = seen[seen["ordered_at"].dt.date == day(LATE + 1)]
    world.build(day(LATE - 1))
    totals = world.rows("FEATURES.ORDER_TOTAL", day(LATE - 1)).set_index("customer_id")["total_spent"]
    assert len(seen)
    assert seen["total_spent"].tolist() == totals.loc[seen["customer_id"]].tolist()


@pytest.mark.parametrize("step", ["add_rebuilt_daily_sales", *(f"insert_{name}" for name in SWAPPED)])
def test_a_date_that_is_built_again_keeps_its_partitions_if_the_build_is_cut_off(usual, monkeypatch, step):
    """The partitions are emptied and filled in one transaction."""
    before = [sales(usual), *(usual.rows(f"FEATURES.{name.upper()}", day(LAST)) for name in SWAPPED)]
    run = usual.store.run

    def run_until(name, *asked, **names):
        if name == f"cold_store/{step}":
            raise RuntimeError("killed")
        return run(name, *asked, **names)

    monkeypatch.setattr(usual.store, "run", run_until)
    with pytest.raises(RuntimeError, match="killed"):
        usual.build(day(LAST))
    after = [sales(usual), *(usual.rows(f"FEATURES.{name.upper()}", day(LAST)) for name in SWAPPED)]
    for left, right in zip(before, after, strict=True):
        assert len(left)
        same(left, right)


def built_from_the_simulator(folder, closes_at):
    """Newest features of each date, each built when its batch was loaded, and the versions of daily sales."""
    shop = ExportedShop(folder, tiny().model_copy(update={"closes_at": closes_at}))
    store = DuckDBStore()
    load_batch.prepare(store)
    for export, on in zip(shop.export_all(), shop.dates(), strict=False):
        load_batch.load(store, export)
        feature_views.build_partitions(store, on, horizon_days=HORIZON)
    asked = "SELECT * FROM FEATURES.DEMAND WHERE business_date >= ? ORDER BY business_date, series_id"
    versions = "SELECT * EXCLUDE (known_at) FROM FEATURES.DAILY_SALES ORDER BY ALL"
    return store.connection.execute(asked, [shop.dates()[0]]).df(), store.connection.execute(versions).df()


def test_a_simulated_shop_that_closes_at_any_hour_has_the_same_features(tmp_path):
    expected = built_from_the_simulator(tmp_path / "usual", BEFORE_MIDNIGHT)
    for number, closes_at in enumerate([("18:00",), ("18:00", "22:10", "26:00", "20:00", "26:00", "18:00", "13:00")]):
        found = built_from_the_simulator(tmp_path / str(number), closes_at)
        for left, right in zip(found, expected, strict=True):
            same(left, right)
