"""The features against slow and obvious loops, on both clocks."""

import math
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

import numpy as np
import pytest
from features_world import (
    CLOSED,
    EMPTY,
    FIRST,
    HORIZON,
    LATER_DAYS,
    PRICES,
    PROMOTED,
    SERIES,
    SNAPSHOT_DAYS,
    World,
    close,
    day,
    same,
)

from shelfcast.cold_store import feature_views, load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.errors import NothingToDo, PostConditionFailed
from shelfcast.model import declaration as declarations
from shelfcast.sources.shop_schema import TABLES


@pytest.fixture(scope="module")
def world():
    made = World()
    made.build(day(SNAPSHOT_DAYS + LATER_DAYS - 1))
    return made


def mean(values):
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else math.nan


class Day(NamedTuple):
    when: date
    wanted: float | None
    """Units that count in the features."""
    counted: float | None
    """Units that were sold, unless the day was closed or sold out."""
    promoted: bool
    usual: float | None
    """What its kind of day, of one weekday with or without promotion, sold in the year before."""


def panel(world, item, store, on):
    """A series from its first day to `on`."""
    units = world.known_units(on)
    own = [when for (i, s, when) in [*units, *EMPTY] if (i, s) == (item, store) and when <= on]
    rows = []
    for number in range((on - min(own)).days + 1):
        when = min(own) + timedelta(days=number)
        promoted = any(
            start <= when <= end and announced <= close(on) for start, end, announced in PROMOTED.get((item, store), [])
        )
        kind = (when.isoweekday(), promoted)
        alike = [row.counted for row in rows if (row.when.isoweekday(), row.promoted) == kind]
        usual = mean(alike[-52:]) if any(value is not None for value in alike[-52:]) else None
        sold, is_empty = units.get((item, store, when), 0.0), (item, store, when) in EMPTY
        is_closed = CLOSED.get((store, when), datetime.max) <= close(on)
        counted = None if is_closed or is_empty else sold
        wanted = max(sold, usual) if is_empty and not is_closed and usual is not None else counted
        rows.append(Day(when, wanted, counted, promoted, usual))
    return rows


def level(rows, days, *, kinds=(False, True)):
    """Units of the last days, with and without promotion or of one kind, against what is usual for their kind of day."""
    known = [row for row in rows[-days:] if row.counted is not None and row.usual is not None and row.promoted in kinds]
    usual = sum(row.usual for row in known)
    return sum(row.counted for row in known) / usual if usual else None


@pytest.mark.parametrize("number", [15, 20, 21, 36, 40, 45, 48, 49, 50, 59, 61, 65])
@pytest.mark.parametrize(("item", "store"), SERIES)
def test_every_feature_equals_the_loop(world, number, item, store):
    on = day(number)
    rows = panel(world, item, store, on)
    found = world.rows("FEATURES.DEMAND", on).set_index("series_id").loc[f"{item}@{store}"]
    units = [row.wanted for row in rows]
    expected = {f"units_mean_{days}": mean(units[-days:]) for days in (7, 14, 28, 56, 182, 364)}
    last = [row.counted for row in rows[-28:] if row.counted is not None]
    expected["units_std_28"] = float(np.std(last, ddof=1))
    expected["zero_share_28"] = mean([float(value == 0) for value in last])
    expected |= {f"units_lag_{lag}": units[-lag] if len(units) >= lag else None for lag in range(1, 8)}
    for weekday in range(1, 8):
        of_day = [row for row in rows if row.when.isoweekday() == weekday]
        recent = [row for row in rows[-56:] if row.when.isoweekday() == weekday]
        expected[f"weekday_mean_{weekday}"] = mean([row.wanted for row in recent])
        expected[f"weekday_regular_mean_{weekday}"] = mean([row.wanted for row in of_day if not row.promoted])
        expected[f"weekday_promotion_mean_{weekday}"] = mean([row.wanted for row in of_day if row.promoted])
    regular, promoted = (mean([row.wanted for row in rows if row.promoted is flag]) for flag in (False, True))
    expected["promotion_uplift_364"] = promoted / regular if regular else None
    expected |= {f"level_{days}": level(rows, days) for days in (7, 14, 28, 56)}
    expected |= {f"regular_level_{days}": level(rows, days, kinds=(False,)) for days in (14, 56)}
    own = world.known_units(on)
    sold = [row.when for row in rows if own.get((item, store, row.when))]
    expected["days_since_first_sale"] = (on - sold[0]).days
    expected["days_since_last_sale"] = (on - sold[-1]).days
    expected["stockout_share_28"] = mean([float((item, store, row.when) in EMPTY) for row in rows[-28:]])
    told = [(when, price) for when, price, announced in PRICES.get((item, store), []) if announced <= close(on)]
    steps = [(max(when, rows[0].when), price) for when, price in told if when <= on]
    prices = [([price for start, price in steps if start <= when] or [None])[-1] for when, *_ in rows]
    expected["price_latest"], expected["price_mean_56"] = prices[-1], mean(prices[-56:])
    # held against loops of their own below
    elsewhere = {"units_next_28_last_year", "store_units_mean_28", "item_units_mean_28"}
    assert set(expected) | elsewhere == set(declarations.load("demand").as_of_features)
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


