"""Finished fits of a training job, kept beside its frame: a job that is run again goes on behind them.

A fit of one fold is the unit. It is found again by everything that its model text depends on, so that what is taken up is
what would be fitted, byte for byte; with another frame, parameter, seed, layout or code nothing is found.
"""

import hashlib
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from shelfcast import model, storage
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.storage import Location

FOLDER = "finished_fits"
LIBRARIES = ("lightgbm", "numpy", "pandas")


def what_decides(
    declaration: ModelDeclaration, *, frame_digest: str, seed: int, workers: int, num_threads: int
) -> dict[str, object]:
    """Everything that the text of a fitted model depends on, but the fold."""
    return {
        "frame_digest": frame_digest,
        "declaration": declaration.model_dump(mode="json"),
        "seed": seed,
        "workers": workers,
        "num_threads": num_threads,
        "code": code_digest(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def code_digest() -> str:
    """Of the code that fits."""
    folders = (Path(model.__file__).parent, Path(__file__).parent)
    code = b"".join(path.read_bytes() for folder in folders for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(code).hexdigest()


class FitCache:
    """The finished fits of one job.

    Args:
        frame: The frozen frame's folder; the fits lie below it.
        decided_by: See `what_decides`.
    """

    def __init__(self, frame: Location, decided_by: dict[str, object]) -> None:
        self._folder = frame / FOLDER
        self._decided_by = decided_by

    def get_or_fit(self, origin: str | None, fit: Callable[[], str]) -> str:
        """The kept text of a fold's model (`None`: of the final one), or else the fitted one, which is kept."""
        path = self._path(origin)
        kept = _read(path)
        if kept is not None:
            print(f"{origin or 'final model'}: found, fitted by an earlier try", flush=True)  # noqa: T201
            return kept
        text = fit()
        storage.write(path, f"{_digest(text)}\n{text}".encode())
        return text

    def clear(self) -> None:
        """Removes all fits below the frame, once the candidate is written."""
        storage.remove(self._folder)

    def _path(self, origin: str | None) -> Location:
        asked = json.dumps({**self._decided_by, "origin": origin}, sort_keys=True)
        return self._folder / f"{hashlib.sha256(asked.encode()).hexdigest()}.txt"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Location) -> str | None:
    """The text; `None` if there is no file or it is not whole."""
    try:
        digest, _, text = path.read_bytes().decode(errors="replace").partition("\n")
    except FileNotFoundError:
        return None
    return text if digest == _digest(text) else None
