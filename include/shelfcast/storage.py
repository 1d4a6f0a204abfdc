"""The one door to files: a folder on a disk or below an `s3://` URI, by the same calls.

A folder that must be whole has a file that says that it is: `publish` writes that one last, and whoever reads looks for it
first. Credentials and endpoint of S3 are the AWS SDK's own (`AWS_ENDPOINT_URL`, a role, a profile).
"""

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any
from urllib.parse import urlsplit

from upath import UPath

from shelfcast.errors import ConfigurationError
from shelfcast.s3_lease import S3Lease

Location = Path | UPath
"""A path on a disk or in a bucket; below it, nobody asks which."""

UNFINISHED = ".part"
"""Ending of a file on a disk that is being written."""


def is_in_bucket(uri: str) -> bool:
    """Whether a URI is one of S3."""
    return uri.startswith("s3://")


def location(uri: str, name: str = "A location") -> Location:
    """The path of a URI: an absolute path, or `s3://bucket/prefix`.

    Args:
        uri: As it was given.
        name: What it was given by, for the error.

    Raises:
        ConfigurationError: It is neither.
    """
    parts = urlsplit(uri)
    if is_in_bucket(uri) and parts.netloc:
        return UPath(uri.rstrip("/"), use_listings_cache=False)
    path = parts.path if parts.scheme == "file" and not parts.netloc else uri
    if parts.scheme in ("", "file") and path.startswith("/"):
        return Path(path)
    raise ConfigurationError(
        f"{name} is {uri!r}: neither an absolute path nor s3://bucket/prefix, and what is written there would not be found "
        "again. Write one of the two; every machine that reads or writes there must reach it."
    )


def write(path: Location, content: bytes) -> None:
    """Writes a file whole: whoever reads it finds this content or the one before, also after a loss of power."""
    if not isinstance(path, Path):
        path.write_bytes(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}{UNFINISHED}")
    with draft.open("wb") as file:
        file.write(content)
        _sync(file)
    draft.replace(path)
    _sync_folder(path.parent)


def remove(path: Location) -> None:
    """Removes a file, or a folder with all that it holds; does nothing if there is none."""
    if not isinstance(path, Path):
        if path.exists():
            path.fs.rm(path.path, recursive=True)
    elif path.is_dir():
        shutil.rmtree(path)
        _sync_folder(path.parent)
    elif path.exists():
        path.unlink()
        _sync_folder(path.parent)


class Draft:
    """A file that is written piece by piece and is there when it is published.

    Args:
        folder: Where it is going to be.
        name: Of the draft; on a disk it lies in the folder as `<name>.part`.

    Attributes:
        file: To write to.
    """

    def __init__(self, folder: Location, name: str) -> None:
        self._folder = folder
        self._path = folder / f"{name}{UNFINISHED}" if isinstance(folder, Path) else None
        self.file: IO[bytes] = self._path.open("wb") if self._path else TemporaryFile()  # noqa: SIM115

    def publish(self, name: str) -> None:
        """Gives the file its name; returns when it would outlive a loss of power."""
        _sync(self.file)
        if self._path:
            self._path.replace(self._path.with_name(name))
            _sync_folder(self._path.parent)
        else:
            self.file.seek(0)
            with (self._folder / name).open("wb") as there:
                shutil.copyfileobj(self.file, there)
        self.file.close()

    def discard(self) -> None:
        """Removes what was written."""
        self.file.close()
        if self._path:
            self._path.unlink(missing_ok=True)


@contextmanager
def local_copy(folder: Location, names: Iterable[str] | None = None) -> Iterator[Path]:
    """The folder itself or, of one in a bucket, a copy of the same name that is gone afterwards.

    Args:
        folder: To read.
        names: Files to copy, of which there may be fewer; all that lies below unless told.
    """
    if isinstance(folder, Path):
        yield folder
        return
    with TemporaryDirectory(prefix="shelfcast-") as made:
        copy = Path(made) / folder.name
        copy.mkdir()
        for file in folder.rglob("*") if names is None else (folder / name for name in names):
            if file.is_file():
                target = copy / str(file.relative_to(folder))
                target.parent.mkdir(parents=True, exist_ok=True)
                file.fs.get_file(file.path, str(target))
        yield copy


@contextmanager
def publish(folder: Location, *, last: str) -> Iterator[Path]:
    """A local draft whose files are in the folder when the block is left, `last` after all others.

    While they are on their way the folder has no `last`. A block that is left by an error publishes nothing; what else lies
    in the folder stays.
    """
    if not isinstance(folder, Path):
        with TemporaryDirectory(prefix="shelfcast-") as made:
            yield Path(made)
            _publish(Path(made), folder, last)
        return
    draft = folder.with_name(f".{folder.name}{UNFINISHED}")
    shutil.rmtree(draft, ignore_errors=True)  # of a try that was killed
    draft.mkdir(parents=True)
    try:
        yield draft
        _publish(draft, folder, last)
    finally:
        shutil.rmtree(draft)


@contextmanager
def one_writer(lock: Location) -> Iterator[None]:
    """Waits until no other process is in a block of the same lock file, also one that a killed task has left running.

    On a disk the lock goes with its process, however that ends; in a bucket it is a lease that its holder renews.
    """
    if isinstance(lock, Path):
        lock.parent.mkdir(parents=True, exist_ok=True)
        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    with S3Lease(lock):
        yield


def _publish(draft: Path, folder: Location, last: str) -> None:
    remove(folder / last)
    files = sorted(path.relative_to(draft) for path in draft.rglob("*") if path.is_file())
    for name in sorted(files, key=lambda name: name == Path(last)):
        _put(draft / name, folder / str(name))


def _put(file: Path, target: Location) -> None:
    if not isinstance(target, Path):
        target.fs.put_file(str(file), target.path)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with file.open("rb") as written:
        _sync(written)
    file.replace(target)
    _sync_folder(target.parent)


def _sync(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Returns when the disk has the names that a folder holds."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
