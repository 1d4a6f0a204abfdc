"""What is confirmed to the source is on disk before."""

import base64
import gzip

import pytest

from shelfcast.ingestion.change_file_writer import ChangeFileWriter
from shelfcast.ingestion.change_files import ChangeFolder

MARK = b'{"op":"m","message":{"content":"' + base64.b64encode(b"mark") + b'"}}\n'
LINE = b'{"op":"c","after":{"id":1}}\n'


@pytest.fixture
def folder(tmp_path):
    made = ChangeFolder(tmp_path)
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
    assert len(list(folder.generation_folder(1).iterdir())) == 1