NEAR = 28
PLANS = {
    "promotions": [("milk", "S1", 64, 66, 0.2), ("milk", "S1", 69, 69, 0.4), ("soap", "S1", 68, 90, 0.1)],
    "store_closures": [("S1", number) for number in (34, 60, 67, 70, 99)] + [("S2", 66), ("S2", 58)],
    "holidays": [(38, "public"), (67, "public"), (68, "school"), (96, "public")],
    "weather_forecasts": [(64, 66, 5.0, 0.0), (65, 66, 7.5, 1.5), (65, 68, -2.0, 0.25)],
    "prices": [("milk", "S1", 68, 3.0), ("soap", "S1", 1, 1.5)],
}


def planned_world():
    """The shop with plans around the days ahead of the last date, each of them announced in time."""
    world, told = World(), close(FIRST)
    for number, (item, store, start, end, discount) in enumerate(PLANS["promotions"]):
        place = {"promotion_id": 50 + number, "store_id": store, "item_id": item, "discount": discount}
        world.add("promotions", "c", FIRST, starts_on=day(start), ends_on=day(end), announced_at=told, **place)
    for store, number in PLANS["store_closures"]:
        world.add("store_closures", "c", FIRST, store_id=store, closed_on=day(number), reason="r", announced_at=told)
    for number, kind in PLANS["holidays"]:
        world.add("holidays", "c", FIRST, region="north", holiday_on=day(number), kind=kind, name=kind)
    for issued, target, celsius, millimetres in PLANS["weather_forecasts"]:
        value = {"temperature_celsius": celsius, "precipitation_mm": millimetres, "issued_at": close(day(issued))}
        world.add("weather_forecasts", "c", day(issued), region="north", target_date=day(target), **value)
    for item, store, number, price in PLANS["prices"]:
        world.add(
            "prices", "c", FIRST, store_id=store, item_id=item, valid_from=day(number), price=price, announced_at=told
        )
    world.build(day(SNAPSHOT_DAYS + LATER_DAYS - 1))
    return world


def nearest(days, number):
    """Days since the last and until the next of some days, both at most `NEAR`; the day itself is both."""
    since = [number - other for other in days if 0 <= number - other < NEAR]
    until = [other - number for other in days if 0 <= other - number < NEAR]
    return min(since, default=NEAR), min(until, default=NEAR)


def promotion_by_loop(item, store, number):
    own = [plan[2:] for plan in PLANS["promotions"] if plan[:2] == (item, store)]
    own += [((a - FIRST).days, (b - FIRST).days, 0.2) for a, b, _ in PROMOTED.get((item, store), [])]
    running = [plan for plan in own if plan[0] <= number <= plan[1]]
    days = [other for start, end, _ in own for other in range(start, end + 1)]
    since, until = nearest(days, number)
    return {
        "on_promotion": float(bool(running)),
        "discount": max((plan[2] for plan in running), default=0.0),
        "promotion_day": max((number - plan[0] + 1 for plan in running), default=0),
        "promotion_days_left": max((plan[1] - number for plan in running), default=0),
        "days_since_promotion": since,
        "days_until_promotion": until,
    }


