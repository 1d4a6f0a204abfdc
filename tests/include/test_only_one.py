"""The lock that keeps two jobs out of one folder."""

import fcntl
import subprocess
import sys

import pytest

from shelfcast.only_one import only_one

HOLDER = """
import pathlib, sys, time
from shelfcast.only_one import only_one
with only_one(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_lock_is_held_by_one_process_and_goes_with_it_however_it_ends(tmp_path):
    path = tmp_path / "job.lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with path.open("w") as own, pytest.raises(BlockingIOError):
        fcntl.flock(own, fcntl.LOCK_EX | fcntl.LOCK_NB)
    holder.kill()
    with only_one(path):
        assert holder.wait() != 0
    with only_one(path):
        """A lock that was given back can be taken again."""
