"""Loading batches: each change once in effect, however often and in whatever pieces it is delivered."""

import json
import shutil
from contextlib import suppress
from datetime import date, datetime, time, timedelta

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelfcast.cold_store import load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.cold_store.replay_quarantine import Replayed, replay
from shelfcast.cold_store.statements import statement
from shelfcast.errors import BatchRefused, ConfigurationError, PostConditionFailed
from shelfcast.ingestion.batch import Batch
from shelfcast.sources import shop_schema

FIRST = date(2024, 1, 1)
DAY = timedelta(days=1)
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
            **self.keys(orders, bad),
        ).save(folder)
        return folder

    def keys(self, orders, bad):
        """The landing job's counts, by a loop: the keys, and those whose newest version is bad."""
        newest = {}
        versions = [(row["position_ordinal"], str(row["order_id"]), False) for row in orders]
        for _, key, is_bad in sorted(versions + [(row["position_ordinal"], row["row_key"], True) for row in bad]):
            newest[key] = is_bad
        return {"keys": {"orders": len(newest)}, "bad_keys": {"orders": sum(newest.values())}} if bad else {}

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


def test_a_batch_says_from_when_to_when_its_changes_were_committed(world):
    world.load(1, *SNAPSHOT)
    world.load(2, *CHANGES)
    world.load(3, [order(7, position=30) | {"committed_at": None}], [])
    asked = (
        "SELECT first_position, last_position, first_committed_at, last_committed_at FROM OPERATIONS.BATCHES ORDER BY 2"
    )
    first, second, third = world.store.connection.execute(asked).fetchall()
    close = datetime.combine(FIRST, time(23, 59, 59))
    assert first == (0, 0, datetime.combine(FIRST, time(9, 1)), close)
    assert second == (5, 12, datetime.combine(FIRST, time(9, 1)), close + DAY)
    assert third == (30, 30, None, None)


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


@pytest.fixture
def two_tables(monkeypatch):
    """Only the tables that the test fills: the statements are the same for each."""
    kept = {name: shop_schema.TABLES[name] for name in ("orders", "business_days")}
    monkeypatch.setattr(load_batch, "TABLES", kept)


SECOND = ([order(1, op="r", position=0, generation=2)], [closed(2, op="r", position=0, generation=2)])
DELIVERIES = ((*SNAPSHOT, 1), (*CHANGES, 1), (*SECOND, 2))


def undisturbed(folder):
    world = World(folder)
    announced = [world.load(n, *rows, generation=at).business_dates for n, (*rows, at) in enumerate(DELIVERIES, 1)]
    return world.content(), announced


def killed_at(folder, after, *, is_given_up):
    """Content and announced dates when the n-th statement fails; `None` when there is no n-th.

    A load that is given up is followed by a batch of another name that brings the same changes once more.
    """
    store = Dying(10_000)
    world = World(folder, store)
    store.left = after
    announced = []
    for number, (orders, days, generation) in enumerate(DELIVERIES, 1):
        try:
            loaded = world.load(number, orders, days, generation=generation)
        except RuntimeError:
            again = number + 50 if is_given_up else number
            shutil.rmtree(folder / f"b{again}", ignore_errors=True)
            loaded = world.load(again, orders, days, generation=generation)
        announced.append(loaded.business_dates)
    return (world.content(), announced) if store.left <= 0 else None


@pytest.mark.usefixtures("two_tables")
@pytest.mark.parametrize("is_given_up", [False, True])
def test_a_load_that_was_killed_anywhere_comes_to_the_same_end(tmp_path, is_given_up):
    expected = undisturbed(tmp_path / "undisturbed")
    after = 1
    while found := killed_at(tmp_path / f"at{after}", after, is_given_up=is_given_up):
        assert found == expected, after
        after += 1
    assert after > 40


@pytest.mark.usefixtures("two_tables")
def test_without_taking_over_a_load_that_was_given_up_is_lost(tmp_path, monkeypatch):
    """The negative control."""
    expected = undisturbed(tmp_path / "undisturbed")
    monkeypatch.setattr(load_batch, "_adopt", lambda *_: None)
    endings = [killed_at(tmp_path / f"at{after}", after, is_given_up=True) for after in range(4, 30, 2)]
    assert any(found != expected for found in endings)


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


