"""Folders that a job reads and writes: on a disk, or below an `s3://` URI where its machines share no disk."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def is_remote(place: str) -> bool:
    """Whether it is a URI."""
    return "://" in place


def filesystem_of(place: str) -> tuple[Any, str]:
    """The `pyarrow.fs.FileSystem` of a place, and the place's path in it."""
    from pyarrow.fs import FileSystem

    filesystem, path = FileSystem.from_uri(place if is_remote(place) else str(Path(place).absolute()))
    return filesystem, str(path)


@contextmanager
def local_copy(place: str, names: Sequence[str] | None = None) -> Iterator[Path]:
    """The folder itself or, of a URI, a copy that is gone afterwards.

    Args:
        place: Path or URI of a folder.
        names: Files to copy; all that lies below, if there is anything, unless told.
    """
    if not is_remote(place):
        yield Path(place)
        return
    from pyarrow.fs import FileType, copy_files

    filesystem, path = filesystem_of(place)
    with TemporaryDirectory(prefix="shelfcast-") as copy:
        for name in names or []:
            copy_files(f"{path}/{name}", f"{copy}/{name}", source_filesystem=filesystem)
        if names is None and filesystem.get_file_info(path).type == FileType.Directory:
            copy_files(path, copy, source_filesystem=filesystem)
        yield Path(copy)


@contextmanager
def written_to(place: str, *, last: str) -> Iterator[Path]:
    """The folder itself, made if missing; of a URI one whose files are copied there in the end, `last` after all others."""
    if not is_remote(place):
        Path(place).mkdir(parents=True, exist_ok=True)
        yield Path(place)
        return
    from pyarrow.fs import copy_files

    filesystem, path = filesystem_of(place)
    with TemporaryDirectory(prefix="shelfcast-") as draft:
        yield Path(draft)
        for file in sorted(Path(draft).iterdir(), key=lambda file: file.name == last):
            copy_files(str(file), f"{path}/{file.name}", destination_filesystem=filesystem)
