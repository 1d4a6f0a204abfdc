"""Publishers that are killed, or that are not alone: a generation is read whole, and none is left behind."""

from datetime import timedelta
from threading import Thread

import pytest
from hot_world import AFTER, DAY, ENTITIES, NEXT, count_of_keys, numbers_read, publish, watched

from shelfcast.errors import HotStoreError, NothingToDo


class Killed(BaseException):
    """What no publisher catches."""


def at(number, act):
    """Acts at the n-th call."""
    calls = iter(range(1, 10_000))
    return lambda: act() if next(calls) == number else None


def kill():
    raise Killed


def two_published(hook):
    hook.get_conn().flushall()
    publish(hook, 0, run="first")
    return publish(hook, 1, entities=ENTITIES[:4])


@pytest.fixture
def commands(hot_store):
    """Numbers of the commands of a publish that has a generation to retire."""
    two_published(hot_store)
    seen = []
    publish(watched(hot_store, before=lambda: seen.append(1)), 9, day=NEXT)
    assert len(seen) > 15
    return range(1, len(seen) + 1)


def leaves_no_orphan(hook):
    """Whether the next publish leaves its own keys and those of the generation before, and no others."""
    kept = hook.current("demand").count
    publish(hook, 8, day=AFTER, run="the next one")
    return numbers_read(hook) == 8 and hook.get_conn().dbsize() == count_of_keys(kept, 5)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_any_command_a_whole_generation_is_read_and_the_next_leaves_no_orphan(hot_store, commands, moment):
    seen = []
    for number in commands:
        before = two_published(hot_store)
        dying = watched(hot_store, **{moment: at(number, kill)})
        with pytest.raises(Killed):
            publish(dying, 2, day=NEXT)
        dying.get_conn().connection_pool.disconnect()
        seen.append(numbers_read(hot_store))
        assert len(hot_store.read(before, entity_kind="series_id")) == 4, "for those who took the pointer before"
        assert leaves_no_orphan(hot_store), number
    assert seen == sorted(seen)
    assert set(seen) == {1, 2}


def attempt(hook, number, **about):
    """Publishes; returns how that ended."""
    try:
        publish(hook, number, **about)
    except (NothingToDo, HotStoreError) as error:
        return type(error)
    return "published"


@pytest.mark.parametrize(
    ("other_day", "first_outcomes"),
    [
        (DAY, {"published", HotStoreError}),
        (NEXT, {"published", HotStoreError}),
        (AFTER, {"published", HotStoreError, NothingToDo}),
    ],
    ids=["older", "same", "newer"],
)
def test_at_whatever_command_another_publishes_the_newest_date_is_read(hot_store, commands, other_day, first_outcomes):
    firsts = set()
    for number in commands:
        two_published(hot_store)
        others = []
        act = at(number, lambda: others.append(attempt(hot_store, 3, day=other_day)))  # noqa: B023
        first = attempt(watched(hot_store, before=act), 2, day=NEXT)
        firsts.add(first)
        assert others[0] in ("published", NothingToDo)
        published = {DAY} | ({NEXT} if first == "published" else set())
        published |= {other_day} if others == ["published"] else set()
        assert hot_store.current("demand").business_date == max(published).isoformat(), number
        assert numbers_read(hot_store) in (2, 3)
        assert leaves_no_orphan(hot_store), number
    assert firsts == first_outcomes


def test_two_publishers_at_once_leave_the_newer_date(hot_store):
    two_published(hot_store)
    days = [DAY + timedelta(days=number) for number in (3, 1, 4, 2)]
    threads = [
        Thread(target=attempt, args=(watched(hot_store), number), kwargs={"day": day})
        for number, day in enumerate(days)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    publish(hot_store, 7, day=max(days), run="tried again")
    assert numbers_read(hot_store) == 7
    kept = len(hot_store.get_conn().hkeys("fs:generations:{demand}"))
    assert (kept, hot_store.get_conn().dbsize()) in [(2, count_of_keys(5, 5)), (2, count_of_keys(4, 5))]
