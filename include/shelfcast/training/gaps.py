"""Gaps to learn from: whatever serving may not know of a row is absent in a small share of the rows that a model is fitted on.

LightGBM reads an absent number as 0 where a feature was never absent in training: an item without a known price would be
forecast as one that is given away. With gaps, each split learns which way the absent go. See
`docs/decisions/0011-absent-means-the-same-in-training-and-serving.md`.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from shelfcast.training.declaration import ModelDeclaration
from shelfcast.training.rows import ALWAYS_KNOWN, Floats, model_features

SHARE = 0.01
"""Of the rows, by feature."""

UNKNOWN = -1e30
DROPPED_BITS = 10
"""Of the 23 after the point of a number in single precision."""


def with_gaps(rows: Floats, declaration: ModelDeclaration, *, seed: int) -> Floats:
    """The rows, in each of which some features are absent.

    Which ones depends on the row itself and the seed alone: not on the rows around it, nor on the machine that holds it.

    Args:
        rows: Shape (n, features).
        declaration: The model.
        seed: Of the fit.
    """
    of_row, of_feature = np.random.default_rng(seed).integers(2**63, size=(2, rows.shape[1]), dtype=np.uint64) * 2 + 1
    content = pd.util.hash_array((_coarse(rows) * of_row).sum(axis=1))
    is_gap = content[:, None] * of_feature < np.uint64(SHARE * 2**64)
    return np.where(is_gap & may_be_absent(declaration), rows.dtype.type(np.nan), rows)


def _coarse(rows: Floats) -> npt.NDArray[np.uint64]:
    """The rows with four digits: sums that were made in another order differ in their last bits and are the same rows."""
    single = np.where(np.isnan(rows), UNKNOWN, rows).astype(np.float32) + np.float32(0)  # and -0 is 0
    bits = single.view(np.uint32).astype(np.uint64)
    return np.asarray((bits + np.uint64(1 << (DROPPED_BITS - 1))) >> np.uint64(DROPPED_BITS))


def may_be_absent(declaration: ModelDeclaration) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Of each model feature, whether serving may not know it: all but what comes from the request and the calendar."""
    return np.array([name not in ALWAYS_KNOWN for name in model_features(declaration)])