def test_a_batch_of_bad_rows_is_refused_and_its_bad_rows_can_be_looked_at(world):
    with pytest.raises(BatchRefused, match=r"QUARANTINE\.BAD_ROWS under this batch_id"):
        world.load(1, [order(1, position=1)], [], bad=[BAD])
    assert world.store.connection.execute("SELECT COUNT(*) FROM RAW.ORDERS").fetchone() == (0,)
    found = world.store.connection.execute("SELECT batch_id, row_key, reason FROM QUARANTINE.BAD_ROWS").fetchall()
    assert found == [("b1", "9", "r")]
    assert load_batch.last_drain(world.store) == load_batch.Drain()


def test_a_refused_batch_is_loaded_by_the_next_run_once_its_rows_are_mended(world):
    waiting = [order(1, position=1), order(2, position=2)]
    with pytest.raises(BatchRefused):
        world.load(1, waiting, [], bad=[BAD | {"position": 3, "position_ordinal": 3}])
    mended = [*waiting, order(9, op="u", position=8)]
    bad = [BAD | {"batch_id": "b2", "position": 3, "position_ordinal": 3}]
    loaded = world.load(2, mended, [closed(0, position=9)], bad=bad)
    assert (loaded.rows, loaded.quarantined, loaded.business_dates) == (4, 1, [FIRST])
    assert world.store.connection.execute("SELECT order_id FROM RAW.ORDERS ORDER BY 1").fetchall() == [(1,), (2,), (9,)]
    assert world.store.connection.execute("SELECT batch_id FROM QUARANTINE.BAD_ROWS").fetchall() == [("b2",)]


def test_a_row_that_was_broken_after_it_was_good_is_not_mended(world):
    bad = [BAD | {"row_key": "1", "position": 3, "position_ordinal": 3}]
    with pytest.raises(BatchRefused, match="1 of the 2 keys"):
        world.load(1, [order(1, position=1), order(2, position=2)], [], bad=bad)


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


CHANGE = st.tuples(st.integers(1, 4), st.sampled_from("cuud"), st.integers(0, 50))


def current(changes):
    """The oracle: the changes played one after the other."""
    rows = {}
    for position, (number, op, amount) in enumerate(changes, 1):
        rows.pop(number, None)
        if op != "d":
            rows[number] = (number, float(amount), position)
    return sorted(rows.values())


@pytest.mark.usefixtures("two_tables")
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGE, min_size=1, max_size=12), data=st.data())
def test_whatever_the_delivery_the_rows_are_those_of_the_log(tmp_path_factory, changes, data):
    versions = [
        order(number, op=op, position=position, amount=float(amount))
        for position, (number, op, amount) in enumerate(changes, 1)
    ]
    repeated = data.draw(st.lists(st.sampled_from(versions), max_size=5))
    delivered = data.draw(st.permutations(versions + repeated))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(delivered)), max_size=3)))
    world = World(tmp_path_factory.mktemp("delivery"))
    pieces = [delivered[a:b] for a, b in zip([0, *cuts], [*cuts, len(delivered)], strict=True)]
    for number, piece in enumerate((piece for piece in pieces if piece), 1):
        world.load(number, piece, [])
    found = world.store.connection.execute("SELECT order_id, order_amount, position FROM RAW.ORDERS").fetchall()
    kept = world.store.connection.execute("SELECT position FROM RAW.ORDERS_CHANGES ORDER BY position").fetchall()
    assert [position for (position,) in kept] == list(range(1, len(changes) + 1))
    assert sorted((number, float(amount), position) for number, amount, position in found) == current(changes)


def test_a_batch_delivered_once_more_with_other_files_replaces_them(tmp_path):
    """A stage keeps what was uploaded: an export made anew must not be loaded together with the one before it."""

    class Staging(DuckDBStore):
        def load_parquet(self, folder, *, table, batch_id):
            place = tmp_path / "stage" / batch_id
            place.mkdir(parents=True, exist_ok=True)
            for file in folder.glob("*.parquet"):
                shutil.copy(file, place / f"{len(list(place.iterdir()))}.parquet")
            return super().load_parquet(place, table=table, batch_id=batch_id)

    world = World(tmp_path, Staging())
    world.export(1, [order(1, position=1)], [])
    load_batch.load(world.store, tmp_path / "b1")
    shutil.rmtree(tmp_path / "b1")
    assert world.load(1, [order(1, position=1), order(2, position=2)], []).rows == 2


