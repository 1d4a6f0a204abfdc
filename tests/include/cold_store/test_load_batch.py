"""Loading batches: each change once in effect, however often and in whatever pieces it is delivered."""

import shutil
from contextlib import suppress
from datetime import datetime, time, timedelta

import pytest
from batches import CHANGES, DAY, FIRST, SNAPSHOT, Dying, World, closed, order, orders_of, refused
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelfcast.cold_store import load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.cold_store.statements import statement
from shelfcast.errors import BatchRefused, ConfigurationError, PostConditionFailed
from shelfcast.ingestion.batch import Batch


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


def new_snapshot(world, number, *streamed, bad=()):
    """Loads a second snapshot without order 2, and what was streamed behind it."""
    kept = [order(key, op="r", position=0, generation=2) for key in (1, *range(10, 40))]
    days = [closed(1, op="r", position=0, generation=2)]
    return world.load(number, [*kept, *streamed], days, bad=bad, generation=2)


def deletions(world):
    """Keys and places of the deletions that the history holds."""
    asked = "SELECT order_id, generation, position_ordinal FROM RAW.ORDERS_CHANGES WHERE op = 'd' ORDER BY ALL"
    return world.store.connection.execute(asked).fetchall()


def test_a_row_that_is_written_again_behind_a_new_snapshot_was_deleted_before_it(world):
    world.load(1, *SNAPSHOT)
    new_snapshot(world, 2, order(2, position=50, amount=7.0, generation=2))
    assert deletions(world) == [(2, 2, 0)]
    assert orders_of(world, "order_id", "order_amount::DOUBLE")[:2] == [(1, 10.0), (2, 7.0)]


@pytest.mark.parametrize("op", ["c", "u"])
def test_a_streamed_row_that_went_to_quarantine_is_no_row_of_the_snapshot(world, op):
    world.load(1, *SNAPSHOT)
    new_snapshot(world, 2, bad=[refused(2, position=50, batch=2, generation=2, op=op, order_amount="NaN")])
    assert deletions(world) == [(2, 2, 0)]
    assert (2,) not in orders_of(world, "order_id")


@pytest.mark.usefixtures("two_tables")
def test_no_row_of_a_load_that_was_given_up_outlives_a_snapshot_without_it(tmp_path):
    """Whether the rows got as far as the current ones or not, and whether the new snapshot has any of their table."""
    for after in range(2, 14):
        store = Dying(10_000)
        world = World(tmp_path / f"at{after}", store)
        world.load(1, *SNAPSHOT)
        store.left = after
        with suppress(RuntimeError):
            world.load(2, [order(3, position=6), order(4, position=7)], [])
        world.load(3, [], [closed(1, op="r", position=0, generation=2)], generation=2)
        assert orders_of(world, "order_id") == [], after
        known = "SELECT DISTINCT order_id FROM RAW.ORDERS_CHANGES ORDER BY 1"
        assert [(key,) for key, *_ in deletions(world)] == world.store.connection.execute(known).fetchall(), after


def test_what_a_new_snapshot_brings_may_be_loaded_twice(world):
    world.load(1, *SNAPSHOT)
    new_snapshot(world, 2, order(2, position=50, generation=2))
    content = world.content()
    world.store.connection.execute("DELETE FROM OPERATIONS.BATCHES WHERE generation = 2")
    load_batch.load(world.store, world.folder / "b2")
    assert world.content() == content


LATE_JOB = ([order(5, position=14), order(6, position=18)], [closed(2, position=15), closed(1, position=20)])
"""The second day is closed behind the third, and says that it was closed at its own end."""


@pytest.mark.parametrize("is_one_batch", [True, False])
def test_a_close_that_comes_late_is_no_earlier_than_what_the_log_has_before_it(world, is_one_batch):
    world.load(1, *SNAPSHOT)
    orders, days = LATE_JOB
    for number, part in enumerate([slice(None)] if is_one_batch else [slice(0, 1), slice(1, 2)], 2):
        world.load(number, orders[part], days[part])
    asked = "SELECT business_date, closed_at FROM OPERATIONS.BUSINESS_DATES WHERE position > 0 ORDER BY closed_at"
    third = datetime.combine(FIRST + 2 * DAY, time(23, 59, 59))
    late = third + timedelta(microseconds=1)
    assert world.store.connection.execute(asked).fetchall() == [(FIRST + 2 * DAY, third), (FIRST + DAY, late)]
    known = world.store.connection.execute(
        "SELECT known_at FROM RAW.ORDERS_CHANGES WHERE order_id > 2 ORDER BY order_id"
    )
    assert known.fetchall() == [(third,), (late,)]


def test_a_late_close_that_says_so_keeps_its_moment(world):
    world.load(1, *SNAPSHOT)
    at = datetime.combine(FIRST + 3 * DAY, time(6))
    world.load(2, [], [closed(2, position=15), closed(1, position=20) | {"closed_at": at}, closed(3, position=30)])
    asked = "SELECT business_date, closed_at FROM OPERATIONS.BUSINESS_DATES ORDER BY closed_at"
    closes = [(day.day, moment) for day, moment in world.store.connection.execute(asked).fetchall()]
    ends = [datetime.combine(FIRST + number * DAY, time(23, 59, 59)) for number in (0, 2, 3)]
    assert closes == [(1, ends[0]), (3, ends[1]), (2, at), (4, ends[2])]


def test_days_that_were_all_closed_at_one_moment_keep_their_order(world):
    at = {"closed_at": datetime.combine(FIRST + 9 * DAY, time(12))}
    world.load(1, [], [closed(number, op="r", position=0) | at for number in (2, 0, 1)])
    found = world.store.fetch("cold_store/business_dates")
    assert [value.day for value in found["business_date"]] == [1, 2, 3]
    assert found["closed_at"].is_unique


def test_a_first_snapshot_that_was_cut_off_leaves_the_past_in_its_place(world):
    """Generation 2 is the first that is loaded: its rows count as known when they happened."""
    orders, days = SNAPSHOT
    world.load(1, [row | {"generation": 2} for row in orders], [days[0] | {"generation": 2}], generation=2)
    found = world.store.connection.execute("SELECT known_at FROM RAW.ORDERS_CHANGES ORDER BY 1").fetchall()
    assert [moment.time() for (moment,) in found] == [time(9, 1), time(9, 2)]
    dates = world.store.fetch("cold_store/business_dates")
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
