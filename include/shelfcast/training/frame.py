"""Frozen training frames: Parquet whose content has a digest, and a manifest that says what it is.

A frame is written once for its run, with a pointer for DVC beside it. Whoever trains on it, today or in a year, checks
the digest first.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from itertools import chain
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from shelfcast.cold_store.unloaded import count_rows, pieces
from shelfcast.errors import FrameChanged, NothingToDo, TrainingError
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.matrix import PIECE_ROWS, Sample
from shelfcast.storage import Location
from shelfcast.training.dvc_pointer import point_at

FRAME = "frame.parquet"
MANIFEST = "frame.json"
POINTER = f"{FRAME}.dvc"
FRAME_FILES = (FRAME, MANIFEST)
FEWEST_ROWS = 500
ROW_GROUP_ROWS = 100_000

DECIDING = ("business_date", "sales_date", "ordered_at", "is_countable")
"""Columns of a frame that say which fold a row belongs to, those that it has."""

Booleans = npt.NDArray[np.bool_]
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class FrameManifest:
    """What a frozen frame is.

    Attributes:
        model: Name of the model.
        cutoff: Last day that it knows, ISO text.
        rows: Number of rows.
        columns: Names in order.
        digest: SHA-256 of the file.
        horizon_days: Days ahead; 0 for a regression.
        folds: Rolling origins to measure on.
        reason: Why it was frozen.
        is_forced: Whether the gate is to let its model pass.
        trials: Of the search for parameters; 0 where there is none.
        of_rows: That it would have if no series had been left out, roughly; 0 where that was not told.
    """

    model: str
    cutoff: str
    rows: int
    columns: list[str]
    digest: str
    horizon_days: int
    folds: int
    reason: str
    is_forced: bool
    trials: int = 0
    of_rows: int = 0


class FrozenFrame:
    """A frozen frame that was verified; no more of it is in memory than is asked for.

    Args:
        folder: Holds the frame.
        manifest: Its manifest, by which it was verified (see `verify`).
        declaration: The model.

    Attributes:
        manifest: What the frame is.
        deciding: Its columns that say which fold a row belongs to.
        target: What the model is to predict, length n.
        moments: Of each row, the day (or moment) that it is about.
        is_countable: Whether it says anything about demand.
    """

    def __init__(self, folder: Path, manifest: FrameManifest, declaration: ModelDeclaration) -> None:
        self.manifest, self._path, self._declaration = manifest, folder / FRAME, declaration
        names = [name for name in self.manifest.columns if name in DECIDING]
        self.deciding = pq.read_table(self._path, columns=names).to_pandas(date_as_object=False)
        self.target = pq.read_table(self._path, columns=[declaration.target]).column(0).to_numpy().astype(float)
        self.moments = moments_of(self.deciding, declaration)
        self.is_countable = countable(self.deciding)

    def parts(self, *positions: Positions) -> list[Sample]:
        """The rows at some positions, which ascend from 0, as the model takes them; a sample for each."""
        samples = [Sample.with_room_for(len(chosen), self._declaration) for chosen in positions]
        for batch, start in self._batches():
            columns = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in batch.schema.names}
            for sample, chosen in zip(samples, positions, strict=True):
                own = _within(chosen, start, len(batch))
                wanted = chosen[own] - start
                part = Sample.of({name: values[wanted] for name, values in columns.items()}, self._declaration)
                sample.rows[own], sample.target[own], sample.expected[own] = part.rows, part.target, part.expected
        return samples

    def rows(self, *positions: Positions) -> list[pd.DataFrame]:
        """The rows at some positions, which ascend from 0, as they were frozen; a table for each."""
        found: list[list[pa.RecordBatch]] = [[] for _ in positions]
        for batch, start in self._batches():
            for tables, chosen in zip(found, positions, strict=True):
                tables.append(batch.take(pa.array(chosen[_within(chosen, start, len(batch))] - start)))
        return [pa.Table.from_batches(tables).to_pandas() for tables in found]

    def _batches(self) -> "Iterator[tuple[pa.RecordBatch, int]]":
        """The frame piece by piece, each with the position of its first row."""
        start = 0
        for batch in pq.ParquetFile(self._path).iter_batches(batch_size=PIECE_ROWS):
            yield batch, start
            start += len(batch)


def _within(positions: Positions, start: int, rows: int) -> slice:
    """Which of some positions, which ascend, lie among so many rows."""
    return slice(*np.searchsorted(positions, (start, start + rows)))


def freeze(unloaded: Path, folder: Path, *, model: str, cutoff: date, folds: int, **about: object) -> FrameManifest:
    """Writes the frame and its manifest, unless the folder holds a frozen frame already: that one is kept.

    Args:
        unloaded: Folder with the rows, in their final order (see `ColdStore.unload`).
        folder: Folder of the run; made if missing.
        model: Name of the model.
        cutoff: Last day that it knows.
        folds: Rolling origins to measure on.
        **about: `horizon_days`, `reason`, `is_forced`, `trials` and `of_rows` of the manifest.

    Raises:
        NothingToDo: The frame is too short to learn anything from.
        FrameChanged: The frozen frame that is there no longer has its digest.
    """
    if (folder / MANIFEST).exists():
        return verify(folder)
    rows = count_rows(unloaded)
    if rows < FEWEST_ROWS:
        raise NothingToDo(f"Nothing to train {model} on yet: {rows} rows at cutoff {cutoff}, {FEWEST_ROWS} are needed.")
    folder.mkdir(parents=True, exist_ok=True)
    columns = _write(unloaded, folder / FRAME)
    point_at(folder / FRAME)
    manifest = FrameManifest(
        model=model,
        cutoff=cutoff.isoformat(),
        rows=rows,
        columns=columns,
        digest=digest(folder / FRAME),
        folds=folds,
        **about,  # type: ignore[arg-type]
    )
    draft = folder / f"{MANIFEST}.part"
    draft.write_text(json.dumps(asdict(manifest), indent=1))
    draft.rename(folder / MANIFEST)
    return manifest


def _write(unloaded: Path, path: Path) -> list[str]:
    """Writes what was unloaded as one file, which is the same for the same rows; returns its columns."""
    rows = (_with_dates(piece) for piece in pieces(unloaded, rows=ROW_GROUP_ROWS))
    first = next(rows)
    with pq.ParquetWriter(path, first.schema, compression="zstd") as writer:
        for piece in chain([first], rows):
            writer.write_table(piece, row_group_size=ROW_GROUP_ROWS)
    return list(first.column_names)


def _with_dates(piece: pa.Table) -> pa.Table:
    """Days as dates, so that the file does not depend on which server the rows came from."""
    days = [name for name in ("business_date", "sales_date") if name in piece.column_names]
    for name in days:
        position = piece.column_names.index(name)
        piece = piece.set_column(position, name, piece.column(name).cast(pa.date32()))
    return piece


def verify(folder: Path) -> FrameManifest:
    """The manifest of a frozen frame; raises `FrameChanged` if the file is not the one that was frozen."""
    manifest = read_manifest(folder)
    found = digest(folder / FRAME) if (folder / FRAME).exists() else "no file"
    if found != manifest.digest:
        raise FrameChanged(
            f"{folder / FRAME} was frozen with digest {manifest.digest[:12]}… and has {found[:12]}… now. A model trained "
            "on it could not be reproduced. Restore the file, or remove the folder and clear the freezing task."
        )
    return manifest


def read_manifest(folder: Location) -> FrameManifest:
    """The manifest of a frozen frame, as it stands; raises `TrainingError` if there is none."""
    path = folder / MANIFEST
    if not path.exists():
        raise TrainingError(f"{folder} holds no frozen frame ({MANIFEST} is missing). Clear the freezing task.")
    return FrameManifest(**json.loads(path.read_text()))


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def columns_of(frame: pd.DataFrame) -> dict[str, npt.NDArray[np.generic]]:
    """The frame as `shelfcast.model.features` takes it."""
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    if "sales_date" in columns:
        columns["sales_date"] = days_of(frame["sales_date"])
    return columns


def days_of(values: "pd.Series[str]") -> npt.NDArray[np.datetime64]:
    """Dates or moments as `datetime64[D]`."""
    moments = values if pd.api.types.is_datetime64_dtype(values) else pd.to_datetime(values)
    return moments.to_numpy().astype("datetime64[D]")


def moments_of(frame: pd.DataFrame, declaration: ModelDeclaration) -> npt.NDArray[np.datetime64]:
    """The day that each row of a frame is about; the moment of the order for a regression."""
    if declaration.kind == "regression":
        return np.asarray(pd.to_datetime(frame["ordered_at"]).to_numpy())
    return days_of(frame["sales_date"])


def countable(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each row says anything about demand: an order does, a day without stock does not."""
    return frame["is_countable"].to_numpy(bool) if "is_countable" in frame else np.ones(len(frame), bool)
