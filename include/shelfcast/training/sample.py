"""The rows that a model learns from, as a matrix: of columns in memory, or read from a frozen frame piece by piece."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from shelfcast.training.declaration import ModelDeclaration
from shelfcast.training.rows import Columns, Floats, assemble, baseline, model_features

PIECE_ROWS = 32_768
"""Rows that are in memory a second time, on their way from a file to a matrix or from there to bins, some 20 MB."""

REFERENCE_ROWS = 200_000
"""Rows, roughly, that the boundaries of bins are taken from, as many as LightGBM itself samples."""

Places = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows to learn from.

    Attributes:
        rows: Shape (n, features).
        target: Length n; not negative for a forecast.
        expected: The baseline, length n, above 0.
    """

    rows: Floats
    target: Floats
    expected: Floats

    @classmethod
    def of(cls, columns: Columns, declaration: ModelDeclaration) -> "Sample":
        """Assembles the rows of a training frame."""
        target = columns[declaration.target].astype(float)
        return cls(
            rows=assemble(columns, declaration),
            target=np.maximum(target, 0) if declaration.kind == "forecast" else target,
            expected=baseline(columns, declaration),
        )

    def part(self, chosen: npt.NDArray[np.generic] | slice) -> "Sample":
        """The chosen rows."""
        return Sample(rows=self.rows[chosen], target=self.target[chosen], expected=self.expected[chosen])

    def reference(self) -> "Sample":
        """The rows that bins are cut by where they are all there is."""
        return self.part(slice(None, None, reference_step(len(self.target))))


def reference_step(rows: int) -> int:
    """Every how many rows one is taken to cut bins by."""
    return rows // REFERENCE_ROWS + 1


def read_samples(frame: Path, declaration: ModelDeclaration, *chosen: Places) -> list[Sample]:
    """Samples of a frozen frame, whose columns are never in memory as a whole.

    Args:
        frame: File of the frame.
        declaration: The model.
        chosen: Places of each sample's rows in the frame, ascending from 0.
    """
    samples, start = [_room_for(len(places), declaration) for places in chosen], 0
    for batch in pq.ParquetFile(frame).iter_batches(batch_size=PIECE_ROWS):
        columns = {name: batch.column(name).to_numpy(zero_copy_only=False) for name in batch.schema.names}
        for sample, places in zip(samples, chosen, strict=True):
            own = slice(*np.searchsorted(places, (start, start + len(batch))))
            wanted = places[own] - start
            part = Sample.of({name: values[wanted] for name, values in columns.items()}, declaration)
            sample.rows[own], sample.target[own], sample.expected[own] = part.rows, part.target, part.expected
        start += len(batch)
    return samples


def _room_for(rows: int, declaration: ModelDeclaration) -> Sample:
    matrix = np.empty((len(model_features(declaration)), rows)).T
    return Sample(rows=matrix, target=np.empty(rows), expected=np.empty(rows))
