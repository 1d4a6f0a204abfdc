"""A pointer beside a file, as DVC 3 writes them: `dvc` can push, pull and check the file by it without knowing Shelfcast."""

import hashlib
from pathlib import Path

import yaml

from shelfcast import storage
from shelfcast.errors import FrameChanged


def point_at(path: Path) -> Path:
    """Writes `<file>.dvc` beside a file; one that is there already is checked and kept. Returns the pointer.

    Raises:
        FrameChanged: The pointer that is there is that of another file.
    """
    pointer, found = path.with_name(f"{path.name}.dvc"), _entry(path)
    if not pointer.exists():
        storage.write(pointer, yaml.safe_dump({"outs": [found]}, sort_keys=False).encode())
    told = yaml.safe_load(pointer.read_text())
    if told != {"outs": [found]}:
        raise FrameChanged(
            f"{pointer} does not point at the file beside it: it says {told}, the file is {found}. `dvc pull` would bring "
            "another file. Restore the pair from the run's storage, or remove the pointer to have it written again."
        )
    return pointer


def _entry(path: Path) -> dict[str, object]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return {"md5": digest, "size": path.stat().st_size, "hash": "md5", "path": path.name}