def test_a_row_that_went_to_quarantine_in_a_new_snapshot_was_not_deleted(world):
    orders = [order(number, position=number) for number in range(1, 31)]
    world.load(1, orders, [closed(0, position=40)])
    second = [order(number, op="r", position=0, generation=2) for number in range(1, 29)]
    bad = BAD | {"batch_id": "b2", "row_key": "29", "row_json": '{"order_id": 29, "order_amount": "NaN"}'}
    world.load(2, second, [closed(0, op="r", position=0, generation=2)], bad=[bad], generation=2)
    world.load(3, [order(1, op="u", position=50, generation=2)], [], generation=2)
    left = world.store.connection.execute("SELECT order_id, generation FROM RAW.ORDERS ORDER BY 1").fetchall()
    assert left == [(number, 2) for number in range(1, 29)] + [(29, 1)]


def test_a_first_snapshot_that_was_cut_off_leaves_the_past_in_its_place(world):
    """Generation 2 is the first that is loaded: its rows count as known when they happened."""
    orders, days = SNAPSHOT
    world.load(1, [row | {"generation": 2} for row in orders], [days[0] | {"generation": 2}], generation=2)
    found = world.store.connection.execute("SELECT known_at FROM RAW.ORDERS_CHANGES ORDER BY 1").fetchall()
    assert [moment.time() for (moment,) in found] == [time(9, 1), time(9, 2)]
    dates = world.store.fetch("cold_store/business_dates", {"business_date": FIRST})
    assert dates["in_snapshot"].tolist() == [True]


def test_a_row_of_a_later_snapshot_is_not_known_before_it_happened(world):
    world.load(1, *SNAPSHOT)
    later = order(9, op="r", position=0, generation=2) | {"ordered_at": datetime.combine(FIRST, time(9)) + 2 * DAY}
    days = [closed(number, op="r", position=0, generation=2) for number in range(4)]
    world.load(2, [order(1, op="r", position=0, generation=2), later], days, generation=2)
    found = world.store.connection.execute("SELECT known_at FROM RAW.ORDERS_CHANGES WHERE order_id = 9").fetchall()
    assert [moment.date() for (moment,) in found] == [FIRST + 2 * DAY]


def test_a_version_that_did_not_arrive_is_missed(tmp_path):
    class Losing(DuckDBStore):
        def run(self, name, parameters=None, **names):
            changed = super().run(name, parameters, **names)
            if name == "cold_store/merge_changes":
                self.connection.execute(f"DELETE FROM {names['changes']} WHERE position = 6")
            return changed

    world = World(tmp_path, Losing())
    world.load(1, *SNAPSHOT)
    with pytest.raises(PostConditionFailed, match=r"RAW.ORDERS_CHANGES lacks 1 of the versions that batch b2.*\[3\]"):
        world.load(2, *CHANGES)
    assert load_batch.last_drain(world.store).drain == 1


def refused(number, *, position, batch=1, generation=1, op="c", **changes):
    """A row that a check refused which is no longer in force; `changes` to it are text as Debezium writes it."""
    row = {"order_id": number, "customer_id": 1, "store_id": "S1", "ordered_at": "2024-01-01T09:30:00Z"}
    row |= {"status": "completed", "order_amount": "12.50"} | changes
    log = {"op": op, "position": position, "position_ordinal": position, "generation": generation}
    about = {"batch_id": f"b{batch}", "table_name": "orders", "row_key": str(number), "reason": "r"}
    return about | log | {"committed_at": datetime.combine(FIRST, time(10)), "row_json": json.dumps(row)}


ORDERS = [order(number, position=number) for number in range(1, 61)]


def orders_of(world, *columns):
    return world.store.connection.execute(f"SELECT {', '.join(columns)} FROM RAW.ORDERS ORDER BY order_id").fetchall()


def test_a_row_that_passes_now_is_replayed_once_however_often(world):
    world.load(1, ORDERS, [closed(0, position=80)], bad=[refused(99, position=70)])
    assert replay(world.store) == Replayed(merged=1, still_bad=0)
    content = world.content()
    assert orders_of(world, "order_id", "order_amount::DOUBLE", "position_ordinal")[-1] == (99, 12.5, 70)
    assert content["QUARANTINE.BAD_ROWS"] == []
    assert replay(world.store) == Replayed(merged=0, still_bad=0)
    assert world.content() == content
    load_batch.load(world.store, world.folder / "b1")  # brings the row to quarantine once more
    replay(world.store)
    assert world.content() == content


