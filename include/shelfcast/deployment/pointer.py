"""Which release of a model serves: a small file that is replaced in one step, and the one before it for the way back."""

import json
from dataclasses import dataclass
from pathlib import Path

from shelfcast.errors import ReleaseError

POINTER = "current.json"


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """What the file says.

    Attributes:
        current: Release that serves; `None` before the first one.
        previous: Release that served before; `None` if there was none.
    """

    current: str | None = None
    previous: str | None = None


def read(releases: Path) -> Pointer:
    """The pointer of a model's releases folder."""
    path = releases / POINTER
    return Pointer(**json.loads(path.read_text())) if path.exists() else Pointer()


def swap(releases: Path, release_id: str) -> Pointer:
    """Points at a release; does nothing the second time. Answers what the pointer says now."""
    before = read(releases)
    if before.current == release_id:
        return before
    return _write(releases, Pointer(current=release_id, previous=before.current))


def roll_back(releases: Path, release_id: str) -> Pointer:
    """Points back at the release before `release_id`; does nothing if that one does not serve.

    Raises:
        ReleaseError: There is no release before it.
    """
    now = read(releases)
    if now.current != release_id:
        return now
    if now.previous is None:
        (releases / POINTER).unlink()
        raise ReleaseError(f"{release_id} was taken back, and there is no release before it: nothing serves now.")
    return _write(releases, Pointer(current=now.previous))


def _write(releases: Path, pointer: Pointer) -> Pointer:
    draft = releases / f"{POINTER}.part"
    draft.write_text(json.dumps(pointer.__dict__))
    draft.rename(releases / POINTER)
    return pointer
