"""Files that, after a loss of power, are there whole or as they were before."""

import os
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Replaces a file in one step; returns when the disk has both the content and the name."""
    draft = path.with_name(f".{path.name}.part")
    with draft.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Returns when the disk has the names that a folder holds."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
