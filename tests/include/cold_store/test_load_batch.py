"""Loading batches: each change once in effect, however often and in whatever pieces it is delivered."""

from datetime import date, datetime, time, timedelta

import pandas as pd
import pytest

from shelfcast.cold_store import load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.cold_store.statements import statement
from shelfcast.errors import BatchRefused, ConfigurationError, PostConditionFailed
from shelfcast.ingestion.batch import Batch

FIRST = date(2024, 1, 1)
TABLES = ("RAW.ORDERS", "RAW.ORDERS_CHANGES", "OPERATIONS.BUSINESS_DATES", "QUARANTINE.BAD_ROWS")


def order(number, *, op="c", position, amount=10.0, generation=1):
    at = datetime.combine(FIRST, time(9)) + timedelta(minutes=number)
    known = {"op": op, "position": position, "position_ordinal": position, "generation": generation, "committed_at": at}
    row = {"order_id": number, "customer_id": 1, "store_id": "S1", "ordered_at": at, "status": "completed"}
    empty = dict.fromkeys(("customer_id", "store_id", "ordered_at", "status", "order_amount"))
    return {**row, "order_amount": amount, **known} | (empty if op == "d" else {})


def closed(number, *, position, op="c", generation=1):
    on = FIRST + timedelta(days=number)
    at = datetime.combine(on, time(23, 59, 59))
    known = {"op": op, "position": position, "position_ordinal": position, "generation": generation, "committed_at": at}
    return {"business_date": on, "closed_at": at, **known}


SNAPSHOT = ([order(1, op="r", position=0), order(2, op="r", position=0)], [closed(0, op="r", position=0)])
CHANGES = (
    [
        order(1, op="u", position=5, amount=20.0),
        order(3, position=6),
        order(2, op="d", position=7),
        order(3, op="u", position=12, amount=30.0),
    ],
    [closed(1, position=10)],
)


class World:
    """A cold store and batches for it."""

    def __init__(self, folder, store=None):
        self.folder = folder
        self.store = store or DuckDBStore()
        load_batch.prepare(self.store)

    def export(self, number, orders, days, *, bad=(), generation=1):
        folder = self.folder / f"b{number}"
        rows = {"orders": pd.DataFrame(orders), "business_days": pd.DataFrame(days)}
        for name, frame in rows.items():
            if len(frame):
                (folder / name).mkdir(parents=True)
                frame.assign(batch_id=f"b{number}").to_parquet(folder / name / "part.parquet")
        if bad:
            (folder / "quarantine" / "orders").mkdir(parents=True)
            pd.DataFrame(bad).to_parquet(folder / "quarantine" / "orders" / "part.parquet")
        folder.mkdir(parents=True, exist_ok=True)
        counts = {name: len(frame) for name, frame in rows.items() if len(frame)}
        quarantined = {"orders": len(bad)} if bad else {}
        Batch(
            batch_id=f"b{number}",
            generation=generation,
            first_drain=number,
            last_drain=number,
            rows=counts,
            quarantined=quarantined,
        ).save(folder)
        return folder

    def load(self, number, orders, days, **about):
        return load_batch.load(self.store, self.export(number, orders, days, **about))

    def content(self):
        """Rows of every table in no order, without the name of the batch that brought them."""
        return {
            name: sorted(
                map(
                    repr,
                    self.store.connection.execute(f"SELECT * FROM {name}")
                    .df()
                    .drop(columns="batch_id", errors="ignore")
                    .values.tolist(),
                )
            )
            for name in TABLES
        }


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_snapshot_announces_its_newest_date_and_a_later_batch_each_closed_one(world):
    assert world.load(1, *SNAPSHOT).business_dates == [FIRST]
    assert load_batch.last_drain(world.store) == load_batch.Drain(generation=1, drain=1)
    assert world.load(2, *CHANGES).business_dates == [FIRST + timedelta(days=1)]


def test_current_rows_are_the_newest_versions(world):
    assert load_batch.last_drain(world.store) == load_batch.Drain()
    world.load(1, *SNAPSHOT)
    loaded = world.load(2, *CHANGES)
    assert (loaded.rows, loaded.quarantined) == (5, 0)
    found = world.store.connection.execute("SELECT order_id, order_amount FROM RAW.ORDERS ORDER BY 1").fetchall()
    assert [(number, float(amount)) for number, amount in found] == [(1, 20.0), (3, 30.0)]


def test_a_change_is_known_at_the_close_behind_it(world):
    world.load(1, *SNAPSHOT)
    world.load(2, *CHANGES)
    known = "SELECT position, known_at FROM RAW.ORDERS_CHANGES ORDER BY position, order_id"
    close = datetime.combine(FIRST + timedelta(days=1), time(23, 59, 59))
    found = world.store.connection.execute(known).fetchall()
    assert [moment for position, moment in found if 0 < position <= 10] == [close] * 3
    assert found[-1] == (12, None)
    assert found[0][1] == datetime.combine(FIRST, time(9, 1))
    world.load(3, [], [closed(2, position=20)])
    assert world.store.connection.execute(known).fetchall()[-1][1].date() == FIRST + timedelta(days=2)


