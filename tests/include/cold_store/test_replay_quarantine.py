"""Replaying quarantined rows: each that passes now is once in effect."""

from contextlib import suppress
from datetime import datetime, time

import pytest
from batches import DAY, FIRST, ORDERS, Dying, World, closed, order, orders_of, refused

from shelfcast.cold_store import load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.cold_store.replay_quarantine import Replayed, replay
from shelfcast.errors import BatchRefused, PostConditionFailed


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


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
