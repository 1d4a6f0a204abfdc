"""The simulated shop played day by day, against the same shop written at once and against its own truth."""

from collections import defaultdict
from datetime import date, timedelta

import pandas as pd
import pytest

from shelfcast.sources.shop_schema import TABLES
from shelfcast.sources.simulation_settings import Fault, SimulationSettings
from shelfcast_local.simulator.simulator import Simulator

SETTINGS = SimulationSettings(seed=3, stores=3, items=13, first_day=date(2024, 8, 5), history_days=60, units_per_day=5)
PLAYED = 26
Rows = dict[str, dict[tuple[object, ...], dict[str, object]]]


class ShopInMemory:
    """The shop's tables as dicts by key: a slow, obvious stand-in for the database."""

    def __init__(self) -> None:
        self.tables: Rows = defaultdict(dict)

    def insert(self, table: str, rows: list[dict[str, object]]) -> None:
        for row in rows:
            key = tuple(row[name] for name in TABLES[table].key)
            assert key not in self.tables[table], f"{table} {key} is inserted twice"
            self.tables[table][key] = dict(row)

    def play(self, simulator: Simulator, day: date) -> None:
        for transaction in simulator.transactions(day):
            for change in transaction:
                rows = change.rows.to_pylist()
                if change.kind == "insert":
                    self.insert(change.table, rows)
                    continue
                for row in rows:
                    key = tuple(row[name] for name in TABLES[change.table].key)
                    if change.kind == "delete":
                        del self.tables[change.table][key]
                    else:
                        self.tables[change.table][key].update(row)


def written_at_once(simulator: Simulator, last: date | None = None) -> ShopInMemory:
    shop = ShopInMemory()
    for name, rows in simulator.history_tables(last):
        shop.insert(name, rows.to_pylist())
    return shop


def played(simulator: Simulator, days: int) -> ShopInMemory:
    shop = written_at_once(simulator)
    for day in simulator.days_to_come[:days]:
        shop.play(simulator, day)
    return shop


def with_faults(*faults: Fault) -> Simulator:
    return Simulator(SETTINGS.model_copy(update={"faults": faults}))


def differences(one: ShopInMemory, other: ShopInMemory) -> dict[str, int]:
    found = {
        name: len(set(map(repr, one.tables[name].items())) ^ set(map(repr, other.tables[name].items())))
        for name in TABLES
        if name != "business_days"
    }
    return {name: count for name, count in found.items() if count}


@pytest.fixture(scope="module")
def day_by_day() -> ShopInMemory:
    return played(Simulator(SETTINGS), PLAYED)


FIRST = SETTINGS.last_history_date + timedelta(days=1)
LAST_PLAYED = SETTINGS.last_history_date + timedelta(days=PLAYED)


def test_days_played_one_by_one_give_the_shop_that_is_written_at_once(day_by_day: ShopInMemory) -> None:
    assert differences(day_by_day, written_at_once(Simulator(SETTINGS), LAST_PLAYED)) == {}


def test_another_seed_gives_another_shop(day_by_day: ShopInMemory) -> None:
    other = Simulator(SETTINGS.model_copy(update={"seed": 4}))
    assert differences(day_by_day, written_at_once(other, LAST_PLAYED))["orders"] > 100


def test_the_days_played_contain_every_kind_of_change() -> None:
    simulator = Simulator(SETTINGS)
    kinds = {
        (change.table, change.kind)
        for day in simulator.days_to_come[:PLAYED]
        for transaction in simulator.transactions(day)
        for change in transaction
    }
    assert {("orders", "update"), ("order_lines", "update"), ("order_lines", "delete")} <= kinds
    inserted = {table for table, kind in kinds if kind == "insert"}
    assert set(TABLES) - inserted - {"stores", "business_days", "holidays", "store_closures"} == set()