def closure_by_loop(store, number):
    closed = {other for place, other in PLANS["store_closures"] if place == store}
    closed |= {(on - FIRST).days for place, on in CLOSED if place == store}
    since, until = nearest([other for other in closed if other - 7 not in closed], number)
    return {
        "is_open": float(number not in closed),
        "is_open_day_before": float(number - 1 not in closed),
        "is_open_day_after": float(number + 1 not in closed),
        "days_since_closure": since,
        "days_until_closure": until,
        "closed_days_before_14": len(closed & set(range(number - 14, number))),
        "closed_days_after_14": len(closed & set(range(number + 1, number + 15))),
    }


def calendar_by_loop(number):
    public = [other for other, kind in PLANS["holidays"] if kind == "public"]
    since, until = nearest(public, number)
    weather = [plan[2:] for plan in sorted(PLANS["weather_forecasts"]) if plan[1] == number]
    return {
        "is_public_holiday": float(number in public),
        "days_since_holiday": since,
        "days_until_holiday": until,
        "is_school_holiday": float((number, "school") in PLANS["holidays"]),
        "temperature_celsius": weather[-1][0] if weather else math.nan,
        "precipitation_mm": weather[-1][1] if weather else math.nan,
    }


def price_by_loop(item, store, number):
    steps = [((on - FIRST).days, price) for on, price, _ in PRICES.get((item, store), [])]
    steps += [plan[2:] for plan in PLANS["prices"] if plan[:2] == (item, store)]
    return {"price": max((step for step in steps if step[0] <= number), default=(0, math.nan))[1]}


def test_every_covariate_of_every_day_ahead_equals_the_loop():
    last = SNAPSHOT_DAYS + LATER_DAYS - 1
    rows = planned_world().rows("FEATURES.DEMAND_AHEAD", day(last)).set_index(["series_id", "horizon_days"])
    for item, store in SERIES:
        for ahead in range(1, HORIZON + 1):
            number, found = last + ahead, rows.loc[(f"{item}@{store}", ahead)]
            wanted = promotion_by_loop(item, store, number) | closure_by_loop(store, number)
            wanted |= calendar_by_loop(number) | price_by_loop(item, store, number)
            assert set(wanted) == set(declarations.load("demand").ahead_covariates)
            for name, value in wanted.items():
                assert float(found[name]) == pytest.approx(value, abs=1e-9, nan_ok=True), (item, store, ahead, name)


