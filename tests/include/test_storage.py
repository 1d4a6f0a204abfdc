"""The door to files: on a disk and in a bucket the same promises."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from s3_world import BUCKET

from shelfcast import storage
from shelfcast.errors import ConfigurationError, ShelfcastError
from shelfcast.s3_lease import S3Lease


@pytest.fixture
def lock(bucket):
    return storage.location(f"s3://{BUCKET}/landing/landing.lock")


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("/var/lib/landing", "/var/lib/landing"),
        ("/var/lib/landing/", "/var/lib/landing"),
        ("file:///var/lib/landing", "/var/lib/landing"),
        ("s3://company/landing/", "s3://company/landing"),
        ("s3://company", "s3://company/"),
    ],
)
def test_a_place_is_a_path_or_a_bucket(given, taken):
    assert str(storage.location(given)) == taken


@pytest.mark.parametrize(
    "given",
    [
        "",
        "landing",
        "~/landing",
        "s3:/company/landing",
        "s3:///landing",
        "s3a://company/landing",
        "gs://b/l",
        "file://h/l",
    ],
)
def test_any_other_place_is_refused_before_work_begins(given):
    with pytest.raises(ConfigurationError, match=r"SHELFCAST_LANDING is .*s3://bucket/prefix"):
        storage.location(given, "SHELFCAST_LANDING")


def test_a_written_file_is_the_new_one(root):
    storage.write(root / "a" / "pointer.json", b"old")
    storage.write(root / "a" / "pointer.json", b"new")
    assert (root / "a" / "pointer.json").read_bytes() == b"new"
    assert names(root) == ["a/pointer.json"]


def test_a_published_folder_has_its_last_file_when_it_has_the_others(root, monkeypatch):
    arrived, put = [], storage._put

    def watched(file, target):
        put(file, target)
        arrived.append(names(root / "frame"))

    monkeypatch.setattr(storage, "_put", watched)
    with storage.publish(root / "frame", last="frame.json") as draft:
        for name in ("frame.json", "z.parquet", "plots/a.png"):
            (draft / name).parent.mkdir(exist_ok=True)
            (draft / name).write_text(name)
        assert names(root / "frame") == []
    assert arrived[-1] == ["frame.json", "plots/a.png", "z.parquet"]
    assert all("frame.json" not in there for there in arrived[:-1])


def test_while_a_folder_is_published_again_it_does_not_say_that_it_is_whole(root, monkeypatch):
    for _ in range(2):
        with storage.publish(root / "frame", last="frame.json") as draft:
            (draft / "frame.json").write_text("{}")
            (draft / "frame.parquet").write_text("rows")
    storage.write(root / "frame" / "other", b"stays")

    def killed(*_):
        raise SystemExit

    def publish_again():
        with storage.publish(root / "frame", last="frame.json") as draft:
            (draft / "frame.json").write_text("{}")
            (draft / "frame.parquet").write_text("other rows")

    monkeypatch.setattr(storage, "_put", killed)
    with pytest.raises(SystemExit):
        publish_again()
    assert names(root / "frame") == ["frame.parquet", "other"]


def test_a_block_that_fails_publishes_nothing(root):
    def fail():
        with storage.publish(root / "frame", last="frame.json") as draft:
            (draft / "frame.json").write_text("{}")
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fail()
    assert names(root) == []


def test_a_draft_that_a_kill_left_is_not_published(tmp_path):
    left = tmp_path / ".frame.part"
    left.mkdir()
    (left / "half.parquet").write_text("half")
    with storage.publish(tmp_path / "frame", last="frame.json") as draft:
        (draft / "frame.json").write_text("{}")
    assert names(tmp_path) == ["frame/frame.json"]


def test_a_local_copy_holds_what_was_asked_for(root):
    for name in ("current.json", "demand-1/model.txt", "demand-1/plots/a.png"):
        storage.write(root / "releases" / name, name.encode())
    with storage.local_copy(root / "releases") as copy:
        assert isinstance(copy, Path)
        assert names(copy) == ["current.json", "demand-1/model.txt", "demand-1/plots/a.png"]
        assert (copy / "demand-1/model.txt").read_text() == "demand-1/model.txt"
    with storage.local_copy(root / "releases", ["current.json", "missing.json"]) as copy:
        assert (copy / "current.json").exists()
        assert not (copy / "missing.json").exists()
    with storage.local_copy(root / "nothing") as copy:
        assert not copy.exists() or names(copy) == []


def test_a_file_written_piece_by_piece_is_there_when_it_is_published(root):
    storage.write(root / "changes" / "first", b"")
    draft = storage.Draft(root / "changes", "drain-1")
    draft.file.write(b"one ")
    draft.file.write(b"two")
    assert "changes/drain-1-changes-2" not in names(root)
    draft.publish("drain-1-changes-2")
    assert (root / "changes" / "drain-1-changes-2").read_bytes() == b"one two"
    assert names(root) == ["changes/drain-1-changes-2", "changes/first"]


def test_a_name_is_given_only_to_what_the_disk_has(tmp_path, monkeypatch):
    steps = []
    monkeypatch.setattr(os, "fsync", lambda handle: steps.append(f"sync {Path(f'/proc/self/fd/{handle}').readlink()}"))
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, to: (steps.append(f"name {to}"), replace(self, to)))
    storage.write(tmp_path / "a.json", b"{}")
    assert steps == [f"sync {tmp_path}/.a.json.part", f"name {tmp_path}/a.json", f"sync {tmp_path}"]
    steps.clear()
    with storage.publish(tmp_path / "b", last="c") as draft:
        (draft / "c").write_text("c")
    assert steps == [f"sync {tmp_path}/.b.part/c", f"name {tmp_path}/b/c", f"sync {tmp_path}/b"]


def test_a_discarded_draft_leaves_nothing(root):
    storage.write(root / "changes" / "first", b"")
    draft = storage.Draft(root / "changes", "drain-1")
    draft.file.write(b"one")
    draft.discard()
    assert names(root) == ["changes/first"]


def test_what_is_removed_is_gone_and_what_is_gone_may_be_removed(root):
    for name in ("a/b/one", "a/two", "three"):
        storage.write(root / name, b"")
    storage.remove(root / "a")
    assert names(root) == ["three"]
    for _ in range(2):
        storage.remove(root / "a")
        storage.remove(root / "three")
    assert names(root) == []


WRITER = """
import sys, time
from pathlib import Path
from shelfcast import storage
with storage.one_writer(storage.location(sys.argv[1])):
    log = Path(sys.argv[2])
    log.open("a").write("in\\n")
    time.sleep(0.5)
    log.open("a").write("out\\n")
