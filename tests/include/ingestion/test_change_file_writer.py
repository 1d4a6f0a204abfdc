"""What is confirmed to the source is on disk before."""

import base64
import gzip
import json

import pytest

from shelfcast.errors import ChangeLogLost
from shelfcast.ingestion.change_file_writer import ChangeFileWriter
from shelfcast.ingestion.change_files import ChangeFolder

MARK = b'{"op":"m","message":{"content":"' + base64.b64encode(b"mark") + b'"}}\n'
OTHERS_MARK = MARK.replace(base64.b64encode(b"mark"), base64.b64encode(b"other"))
LINE = b'{"op":"c","after":{"id":1}}\n'


@pytest.fixture
def folder(root):
    made = ChangeFolder(root / "landing")
    made.begin_generation()
    return made


def lines(folder):
    names = [folder.generation_folder(1) / file.name for file in folder.files(1)]
    return [gzip.decompress(path.read_bytes()) for path in names]


def writer(folder, **about):
    made = ChangeFileWriter(folder, 1, from_position=7, **about)
    made.expect("mark")
    return made


def test_a_batch_is_confirmed_when_its_file_is_finished(folder):
    confirmed, made = [], writer(folder)
    made.take(LINE, 1, lambda: confirmed.append(len(folder.files(1))))
    assert confirmed == []
    assert folder.files(1) == []
    made.take(LINE + MARK, 2, lambda: confirmed.append(len(folder.files(1))))
    assert confirmed == [1]
    assert made.is_done.is_set()
    assert made.changes == 2
    assert lines(folder) == [LINE + LINE + MARK]


def test_a_full_file_is_finished_and_the_next_one_begun(folder):
    made = writer(folder, roll_bytes=len(LINE))
    for _ in range(3):
        made.take(LINE, 1, lambda: None)
    assert [file.part for file in folder.files(1)] == [0, 1, 2]
    assert made.part == 3


def test_a_file_says_how_many_changes_it_holds(folder):
    made = writer(folder, roll_bytes=3 * len(LINE))
    for lines_, count in ((LINE, 1), (LINE + LINE + OTHERS_MARK, 3), (LINE + MARK, 2)):
        made.take(lines_, count, lambda: None)
    assert [file.changes for file in folder.files(1)] == [3, 1]
    assert made.changes == 4


def test_nothing_is_taken_after_the_mark_and_a_begun_file_is_dropped(folder):
    made = writer(folder)
    made.take(MARK, 1, lambda: None)
    made.take(LINE, 1, lambda: None)
    made.abandon()
    assert made.changes == 0
    other = writer(folder)
    assert other.drain == 2
    other.take(LINE, 1, lambda: None)
    other.abandon()
    assert [path.name for path in folder.generation_folder(1).glob("drain*")] == [folder.files(1)[0].name]


def test_a_truncation_is_refused_and_nothing_of_it_confirmed(folder):
    confirmed, made = [], writer(folder, roll_bytes=1)
    truncation = b'{"op":"t","source":{"table":"prices"}}\n'
    with pytest.raises(ChangeLogLost, match=r"truncated prices\..*take_snapshot"):
        made.take(LINE + truncation, 2, lambda: confirmed.append(1))
    assert made.lost is not None
    made.abandon()
    assert confirmed == []
    assert folder.files(1) == []


def test_a_value_that_looks_like_a_truncation_is_a_value(folder):
    made = writer(folder, roll_bytes=1)
    made.take(b'{"op":"c","after":{"name":"\\"op\\":\\"t\\""}}\n', 1, lambda: None)
    assert made.part == 1


def update(table, **after):
    return json.dumps({"op": "u", "after": after, "source": {"table": table}}, separators=(",", ":")).encode() + b"\n"


PLACEHOLDER = "__debezium_unavailable_value"


def test_a_value_that_the_log_does_not_hold_is_refused_by_its_column_and_nothing_confirmed(folder):
    confirmed, made = [], writer(folder, roll_bytes=1)
    came = LINE + update("items", item_id="I", category=PLACEHOLDER)
    with pytest.raises(
        ChangeLogLost, match=r"items\.category.*TABLE sales\.items REPLICA IDENTITY FULL.*take_snapshot"
    ):
        made.take(came, 2, lambda: confirmed.append(1))
    assert made.lost is not None
    made.abandon()
    assert confirmed == []
    assert folder.files(1) == []


@pytest.mark.parametrize(
    "line",
    [
        update("items", item_id="I", category="C", description=PLACEHOLDER),
        update("elsewhere", category=PLACEHOLDER),
        update("items", item_id="I", category=f"not {PLACEHOLDER}"),
    ],
)
def test_what_nobody_reads_may_be_left_out(folder, line):
    made = writer(folder, roll_bytes=1)
    made.take(line, 1, lambda: None)
    assert made.part == 1


def test_drains_go_on_behind_what_is_loaded_when_the_files_are_gone(folder):
    assert writer(folder, after_drain=4).drain == 5


def test_a_generation_counts_when_its_snapshot_is_whole(folder):
    assert (folder.generations(), folder.last_complete()) == ([1], None)
    folder.mark_complete(1)
    folder.mark_complete(1)
    assert folder.begin_generation() == 2
    assert (folder.generations(), folder.last_complete()) == ([1, 2], 1)


def test_what_a_killed_drain_left_is_no_change_file(folder):
    made = writer(folder)
    made.take(LINE, 1, lambda: None)
    assert folder.files(1) == []
    folder.discard_unfinished(1)
    assert [path.name for path in folder.generation_folder(1).iterdir()] == ["BEGUN"]