def test_last_years_next_four_weeks_are_those_of_a_loop():
    """One series over 400 days, written as daily sales."""
    store, rng = DuckDBStore(), np.random.default_rng(2)
    load_batch.prepare(store)
    feature_views.prepare(store)
    units = rng.integers(1, 9, 400).astype(float)
    for number, value in enumerate(units):
        values = ["milk@S1", "S1", "milk", day(number), value, False, close(day(number))]
        store.connection.execute("INSERT INTO FEATURES.DAILY_SALES VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        dates = [day(number), close(day(number))]
        store.connection.execute("INSERT INTO OPERATIONS.BUSINESS_DATES VALUES (?, ?, 0, 1, 'b')", dates)
    span = {"oldest_date": FIRST, "known_until": close(day(399)), "from_date": day(335), "until_date": day(399)}
    store.run("cold_store/insert_demand", span)
    text = "SELECT business_date, units_next_28_last_year FROM FEATURES.DEMAND ORDER BY 1"
    found = store.connection.execute(text).fetchall()
    assert len(found) == 65
    for position, (_, value) in enumerate(found):
        number = 335 + position
        year_ago = [units[number - back] for back in range(363, 335, -1) if number >= back]
        assert value == (pytest.approx(np.mean(year_ago)) if year_ago else None)


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
    assert ahead.loc["milk@S1", "price"].tolist() == [1.8, 1.8, 3.0, 3.0, 3.0]
    assert ahead.loc["milk@S1", "is_open"].tolist() == [1, 1, 1, 1, 0]
    assert ahead.loc["milk@S1", "is_open_day_after"].tolist() == [1, 1, 1, 0, 1]
    assert ahead.loc["milk@S1", "is_open_day_before"].tolist() == [1, 1, 1, 1, 1]
    assert ahead.loc["soap@S1", "promotion_day"].tolist() == [0, 1, 2, 0, 0]


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


def test_a_frame_says_which_group_a_store_was_known_to_be_of():
    world, cutoff = World(), day(SNAPSHOT_DAYS + 2)
    world.build(cutoff)
    world.add("stores", "u", day(SNAPSHOT_DAYS + 1), store_id="S2", region="north", store_group="b", opened_on=FIRST)
    world.add("stores", "u", day(SNAPSHOT_DAYS + 3), store_id="S1", region="north", store_group="z", opened_on=FIRST)
    feature_views.ensure_ahead(world.store, [cutoff - timedelta(days=7)], horizon_days=HORIZON)
    asked = {"cutoff": cutoff, "known_until": close(cutoff)}
    origins = {"first_origin": cutoff - timedelta(days=7), "origin_step_days": 7, "horizon_days": HORIZON}
    frame = world.store.fetch("training/demand_frame", asked | origins)
    assert set(zip(frame["store_id"], frame["store_group"], strict=True)) == {("S1", "a"), ("S2", "b")}
    assert set(world.store.fetch("training/order_value_frame", asked)["store_group"]) == {"a", "b"}


def test_history_in_one_statement_equals_day_by_day(world):
    other = World()
    other.store.connection.execute("UPDATE OPERATIONS.BUSINESS_DATES SET position = 1")
    for number in range(SNAPSHOT_DAYS):
        other.build(day(number))
    for number in range(SNAPSHOT_DAYS):
        same(other.rows("FEATURES.DEMAND", day(number)), world.rows("FEATURES.DEMAND", day(number)))


def tell_at_random(world, rng, count=60):
    """Promotions, prices and closures that are announced, changed and deleted at any time, in any order."""
    for number in range(count):
        item, store = SERIES[rng.integers(len(SERIES))]
        start, place = day(int(rng.integers(0, 60))), {"store_id": store}
        for op in ("c", "u", "u", "d")[: rng.integers(1, 5)]:
            moments = [close(day(int(value))) - timedelta(hours=int(value) % 7) for value in rng.integers(-5, 75, 2)]
            told = {"known_at": moments[0]} | ({} if op == "d" else {"announced_at": moments[1]})
            moved = start + timedelta(days=int(rng.integers(0, 4)))
            end = moved + timedelta(days=int(rng.integers(0, 25)))
            plan = {**place, "item_id": item, "starts_on": moved, "ends_on": end, "discount": 0.2}
            world.add("promotions", op, FIRST, **({} if op == "d" else plan), promotion_id=100 + number, **told)
            price = {**place, "item_id": item, "valid_from": start}
            world.add("prices", op, FIRST, **price, **told, price=None if op == "d" else float(rng.integers(1, 4)))
            if number % 6 == 0:
                world.add("store_closures", op, FIRST, **place, closed_on=start, **told)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_range_in_one_statement_is_its_dates_one_by_one_whatever_was_told_when(world, seed):
    other = World()
    tell_at_random(other, np.random.default_rng(seed))
    feature_views.prepare(other.store)
    other.store.connection.register("sold", world.store.connection.execute("SELECT * FROM FEATURES.DAILY_SALES").df())
    other.store.connection.execute("INSERT INTO FEATURES.DAILY_SALES SELECT * FROM sold")
    dates = [day(number) for number in range(9, SNAPSHOT_DAYS, 5)]

    def built(from_date, until_date):
        span = {"from_date": from_date, "until_date": until_date, "known_until": close(until_date)}
        other.store.run("cold_store/delete_partition", span, table="FEATURES.DEMAND")
        other.store.run("cold_store/insert_demand", {**span, "oldest_date": FIRST})
        return {on: other.rows("FEATURES.DEMAND", on) for on in dates}

    alone = {on: built(on, on)[on] for on in dates}
    together = built(dates[0], dates[-1])
    for on in dates:
        same(together[on], alone[on])


def test_a_partition_of_a_long_history_is_the_same_alone_and_among_others():
    """Three years with promotions every other week; what is usual must not reach farther back than a lone build reads."""
    store, rng = DuckDBStore(), np.random.default_rng(4)
    load_batch.prepare(store)
    feature_views.prepare(store)
    days = 3 * 365
    for number in range(days):
        sold, is_empty = float(rng.integers(1, 9)) + 20 * (number < 300), rng.random() < 0.1
        values = ["milk@S1", "S1", "milk", day(number), sold, is_empty, close(day(number))]
        store.connection.execute("INSERT INTO FEATURES.DAILY_SALES VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        dates = [day(number), close(day(number))]
        store.connection.execute("INSERT INTO OPERATIONS.BUSINESS_DATES VALUES (?, ?, 0, 1, 'b')", dates)
    for week in range(0, days // 7, 2):
        plan = [week, "S1", "milk", day(7 * week), day(7 * week + 6), 0.2, close(FIRST), "r", 0, 0, 1, None]
        marks = ", ".join("?" for _ in [*plan, *range(2)])
        store.connection.execute(f"INSERT INTO RAW.PROMOTIONS_CHANGES VALUES ({marks})", [*plan, close(FIRST), "b"])

    def built(first, last):
        oldest = day(first - feature_views.MEMORY_DAYS)
        span = {"from_date": day(first), "until_date": day(last), "known_until": close(day(last))}
        store.run("cold_store/delete_partition", span, table="FEATURES.DEMAND")
        store.run("cold_store/insert_demand", {**span, "oldest_date": oldest})
        text = "SELECT * FROM FEATURES.DEMAND WHERE business_date = ?"
        return store.connection.execute(text, [day(last)]).df()

    same(built(days - 1, days - 1), built(0, days - 1))


def test_a_day_that_ends_with_an_empty_shelf_is_sold_out_whatever_it_sold():
    world, on, last = World(), day(SNAPSHOT_DAYS + 3), day(SNAPSHOT_DAYS + LATER_DAYS - 1)
    for units, known_on in ((0.0, on), (2.0, last)):
        world.empty("milk", "S2", on, op="c" if known_on == on else "u", known_on=known_on, units=units)
    world.sell("milk", "S2", on, 5)
    world.build(last)
    told = world.store.connection.execute(
        "SELECT is_stocked_out, units_sold > 0 FROM FEATURES.DAILY_SALES WHERE series_id = 'milk@S2' AND sales_date = ? "
        "ORDER BY known_at",
        [on],
    ).fetchall()
    assert told == [(True, True), (False, True)], "a corrected count is known from its own close on"


def test_a_frame_counts_no_day_that_was_closed_or_sold_out(world):
    cutoff = day(SNAPSHOT_DAYS + LATER_DAYS - 1)
    origins = [cutoff - timedelta(days=number) for number in range(1, 9)]
    feature_views.ensure_ahead(world.store, origins, horizon_days=HORIZON)
    asked = {"cutoff": cutoff, "known_until": close(cutoff), "first_origin": origins[-1]}
    frame = world.store.fetch("training/demand_frame", {**asked, "origin_step_days": 1, "horizon_days": HORIZON})
    days = zip(frame["item_id"], frame["store_id"], frame["sales_date"].dt.date, strict=True)
    wanted = [(item, store, on) not in EMPTY and (store, on) not in CLOSED for item, store, on in days]
    assert frame["is_countable"].tolist() == wanted
    assert (frame.loc[~frame["is_countable"], "units_sold"] > 0).any()


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
    without = World()
    without.build(last)
    same(world.rows("FEATURES.DEMAND", last), without.rows("FEATURES.DEMAND", last))
    assert world.rows("FEATURES.DEMAND", on).set_index("series_id").loc["milk@S2", "units_lag_1"] >= 100


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
