"""The files between change capture and the landing job: where they lie, what their names say, which ones count.

    <landing>/changes/generation=0001/drain-000007-from-35440680-part-00000-changes-1200.jsonl.gz
    <landing>/changes/generation=0001/{BEGUN, COMPLETE}

A *generation* begins with a snapshot. Until the snapshot is whole (`COMPLETE`), nothing of the generation counts: a
snapshot that was cut off holds rows that may be gone from the source by now. A *drain* is one bounded read of the
change log; its number grows by one, `from` is the log position that the replication slot had confirmed before it, and
`changes` says how many changes its file holds, for whoever reads it to count.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from shelfcast import storage
from shelfcast.errors import IngestionError
from shelfcast.storage import UNFINISHED, Location

BEGUN, COMPLETE = "BEGUN", "COMPLETE"
_GENERATION = re.compile(r"generation=(\d{4,})")
_FILE = re.compile(r"drain-(\d{6,})-from-(\d+)-part-(\d{5,})(?:-changes-(\d+))?\.jsonl\.gz")


@dataclass(frozen=True, kw_only=True, order=True)
class ChangeFile:
    """A file of changes, one JSON object a line.

    Attributes:
        drain: Number of the drain that wrote it, from 1 within the generation.
        from_position: Log position confirmed before that drain, 0 if there was none.
        part: Number within the drain, from 0.
        changes: Changes in it, marks left out; `None` where nobody counted, as in files of an earlier release.
    """

    drain: int
    from_position: int
    part: int
    changes: int | None = field(default=None, compare=False)

    @property
    def name(self) -> str:
        """File name, which sorts as the drains do."""
        counted = "" if self.changes is None else f"-changes-{self.changes}"
        return f"drain-{self.drain:06d}-from-{self.from_position}-part-{self.part:05d}{counted}.jsonl.gz"

    @classmethod
    def parse(cls, name: str) -> "ChangeFile":
        """Reads a file name; raises `IngestionError` for any other name."""
        match = _FILE.fullmatch(name)
        if match is None:
            raise IngestionError(
                f"{name} is not a change file; only change capture may write into its folder. Move it away."
            )
        changes = None if match[4] is None else int(match[4])
        return cls(drain=int(match[1]), from_position=int(match[2]), part=int(match[3]), changes=changes)


class ChangeFolder:
    """The folder `changes` of a landing area.

    Args:
        landing: The landing area.
    """

    def __init__(self, landing: Location) -> None:
        self.path = landing / "changes"

    def generation_folder(self, generation: int) -> Location:
        """Folder of a generation, whether it exists or not."""
        return self.path / f"generation={generation:04d}"

    def generations(self) -> list[int]:
        """Numbers of all generations, complete or not, ascending."""
        names = [path.name for path in self.path.glob("generation=*")]
        return sorted(int(match[1]) for match in map(_GENERATION.fullmatch, names) if match)

    def last_complete(self) -> int | None:
        """The newest generation whose snapshot is whole; `None` before the first."""
        complete = [number for number in self.generations() if self.is_complete(number)]
        return complete[-1] if complete else None

    def is_complete(self, generation: int) -> bool:
        """Whether the generation's snapshot is whole."""
        return (self.generation_folder(generation) / COMPLETE).exists()

    def mark_complete(self, generation: int) -> None:
        """Makes the generation count; does nothing the second time."""
        storage.write(self.generation_folder(generation) / COMPLETE, b"")

    def begin_generation(self, *, after: int = 0) -> int:
        """Makes the folder of a new generation; returns its number, higher than any here and than `after`."""
        number = max([after, *self.generations()]) + 1
        storage.write(self.generation_folder(number) / BEGUN, b"")
        return number

    def files(self, generation: int) -> list[ChangeFile]:
        """Finished files of a generation in the order of the change log."""
        return sorted(ChangeFile.parse(path.name) for path in self.generation_folder(generation).glob("*.jsonl.gz"))

    def next_drain(self, generation: int, *, after: int = 0) -> int:
        """Number of the generation's next drain, higher than any here and than `after`."""
        return max([after, *(file.drain for file in self.files(generation))]) + 1

    def discard_unfinished(self, generation: int) -> None:
        """Removes files that a killed drain left half written; the log still holds what was in them."""
        for path in self.generation_folder(generation).glob(f"*{UNFINISHED}"):
            path.unlink()

    def waiting(self, generation: int, *, after_drain: int) -> list[ChangeFile]:
        """Files of drains that are not loaded yet."""
        return _after(self.files(generation), after_drain)


def _after(files: Iterable[ChangeFile], drain: int) -> list[ChangeFile]:
    return [file for file in files if file.drain > drain]
