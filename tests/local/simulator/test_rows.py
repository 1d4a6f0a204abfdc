"""What the rows of a simulated shop hold: valid by the shop's declaration, whatever the seed, and like a real shop."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.sources.closing_times import closed_at
from shelfcast.sources.shop_schema import TABLES, Table
from shelfcast.sources.simulation_settings import SimulationSettings
from shelfcast_local.simulator import shop_calendar
from shelfcast_local.simulator.baskets import basket_size, day_baskets
from shelfcast_local.simulator.climate import forecasts_written, observations_written
from shelfcast_local.simulator.demand import delivery_week, first_day_of, store_week
from shelfcast_local.simulator.offers import promotions_withdrawn, promotions_written
from shelfcast_local.simulator.simulator import Simulator
from shelfcast_local.simulator.world import build_world

SMALL = SimulationSettings(stores=4, items=12, history_days=56)
MEDIUM = SimulationSettings(stores=8, items=24, history_days=400)


def history(simulator: Simulator) -> dict[str, pd.DataFrame]:
    parts: dict[str, list[pd.DataFrame]] = {}
    for name, rows in simulator.history_tables():
        parts.setdefault(name, []).append(rows.to_pandas())
    return {name: pd.concat(found, ignore_index=True) for name, found in parts.items()}


def assert_valid(table: Table, rows: pd.DataFrame) -> None:
    assert list(rows.columns) == list(table.column_names)
    assert not rows.duplicated(list(table.key)).any(), table.name
    for column in table.columns:
        values = rows[column.name]
        assert not (column.required and values.isna().any()), (table.name, column.name)
        if column.minimum is not None:
            assert (values >= column.minimum).all(), (table.name, column.name)
        if column.choices:
            assert set(values) <= set(column.choices), (table.name, column.name)


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**40),
    stores=st.integers(1, 5),
    items=st.integers(1, 15),
    first_day=st.dates(date(2015, 1, 1), date(2030, 12, 31)),
    units_per_day=st.floats(0.05, 40),
)
def test_every_seed_and_size_gives_rows_that_the_schema_allows(
    seed: int, stores: int, items: int, first_day: date, units_per_day: float
) -> None:
    simulator = Simulator(
        SimulationSettings(
            seed=seed, stores=stores, items=items, first_day=first_day, history_days=28, units_per_day=units_per_day
        )
    )
    found = history(simulator)
    assert set(found) == set(TABLES)
    for name, rows in found.items():
        assert_valid(TABLES[name], rows)
    assert found["orders"]["ordered_at"].dt.date.between(first_day, simulator.last_history_date).all()
    assert set(found["order_lines"]["order_id"]) <= set(found["orders"]["order_id"])


@pytest.fixture(scope="module")
def shop() -> Simulator:
    return Simulator(MEDIUM)


@pytest.fixture(scope="module")
def tables(shop: Simulator) -> dict[str, pd.DataFrame]:
    return history(shop)


@pytest.fixture(scope="module")
def truth(shop: Simulator) -> pd.DataFrame:
    return shop.truth(MEDIUM.first_day, MEDIUM.last_history_date)


def test_promotions_are_mostly_announced_a_week_ahead(tables: dict[str, pd.DataFrame]) -> None:
    promotions = tables["promotions"]
    notice = (pd.to_datetime(promotions["starts_on"]) - promotions["announced_at"]).dt.days
    assert notice.min() >= 1
    assert 0.85 < (notice >= 7).mean() < 1.0


def test_a_withdrawn_promotion_was_announced_and_never_takes_place(shop: Simulator, truth: pd.DataFrame) -> None:
    days = range(MEDIUM.first_day.toordinal() + 30, MEDIUM.last_history_date.toordinal() - 7)
    withdrawn = pd.concat([promotions_withdrawn(shop.world, day).assign(withdrawn_on=day) for day in days])
    assert len(withdrawn) > 0
    for row in withdrawn.itertuples():
        before = row.withdrawn_on - 1
        announced = promotions_written(shop.world, before - 30, before, as_of=before)
        assert row.promotion_id in set(announced["promotion_id"])
        assert row.promotion_id not in set(
            promotions_written(shop.world, before - 30, before + 1, as_of=before + 1)["promotion_id"]
        )
    keys = ["store_id", "item_id", "sales_date"]
    starts = withdrawn.assign(sales_date=pd.to_datetime(withdrawn["starts_on"]))[keys]
    assert not starts.merge(truth[truth["on_promotion"]], on=keys).shape[0]


def test_a_promotion_sells_more(truth: pd.DataFrame) -> None:
    is_open = truth[truth["is_open"]]
    by_item = is_open.groupby(["item_id", "on_promotion"])["units_demanded"].mean().unstack()
    assert (by_item[True] / by_item[False]).median() > 1.4


def test_a_stock_out_is_written_as_zero_stock_and_hides_demand(
    tables: dict[str, pd.DataFrame], truth: pd.DataFrame
) -> None:
    stock = tables["stock_levels"]
    empty = stock[stock["units_on_hand"] == 0]
    written = set(zip(empty["store_id"], empty["item_id"], pd.to_datetime(empty["stock_date"]), strict=True))
    known = truth[truth["is_stocked_out"] & (truth["sales_date"] >= pd.Timestamp(MEDIUM.first_day))]
    assert written == set(zip(known["store_id"], known["item_id"], known["sales_date"], strict=True))
    hidden = truth[truth["units_sold"] < truth["units_demanded"]]
    assert hidden["is_stocked_out"].all()
    assert 0.005 < len(hidden) / len(truth) < 0.05


def test_every_item_is_counted_once_a_week(shop: Simulator, tables: dict[str, pd.DataFrame]) -> None:
    counted = tables["stock_levels"]
    counted = counted[counted["units_on_hand"] > 0]
    weeks = (pd.to_datetime(counted["stock_date"]) - pd.Timestamp(MEDIUM.first_day)).dt.days // 7
    by_week = counted.groupby(weeks).apply(lambda part: len(part[["store_id", "item_id"]].drop_duplicates()))
    assert by_week.iloc[5:-1].min() > 0.7 * by_week.max() * 7 / 8
    weekdays = pd.to_datetime(counted["stock_date"]).dt.weekday.groupby(counted["store_id"]).nunique()
    assert (weekdays == 1).all()


def test_a_closed_store_sells_nothing(tables: dict[str, pd.DataFrame]) -> None:
    closed = set(zip(tables["store_closures"]["store_id"], tables["store_closures"]["closed_on"], strict=True))
    sold = set(zip(tables["orders"]["store_id"], tables["orders"]["ordered_at"].dt.date, strict=True))
    assert not closed & sold


def test_some_items_are_asked_for_on_few_days_only(shop: Simulator, truth: pd.DataFrame) -> None:
    is_zero = truth[truth["is_open"]].assign(is_zero=lambda frame: frame["units_demanded"] == 0)
    share = is_zero.groupby("item_id")["is_zero"].mean()
    intermittent = set(shop.world.item_ids[shop.world.is_intermittent])
    assert share[share.index.isin(intermittent)].min() > 0.45
    assert share[~share.index.isin(intermittent)].median() < 0.05


def test_items_come_and_go(tables: dict[str, pd.DataFrame]) -> None:
    items = tables["items"].set_index("item_id")
    sales = tables["order_lines"].merge(tables["orders"], on="order_id")
    days = sales.groupby("item_id")["ordered_at"].agg(["min", "max"])
    introduced = pd.to_datetime(items["introduced_on"])
    assert (introduced > pd.Timestamp(MEDIUM.first_day)).sum() >= 2
    assert (days["min"] >= introduced.reindex(days.index)).all()
    ends = pd.to_datetime(items["discontinued_on"]).dropna()
    assert len(ends) >= 1
    assert (days["max"].reindex(ends.index) < ends + pd.Timedelta(days=1)).all()


def test_weekends_summers_and_trends_show(truth: pd.DataFrame) -> None:
    is_open = truth[truth["is_open"]]
    by_weekday = is_open.groupby(is_open["sales_date"].dt.weekday)["units_demanded"].mean()
    assert by_weekday.idxmax() == 5
    assert by_weekday[5] > 1.3 * by_weekday[0]


def test_some_customers_lastingly_spend_more(tables: dict[str, pd.DataFrame]) -> None:
    orders = tables["orders"][tables["orders"]["status"] == "completed"]
    half = orders["ordered_at"] < orders["ordered_at"].quantile(0.5)
    first, second = (
        part.groupby("customer_id")["order_amount"].agg(["mean", "size"]) for _, part in orders.groupby(half)
    )
    both = first.join(second, lsuffix="_first", rsuffix="_second", how="inner")
    both = both[(both["size_first"] >= 5) & (both["size_second"] >= 5)]
    assert len(both) > 300
    assert both["mean_first"].corr(both["mean_second"]) > 0.5


def test_a_weather_forecast_is_worse_the_farther_it_looks() -> None:
    world = build_world(SMALL)
    first, last = date(2024, 1, 1).toordinal(), date(2024, 12, 31).toordinal()
    forecasts, observed = forecasts_written(world, first, last), observations_written(world, first, last + 10)
    both = forecasts.merge(observed, left_on=["region", "target_date"], right_on=["region", "observed_on"])
    lead = (pd.to_datetime(both["target_date"]) - both["issued_at"].dt.normalize()).dt.days
    error = (both["temperature_celsius_x"] - both["temperature_celsius_y"]).abs().groupby(lead).mean()
    assert list(error.index) == list(range(1, 11))
    assert error.is_monotonic_increasing
    assert error.iloc[0] < 1.0 < error.iloc[-1]


@pytest.mark.parametrize(
    ("year", "easter"),
    [
        (2013, date(2013, 3, 31)),
        (2019, date(2019, 4, 21)),
        (2024, date(2024, 3, 31)),
        (2025, date(2025, 4, 20)),
        (2038, date(2038, 4, 25)),
    ],
)
def test_easter_falls_where_the_almanac_says(year: int, easter: date) -> None:
    assert shop_calendar.easter_sunday(year) == easter


def test_a_delivery_week_holds_its_days_and_no_other() -> None:
    world = build_world(SMALL)
    for store in range(SMALL.stores):
        for day in range(SMALL.first_day.toordinal(), SMALL.first_day.toordinal() + 20):
            week = delivery_week(world, store, day)
            assert first_day_of(world, store, week) <= day < first_day_of(world, store, week + 1)
            assert date.fromordinal(first_day_of(world, store, week)).weekday() == world.delivery_weekday[store]


def test_the_shelf_never_gives_more_than_it_has() -> None:
    world = build_world(SMALL)
    for week in range(delivery_week(world, 0, SMALL.first_day.toordinal()) + 1, 105_600)[:8]:
        found = store_week(world, 0, week)
        assert (found.sold <= found.wanted).all()
        assert (found.on_hand >= 0).all()
        assert (found.on_hand[found.sold < found.wanted] == 0).all()


def test_baskets_hold_every_unit_once() -> None:
    world, rng = build_world(SMALL), np.random.default_rng(1)
    for sold in (np.zeros(12, int), np.ones(12, int), rng.integers(0, 90, 12)):
        orders, lines = day_baskets(world, 1, SMALL.first_day.toordinal(), sold=sold, unit_price=np.ones(12))
        is_true = ~lines.is_void & (orders.cancelled_on[lines.order] > 9_999_999)
        counted = np.bincount(lines.item[is_true], lines.quantity[is_true], minlength=12)
        assert (counted == sold).all()
        assert len(set(lines.order.tolist())) == len(orders.order_id)


def test_basket_sizes_spread_around_one() -> None:
    sizes = basket_size(np.arange(1, 5000))
    assert 0.95 < np.median(sizes) < 1.05
    assert np.quantile(sizes, 0.9) / np.quantile(sizes, 0.1) > 3


def test_the_history_ends_where_the_settings_say() -> None:
    simulator = Simulator(SMALL)
    assert simulator.last_history_date == SMALL.first_day + timedelta(days=55)
    assert simulator.days_to_come[0] == SMALL.first_day + timedelta(days=56)


@pytest.mark.parametrize("closes_at", [("18:00",), ("22:10",), ("26:00",), ("13:00", *["20:30"] * 5, "26:00")])
def test_a_shop_closes_when_the_settings_say_and_sells_nothing_behind(closes_at: tuple[str, ...]) -> None:
    usual, other = history(Simulator(SMALL)), history(Simulator(SMALL.model_copy(update={"closes_at": closes_at})))
    for name, rows in usual.items():
        if name not in ("orders", "business_days"):
            pd.testing.assert_frame_equal(rows, other[name])
    pd.testing.assert_frame_equal(
        usual["orders"].drop(columns="ordered_at"), other["orders"].drop(columns="ordered_at")
    )
    closes = other["business_days"].set_index("business_date")["closed_at"]
    assert closes.tolist() == [closed_at(day, closes_at) for day in closes.index]
    orders = other["orders"]
    assert (orders["ordered_at"].dt.date == usual["orders"]["ordered_at"].dt.date).all()
    assert (orders["ordered_at"] < orders["ordered_at"].dt.date.map(closes)).all()
