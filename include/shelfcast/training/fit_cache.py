"""Finished fits of a training job, kept beside its frame: a job that is run again goes on behind them.

A fit of one fold is the unit. It is found again by everything that its model text depends on, so that what is taken up is
what would be fitted, byte for byte; with another frame, parameter, seed, layout or code nothing is found.
"""

import hashlib
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from shelfcast import model
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.training.places import filesystem_of

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
        frame_place: Path or URI of the frozen frame's folder; the fits lie below it.
        decided_by: See `what_decides`.
    """

    def __init__(self, frame_place: str, decided_by: dict[str, object]) -> None:
        self._filesystem, root = filesystem_of(frame_place)
        self._folder = f"{root}/{FOLDER}"
        self._decided_by = decided_by

    def get_or_fit(self, origin: str | None, fit: Callable[[], str]) -> str:
        """The kept text of a fold's model (`None`: of the final one), or else the fitted one, which is kept."""
        path = self._path(origin)
        kept = self._read(path)
        if kept is not None:
            print(f"{origin or 'final model'}: found, fitted by an earlier try", flush=True)  # noqa: T201
            return kept
        text = fit()
        self._write(path, text)
        return text

    def clear(self) -> None:
        """Removes all fits below the frame, once the candidate is written."""
        self._filesystem.create_dir(self._folder)
        self._filesystem.delete_dir(self._folder)

    def _path(self, origin: str | None) -> str:
        asked = json.dumps({**self._decided_by, "origin": origin}, sort_keys=True)
        return f"{self._folder}/{hashlib.sha256(asked.encode()).hexdigest()}.txt"

    def _write(self, path: str, text: str) -> None:
        """Digest, then text, under its name only when it is written."""
        self._filesystem.create_dir(self._folder)
        draft = f"{path}.part"
        with self._filesystem.open_output_stream(draft) as file:
            file.write(f"{_digest(text)}\n{text}".encode())
        self._filesystem.move(draft, path)

    def _read(self, path: str) -> str | None:
        """The text; `None` if there is no file or it is not whole."""
        if not self._filesystem.get_file_info(path).is_file:
            return None
        with self._filesystem.open_input_stream(path) as file:
            digest, _, text = file.read().decode(errors="replace").partition("\n")
        return text if digest == _digest(text) else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