def test_what_is_delivered_twice_or_in_pieces_or_backwards_is_once_in_effect(world, tmp_path):
    world.load(1, *SNAPSHOT)
    world.load(2, *CHANGES)
    other = World(tmp_path / "other")
    other.load(1, *SNAPSHOT)
    orders, days = CHANGES
    other.load(2, list(reversed(orders))[2:], [])
    other.load(3, orders + orders[:2], days)
    other.load(4, orders[1:], days)
    assert other.content() == world.content()


class Dying(DuckDBStore):
    """Fails at the n-th statement, once."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def run(self, name, parameters=None, **names):
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("killed")
        return super().run(name, parameters, **names)


def statements_of_a_load(tmp_path):
    store = Dying(10_000)
    world = World(tmp_path / "count", store)
    before = store.left
    world.load(1, *SNAPSHOT)
    world.load(2, *CHANGES)
    return 10_000 - before, 10_000 - store.left


def test_a_load_that_was_killed_anywhere_is_run_again_to_the_same_end(world, tmp_path):
    world.load(1, *SNAPSHOT)
    world.load(2, *CHANGES)
    first, last = statements_of_a_load(tmp_path)
    for after in range(first + 1, last + 1, 3):
        store = Dying(after)
        other = World(tmp_path / f"at{after}", store)
        for number, (orders, days) in enumerate((SNAPSHOT, CHANGES), 1):
            export = other.export(number, orders, days)
            try:
                load_batch.load(store, export)
            except RuntimeError:
                load_batch.load(store, export)
        assert other.content() == world.content(), after


def test_without_the_guard_by_position_an_older_change_would_win(world):
    """The negative control: the same rows, with the older one made newer."""
    world.load(1, *SNAPSHOT)
    world.load(2, *CHANGES)
    before = world.content()
    world.load(3, [order(1, op="u", position=4, amount=99.0)], [])
    assert world.content()["RAW.ORDERS"] == before["RAW.ORDERS"]
    world.load(4, [order(1, op="u", position=40, amount=99.0)], [])
    assert world.content()["RAW.ORDERS"] != before["RAW.ORDERS"]


def test_rows_that_a_later_snapshot_no_longer_holds_were_deleted(world):
    world.load(1, *SNAPSHOT)
    world.load(
        2, [order(1, op="r", position=0, generation=2)], [closed(0, op="r", position=0, generation=2)], generation=2
    )
    assert world.store.connection.execute("SELECT order_id FROM RAW.ORDERS").fetchall() == [(1,)]
    assert load_batch.last_drain(world.store).generation == 2


BAD = {
    "batch_id": "b1",
    "table_name": "orders",
    "row_key": "9",
    "position": 1,
    "position_ordinal": 1,
    "reason": "r",
    "row_json": "{}",
}


def test_bad_rows_wait_in_quarantine_with_their_reason(world):
    orders = [order(number, position=number) for number in range(1, 31)]
    assert world.load(1, orders, [], bad=[BAD]).quarantined == 1
    load_batch.load(world.store, world.folder / "b1")
    assert world.store.connection.execute("SELECT reason FROM QUARANTINE.BAD_ROWS").fetchall() == [("r",)]


def test_a_batch_of_bad_rows_is_refused_and_nothing_is_loaded(world):
    with pytest.raises(BatchRefused):
        world.load(1, [order(1, position=1)], [], bad=[BAD])
    assert world.store.connection.execute("SELECT COUNT(*) FROM RAW.ORDERS").fetchone() == (0,)


def test_files_that_do_not_fit_their_counts_are_refused(world):
    folder = world.export(1, [order(1, position=1)], [])
    Batch(batch_id="b1", generation=1, first_drain=1, last_drain=1, rows={"orders": 2}).save(folder)
    with pytest.raises(PostConditionFailed, match="do not belong together"):
        load_batch.load(world.store, folder)


def test_a_key_that_is_there_twice_is_named(world):
    world.load(1, *SNAPSHOT)
    world.store.connection.execute("INSERT INTO RAW.ORDERS SELECT * FROM RAW.ORDERS WHERE order_id = 1")
    world.store.connection.execute("INSERT INTO RAW.ORDERS SELECT * REPLACE (77 AS order_id) FROM RAW.ORDERS")
    with pytest.raises(PostConditionFailed, match=r"keys more than once.*77"):
        world.load(2, [order(5, position=9)], [])


def test_identifiers_and_statements_are_checked():
    assert "RAW.ORDERS" in statement("cold_store/duplicate_keys", current="RAW.ORDERS", keys=["order_id"])
    with pytest.raises(ConfigurationError, match="not an SQL identifier"):
        statement("cold_store/duplicate_keys", current="RAW.ORDERS; DROP TABLE X", keys=["order_id"])
    with pytest.raises(ConfigurationError, match="There is no statement"):
        statement("cold_store/nothing")