def test_once_all_corrections_are_in_the_orders_add_up_to_what_the_shelf_gave_out(day_by_day: ShopInMemory) -> None:
    settled = LAST_PLAYED - timedelta(days=14)
    orders = pd.DataFrame(day_by_day.tables["orders"].values())
    lines = pd.DataFrame(day_by_day.tables["order_lines"].values())
    kept = orders[orders["status"].isin(["completed", "returned"])].assign(
        sales_date=lambda frame: frame["ordered_at"].dt.normalize()
    )
    sold = lines.merge(kept, on="order_id").groupby(["store_id", "item_id", "sales_date"])["quantity"].sum()
    sold = sold[sold.index.get_level_values("sales_date") <= pd.Timestamp(settled)]
    truth = Simulator(SETTINGS).truth(SETTINGS.first_day, settled).set_index(["store_id", "item_id", "sales_date"])
    true_units = truth["units_sold"]
    pd.testing.assert_series_equal(
        sold.sort_index(),
        true_units[true_units > 0].sort_index().astype(float),
        check_names=False,
        check_index_type=False,
    )


def test_the_amount_of_an_order_is_the_sum_of_its_lines(day_by_day: ShopInMemory) -> None:
    lines = pd.DataFrame(day_by_day.tables["order_lines"].values())
    totals = (lines["quantity"] * lines["unit_price"]).groupby(lines["order_id"]).sum()
    orders = pd.DataFrame(day_by_day.tables["orders"].values()).set_index("order_id")
    assert (orders["order_amount"] - totals.reindex(orders.index).fillna(0)).abs().max() < 0.006


def test_every_announcement_is_written_on_the_day_it_is_made() -> None:
    simulator = Simulator(SETTINGS)
    for day in simulator.days_to_come[:PLAYED]:
        for transaction in simulator.transactions(day):
            for change in transaction:
                if change.kind == "insert" and "announced_at" in change.rows.column_names:
                    assert {at.date() for at in change.rows.column("announced_at").to_pylist()} == {day}
                if change.table == "weather_forecasts":
                    assert {at.date() for at in change.rows.column("issued_at").to_pylist()} == {day}


@pytest.mark.parametrize("kind", ["late_data", "duplicate_orders"])
def test_late_and_doubled_orders_leave_no_trace_in_the_end(day_by_day: ShopInMemory, kind: str) -> None:
    fault = Fault(kind=kind, first_day=FIRST, last_day=FIRST + timedelta(days=4), amount=0.4)
    assert differences(played(with_faults(fault), 3), played(Simulator(SETTINGS), 3))["orders"] > 5
    assert differences(played(with_faults(fault), PLAYED), day_by_day) == {}


def test_bad_rows_are_added_and_change_no_other_row(day_by_day: ShopInMemory) -> None:
    fault = Fault(kind="bad_rows", first_day=FIRST, last_day=FIRST, amount=5)
    found = played(with_faults(fault), PLAYED)
    bad = {key: row for key, row in found.tables["orders"].items() if key not in day_by_day.tables["orders"]}
    lines = [row for key, row in found.tables["order_lines"].items() if key not in day_by_day.tables["order_lines"]]
    assert len(bad) == 5 * SETTINGS.stores
    assert {row["status"] for row in bad.values()} == {None, "lost", "completed"}
    assert any(pd.isna(row["ordered_at"]) for row in bad.values())
    assert min(float(str(row["quantity"])) for row in lines) < 0
    assert "no-such-item" in {row["item_id"] for row in lines}
    assert len(found.tables["orders"]) == len(day_by_day.tables["orders"]) + len(bad)


def test_a_shift_changes_demand_from_its_first_day_on_and_nothing_before() -> None:
    first = SETTINGS.last_history_date - timedelta(days=10)
    shifted = with_faults(Fault(kind="distribution_shift", first_day=first, amount=2.0))
    usual, last = Simulator(SETTINGS), SETTINGS.last_history_date
    before = first - timedelta(days=1)
    pd.testing.assert_frame_equal(shifted.truth(SETTINGS.first_day, before), usual.truth(SETTINGS.first_day, before))
    ratio = shifted.truth(first, last)["units_demanded"].sum() / usual.truth(first, last)["units_demanded"].sum()
    assert 1.8 < ratio < 2.2
    assert shifted.truth(first, last)["units_sold"].sum() / usual.truth(first, last)["units_sold"].sum() > 1.6


def test_a_longer_span_does_not_change_the_days_in_it() -> None:
    keys, last = ["store_id", "item_id", "sales_date"], SETTINGS.last_history_date
    short = Simulator(SETTINGS).truth(SETTINGS.first_day, last).set_index(keys).sort_index()
    long = Simulator(SETTINGS).truth(SETTINGS.first_day, LAST_PLAYED).set_index(keys).sort_index()
    pd.testing.assert_frame_equal(short, long.loc[short.index])
