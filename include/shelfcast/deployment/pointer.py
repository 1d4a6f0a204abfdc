"""Which release of a model serves: a small file that is replaced in one step, and the one before it for the way back."""

import json
from dataclasses import asdict, dataclass

from shelfcast import storage
from shelfcast.deployment.bundle import RELEASE_ID
from shelfcast.errors import ReleaseError
from shelfcast.storage import Location

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


def read(releases: Location) -> Pointer:
    """The pointer of a model's releases folder.

    Raises:
        ReleaseError: The file is there, and says nothing that could be followed.
    """
    path = releases / POINTER
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return Pointer()
    except (OSError, ValueError) as error:
        raise _unreadable(path, str(error)) from error
    if not isinstance(found, dict) or not {"current"} <= set(found) <= {"current", "previous"}:
        raise _unreadable(path, f"found {found!r:.80}")
    wrong = [value for value in found.values() if not (value is None or _is_release_id(value))]
    if wrong:
        raise _unreadable(path, f"{wrong[0]!r:.80} is no release id")
    return Pointer(**found)


def swap(releases: Location, release_id: str) -> Pointer:
    """Points at a release; does nothing the second time. Returns what the pointer says now."""
    before = read(releases)
    if before.current == release_id:
        return before
    return _write(releases, Pointer(current=release_id, previous=before.current))


def roll_back(releases: Location, release_id: str) -> Pointer:
    """Points back at the release before `release_id`, at none if there is none; does nothing if it does not serve.

    Returns what the pointer says now.
    """
    now = read(releases)
    if now.current != release_id:
        return now
    if now.previous is not None:
        return _write(releases, Pointer(current=now.previous))
    storage.remove(releases / POINTER)
    return Pointer()


def _write(releases: Location, pointer: Pointer) -> Pointer:
    storage.write(releases / POINTER, json.dumps(asdict(pointer)).encode())
    return pointer


def _is_release_id(value: object) -> bool:
    return isinstance(value, str) and RELEASE_ID.fullmatch(value) is not None


def _unreadable(path: Location, why: str) -> ReleaseError:
    model = path.parent.name
    return ReleaseError(
        f"{path} does not say which release of {model} serves ({why}). Nothing was changed; a running forecaster goes on "
        'with what it has. Write {"current": "<release id>", "previous": null} into it, or remove it and clear '
        f"model_deployment_{model}."
    )
