"""The pointer that DVC finds a frozen frame by."""

import hashlib
from datetime import date

import pytest
import yaml
from small_world import freeze

from shelfcast.errors import FrameChanged
from shelfcast.training.dvc_pointer import point_at
from shelfcast.training.frame import FRAME

ABOUT = {"folds": 2, "horizon_days": 28, "reason": "a test", "is_forced": False}


@pytest.fixture
def frozen(frame, tmp_path):
    freeze(frame, tmp_path, model="demand", cutoff=date(2024, 6, 30), **ABOUT)
    return tmp_path / FRAME


def test_a_frozen_frame_has_a_pointer_with_its_checksum(frozen):
    content = frozen.read_bytes()
    pointer = frozen.with_name("frame.parquet.dvc")
    assert yaml.safe_load(pointer.read_text()) == {
        "outs": [
            {"md5": hashlib.md5(content).hexdigest(), "size": len(content), "hash": "md5", "path": "frame.parquet"}
        ]
    }


def test_a_pointer_is_written_in_the_form_that_dvc_writes(tmp_path):
    (tmp_path / "data.xml").write_bytes(b"<a/>")
    assert point_at(tmp_path / "data.xml").read_text() == (
        "outs:\n- md5: f019ee9a03978aff9f9b78d0ddf3edb7\n  size: 4\n  hash: md5\n  path: data.xml\n"
    )


def test_a_pointer_that_fits_is_kept(frozen):
    before = frozen.with_name("frame.parquet.dvc").stat()
    assert point_at(frozen).stat() == before


def test_a_pointer_of_another_file_is_refused(frozen):
    frozen.write_bytes(frozen.read_bytes() + b" ")
    with pytest.raises(FrameChanged, match=r"frame\.parquet\.dvc does not point at the file beside it"):
        point_at(frozen)


def test_a_lost_pointer_is_written_again(frozen):
    pointer = frozen.with_name("frame.parquet.dvc")
    text = pointer.read_text()
    pointer.unlink()
    assert point_at(frozen).read_text() == text