@pytest.mark.parametrize("newer", [order(99, op="u", position=75, amount=5.0), order(99, op="d", position=75)])
def test_a_quarantined_row_that_was_superseded_since_changes_nothing(world, newer):
    world.load(1, ORDERS, [closed(0, position=80)], bad=[refused(99, position=70)])
    world.load(2, [newer], [closed(1, position=90)])
    before = world.content()["RAW.ORDERS"]
    assert replay(world.store).merged == 1
    assert world.content()["RAW.ORDERS"] == before
    assert world.content()["QUARANTINE.BAD_ROWS"] == []


def test_a_row_that_is_still_bad_stays_in_quarantine(world):
    bad = [
        refused(97, position=70, order_amount="NaN"),
        refused(98, position=71, store_id=None),
        refused(99, position=72),
    ]
    world.load(1, ORDERS, [], bad=bad)
    assert replay(world.store) == Replayed(merged=1, still_bad=2)
    assert replay(world.store) == Replayed(merged=0, still_bad=2)
    left = world.store.connection.execute("SELECT row_key FROM QUARANTINE.BAD_ROWS ORDER BY 1").fetchall()
    assert left == [("97",), ("98",)]
    assert orders_of(world, "order_id")[-2:] == [(60,), (99,)]


@pytest.mark.parametrize("op", ["c", "r"])
def test_a_replayed_row_is_known_after_the_newest_close_and_to_the_next(world, op):
    world.load(1, ORDERS, [closed(0, position=80)], bad=[refused(99, position=0 if op == "r" else 70, op=op)])
    replay(world.store)
    world.load(2, [], [closed(1, position=90)])
    known = world.store.connection.execute("SELECT known_at FROM RAW.ORDERS_CHANGES WHERE order_id = 99").fetchone()[0]
    closes = [datetime.combine(FIRST + number * DAY, time(23, 59, 59)) for number in (0, 1)]
    assert closes[0] < known < closes[1]


def test_what_a_snapshot_or_the_next_batch_brings_anew_is_not_replayed(world):
    world.load(1, ORDERS, [], bad=[refused(98, position=70)])
    snapshot = [order(number, op="r", position=0, generation=2) for number in range(1, 61)]
    world.load(2, snapshot, [], generation=2)
    waiting = refused(99, position=75, batch=3, generation=2)
    with pytest.raises(BatchRefused):
        world.load(3, [order(1, op="u", position=76, generation=2)], [], bad=[waiting], generation=2)
    before = world.content()
    assert replay(world.store) == Replayed(merged=0, still_bad=0)
    assert world.content() == before


@pytest.mark.usefixtures("two_tables")
def test_a_replay_that_was_killed_anywhere_comes_to_the_same_end(tmp_path):
    endings, after = [], 0
    while not endings or endings[-1][1] <= 0:
        after += 1
        store = Dying(10_000)
        world = World(tmp_path / f"at{after}", store)
        world.load(1, ORDERS, [closed(0, position=80)], bad=[refused(99, position=70)])
        store.left = after
        with suppress(RuntimeError):
            replay(store)
        replay(store)
        endings.append((world.content(), store.left))
    assert all(content == endings[-1][0] for content, _ in endings)
    assert orders_of(world, "order_id")[-1] == (99,)
    assert after > 4


def test_a_replayed_row_that_did_not_arrive_is_missed_and_stays(tmp_path):
    class Losing(DuckDBStore):
        def run(self, name, parameters=None, **names):
            changed = super().run(name, parameters, **names)
            if name == "cold_store/merge_changes":
                self.connection.execute("DELETE FROM RAW.ORDERS_CHANGES WHERE order_id = 99")
            return changed

    world = World(tmp_path, Losing())
    world.load(1, ORDERS, [], bad=[refused(99, position=70)])
    with pytest.raises(PostConditionFailed, match=r"lacks 1 of the versions that the replay .*\[99\]"):
        replay(world.store)
    assert len(world.content()["QUARANTINE.BAD_ROWS"]) == 1
