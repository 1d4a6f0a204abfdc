"""A batch: the changes of some drains, checked and typed, as files that the cold store loads."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from shelfcast import storage
from shelfcast.errors import BatchRefused, IngestionError, PostConditionFailed, first_offenders
from shelfcast.ingestion.change_files import ChangeFolder
from shelfcast.ingestion.generations import SNAPSHOT_ADVICE
from shelfcast.storage import Location

BATCH = "batch.json"
QUARANTINE = "quarantine"
BAD_ROWS_ALLOWED = 0.05
"""Share of a batch's keys that may end with a bad version; more means that the source or the schema is wrong, not the row."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """What the landing job wrote for the cold store.

    Attributes:
        batch_id: Name of the batch and of its folder.
        generation: Generation of its changes.
        first_drain: Lowest drain in it.
        last_drain: Highest drain in it.
        rows: Good rows by table, tables without any left out.
        quarantined: Bad rows by table, tables without any left out.
        keys: Different keys by table; counted only where a row of the batch is bad.
        bad_keys: Those of them whose newest version in the batch is bad, tables without any left out.
        checksum: Digest of the Parquet files, 60 bits; `save` fills it in.
    """

    batch_id: str
    generation: int
    first_drain: int
    last_drain: int
    rows: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    bad_keys: dict[str, int] = field(default_factory=dict)
    checksum: int = 0

    @property
    def rows_read(self) -> int:
        """Good and bad rows."""
        return sum(self.rows.values()) + sum(self.quarantined.values())

    def save(self, export: Location) -> None:
        """Writes `batch.json`, last of all: an export without it is not finished, and its files are sealed by it."""
        with storage.local_copy(export) as copy:
            sealed = replace(self, checksum=checksum(copy))
        storage.write(export / BATCH, json.dumps(asdict(sealed), indent=1).encode())

    @classmethod
    def read(cls, export: Path) -> "Batch":
        """Reads `batch.json`; raises `IngestionError` if it is not there or the files are others than it was made for."""
        path = export / BATCH
        if not path.exists():
            raise IngestionError(
                f"The export {export.name} has no {BATCH}: the landing job has not finished. Clear its task and those after "
                "it."
            )
        batch = cls(**json.loads(path.read_text()))
        found = checksum(export)
        if found != batch.checksum:
            raise IngestionError(
                f"The files of the export {export.name} have checksum {found}, {BATCH} says {batch.checksum}: they were "
                "changed, lost or mixed since the landing job wrote them. Nothing was loaded; clear its task and those after "
                "it."
            )
        return batch

    def refuse_if_bad(self, allowed: float = BAD_ROWS_ALLOWED) -> None:
        """Raises `BatchRefused` when more than the share `allowed` (0 to 1) of the keys ends with a bad version.

        A bad version that a good one follows does not count: the waiting drains hold it for good, also when the row was
        mended in the shop.
        """
        bad, keys = sum(self.bad_keys.values()), sum(self.keys.values())
        if bad > allowed * keys:
            worst = ", ".join(f"{table} {count}" for table, count in sorted(self.bad_keys.items()))
            raise BatchRefused(
                f"{bad} of the {keys} keys in batch {self.batch_id} end with a bad row ({worst}), more than {allowed:.0%}. "
                "Loading the rest would hide what is wrong with the source. The bad rows and their reasons are in "
                "QUARANTINE.BAD_ROWS under this batch_id; mend them in the shop, then clear the run."
            )


def checksum(export: Path) -> int:
    """Digest of what an export's Parquet files hold; their names, which Spark draws by lot, do not matter."""
    parts = [
        f"{path.parent.relative_to(export)} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in export.rglob("*.parquet")
    ]
    return int(hashlib.sha256("\n".join(sorted(parts)).encode()).hexdigest()[:15], 16)


def drains(landing: Location, generation: int, *, after_drain: int) -> tuple[int, int]:
    """First and last drain of a generation that wait to be loaded."""
    waiting = ChangeFolder(landing).waiting(generation, after_drain=after_drain)
    if not waiting:
        raise IngestionError(f"Generation {generation} has no change files after drain {after_drain}.")
    return waiting[0].drain, waiting[-1].drain


def changes_written(landing: Location, generation: int, *, after_drain: int) -> dict[int, int]:
    """How many changes each drain that waits to be loaded wrote; drains with a file that nobody counted left out."""
    counts: dict[int, int | None] = {}
    for file in ChangeFolder(landing).waiting(generation, after_drain=after_drain):
        before = counts.get(file.drain, 0)
        counts[file.drain] = None if before is None or file.changes is None else before + file.changes
    return {drain: count for drain, count in counts.items() if count is not None}


def check_landed(written: Mapping[int, int], landed: Mapping[int, int], *, checkpoint: Location) -> None:
    """Raises `PostConditionFailed` when the change log holds more or fewer changes of a drain than the drain wrote.

    Args:
        written: Number of changes by drain, as the drain counted them.
        landed: Number of rows by drain in the change log, drains without any left out.
        checkpoint: Folder that knows which files have landed; without it they land anew.
    """
    wrong = [
        f"drain {drain} wrote {count} changes, {landed.get(drain, 0)} have landed"
        for drain, count in sorted(written.items())
        if landed.get(drain, 0) != count
    ]
    if wrong:
        raise PostConditionFailed(
            f"The change log is not what was read from the shop: {first_offenders(wrong)}. Changes would be missing from the "
            f"cold store for good, so nothing is exported. Delete the folder {checkpoint} and clear this task: the files "
            "of the generation land anew. If the numbers differ again, a change file was changed or lost; then "
            f"{SNAPSHOT_ADVICE}"
        )
