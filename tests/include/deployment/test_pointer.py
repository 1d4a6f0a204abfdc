"""The pointer at the release that serves."""

import pytest

from shelfcast.deployment import pointer
from shelfcast.errors import ReleaseError

FIRST, SECOND = "demand-20240630-0123456789", "demand-20240707-0123456789"


def test_the_pointer_goes_forth_and_back(tmp_path):
    assert pointer.read(tmp_path) == pointer.Pointer()
    pointer.swap(tmp_path, FIRST)
    assert pointer.swap(tmp_path, SECOND) == pointer.Pointer(current=SECOND, previous=FIRST)
    assert pointer.swap(tmp_path, SECOND).previous == FIRST
    assert pointer.roll_back(tmp_path, SECOND).current == FIRST
    assert pointer.roll_back(tmp_path, SECOND).current == FIRST


def test_taking_back_the_first_release_leaves_none(tmp_path):
    pointer.swap(tmp_path, FIRST)
    assert pointer.roll_back(tmp_path, FIRST) == pointer.Pointer()
    assert pointer.read(tmp_path) == pointer.Pointer()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"null",
        b"{}",
        b'{"previous": null}',
        b'{"current": "a", "previous": null, "next": null}',
        b'{"current": 3}',
        b'{"current": "../../demand-20240630-0123456789"}',
        b'{"current": "demand-20240630-0123456789", "previous": "x"}',
    ],
)
def test_a_torn_pointer_is_an_error_with_advice(tmp_path, content):
    (tmp_path / pointer.POINTER).write_bytes(content)
    for step in (
        pointer.read,
        lambda folder: pointer.swap(folder, FIRST),
        lambda folder: pointer.roll_back(folder, FIRST),
    ):
        with pytest.raises(ReleaseError, match="remove it and clear"):
            step(tmp_path)
    assert (tmp_path / pointer.POINTER).read_bytes() == content


def test_a_file_that_cannot_be_read_is_an_error_with_advice(tmp_path):
    (tmp_path / pointer.POINTER).mkdir()
    with pytest.raises(ReleaseError, match="does not say which release"):
        pointer.read(tmp_path)
