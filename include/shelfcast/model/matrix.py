"""The rows that a model learns from, as a matrix."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.features import Columns, Floats, ModelRows, assemble_with_baseline

PIECE_ROWS = 32_768
"""Rows that are in memory a second time, on their way from a file to a matrix or from there to bins, some 20 MB."""

REFERENCE_ROWS = 200_000
"""Rows, roughly, that the boundaries of bins are taken from, as many as LightGBM itself samples."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows to learn from.

    Attributes:
        rows: Shape (n, features).
        target: Length n; not negative for a forecast.
        expected: The baseline, length n, above 0.
    """

    rows: ModelRows
    target: Floats
    expected: Floats

    @classmethod
    def of(cls, columns: Columns, declaration: ModelDeclaration) -> "Sample":
        """Assembles the rows of a training frame."""
        target = columns[declaration.target].astype(float)
        rows, expected = assemble_with_baseline(columns, declaration)
        return cls(
            rows=rows,
            target=np.maximum(target, 0) if declaration.kind == "forecast" else target,
            expected=expected,
        )

    def part(self, chosen: npt.NDArray[np.generic] | slice) -> "Sample":
        """The chosen rows."""
        return Sample(rows=self.rows[chosen], target=self.target[chosen], expected=self.expected[chosen])

    @classmethod
    def with_room_for(cls, rows: int, declaration: ModelDeclaration) -> "Sample":
        """A sample whose numbers are still to be written, column by column in memory."""
        matrix = np.empty((len(declaration.feature_names), rows), dtype=np.float32).T
        return cls(rows=matrix, target=np.empty(rows), expected=np.empty(rows))

    def reference(self) -> "Sample":
        """The rows that bins are cut by where they are all there is."""
        return self.part(slice(None, None, reference_step(len(self.target))))


def reference_step(rows: int) -> int:
    """Every how many rows one is taken to cut bins by."""
    return rows // REFERENCE_ROWS + 1