"""


def test_writers_of_one_lock_go_one_after_the_other(root, tmp_path):
    log = tmp_path / "log"
    if isinstance(root, Path):
        root = root / "landing"
        root.mkdir()
    arguments = [sys.executable, "-c", WRITER, str(root / "landing.lock"), str(log)]
    for writer in [subprocess.Popen(arguments) for _ in range(3)]:
        assert writer.wait(60) == 0
    assert log.read_text().split() == ["in", "out"] * 3


HOLDER = """
import sys, time
from shelfcast import storage
with storage.one_writer(storage.location(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_on_a_disk_goes_with_its_process_however_that_ends(tmp_path):
    path = tmp_path / "job.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with path.open("w") as own, pytest.raises(BlockingIOError):
        fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
    holder.kill()
    with storage.one_writer(path):
        assert holder.wait() != 0


def test_a_lease_is_free_after_its_block(lock):
    with storage.one_writer(lock):
        assert lock.exists()
    assert not lock.exists()


def test_a_lease_of_a_dead_holder_is_taken_over_when_it_has_run_out(lock):
    storage.write(lock, b"of a process that was killed")
    began = time.monotonic()
    with S3Lease(lock, lease_seconds=1):
        assert time.monotonic() - began > 1


def test_a_lease_that_is_renewed_is_not_taken_over(lock):
    entered, may_end = threading.Event(), threading.Event()

    def hold():
        with S3Lease(lock, lease_seconds=1):
            entered.set()
            may_end.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(30)
    order = []

    def wait():
        with S3Lease(lock, lease_seconds=1):
            order.append("second")

    waiter = threading.Thread(target=wait)
    waiter.start()
    time.sleep(2.5)
    order.append("first")
    may_end.set()
    holder.join(30)
    waiter.join(30)
    assert order == ["first", "second"]


def test_a_holder_whose_lease_was_taken_says_so(lock):
    with pytest.raises(ShelfcastError, match="another job took it"), S3Lease(lock, lease_seconds=100):
        storage.write(lock, b"of another holder")


def test_an_error_inside_is_told_rather_than_the_lost_lease(lock):
    def fail():
        with S3Lease(lock, lease_seconds=100):
            storage.write(lock, b"of another holder")
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()


def test_a_bucket_that_is_not_there_is_no_reason_to_wait(bucket):
    with pytest.raises(OSError, match="bucket"), S3Lease(storage.location("s3://no-such-bucket/lock")):
        pass


def test_the_lease_says_who_holds_it(lock):
    with storage.one_writer(lock):
        assert len(lock.read_bytes().decode().split()) == 4
    assert json.dumps(names(lock.parent)) == "[]"
