"""Quantiles by split conformal prediction: how far actuals lay from forecasts that had not seen them.

The score is the ratio of actual to forecast, taken apart by how much was forecast and by week ahead: at one unit a day
half of the days are zero, at a hundred none is. The quantiles of the held-out ratios, with the finite-sample correction
of Vovk et al., multiply a forecast to its quantiles.
"""

import json
from dataclasses import dataclass

import numpy as np

from shelfcast.errors import BundleError
from shelfcast.training.metrics import Floats

LEVEL_BINS = 5
DAYS_A_WEEK = 7
FEWEST_SCORES = 100
"""A cell with fewer held-out ratios takes those of all weeks of its level."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Ratios by which a forecast is multiplied.

    Attributes:
        quantiles: Levels, ascending.
        edges: Upper edges of the level bins but the last, in units, ascending.
        ratios: Shape (bins, weeks, quantiles), never descending along the last axis.
    """

    quantiles: tuple[float, ...]
    edges: tuple[float, ...]
    ratios: Floats

    def apply(self, mean: Floats, horizon_days: Floats) -> Floats:
        """Quantiles of shape (n, quantiles) for forecasts and days ahead of length n."""
        level = np.searchsorted(np.asarray(self.edges), mean, side="left")
        week = np.clip((horizon_days.astype(int) - 1) // DAYS_A_WEEK, 0, self.ratios.shape[1] - 1)
        return np.asarray(mean[:, None] * self.ratios[level, week])

    def to_json(self) -> str:
        """Text that `from_json` reads."""
        content = {"quantiles": self.quantiles, "edges": self.edges, "ratios": self.ratios.tolist()}
        return json.dumps(content, indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Calibration":
        """Reads `to_json`'s text; raises `BundleError` when shapes or order are wrong."""
        try:
            content = json.loads(text)
            ratios = np.asarray(content["ratios"], dtype=float)
            made = cls(quantiles=tuple(content["quantiles"]), edges=tuple(content["edges"]), ratios=ratios)
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(
                f"The calibration cannot be read ({error}). The release is damaged: build it again."
            ) from error
        has_shape = (
            ratios.ndim == 3 and ratios.shape[0] == len(made.edges) + 1 and ratios.shape[2] == len(made.quantiles)
        )
        if not has_shape or not np.isfinite(ratios).all() or (np.diff(ratios, axis=2) < 0).any():
            raise BundleError("The calibration's ratios do not fit its bins and quantiles. Build the release again.")
        return made


def calibrate(actual: Floats, mean: Floats, horizon_days: Floats, quantiles: tuple[float, ...]) -> Calibration:
    """Calibration from held-out forecasts of length n, n at least 1.

    Args:
        actual: What happened.
        mean: What was forecast without having seen it, above 0.
        horizon_days: Days ahead, 1 or more; all 1 for a regression.
        quantiles: Levels, ascending.
    """
    inner = np.linspace(0, 1, LEVEL_BINS + 1)[1:-1]
    edges = np.unique(np.quantile(mean, inner))
    level = np.searchsorted(edges, mean, side="left")
    week = (horizon_days.astype(int) - 1) // DAYS_A_WEEK
    ratio = actual / mean
    weeks = int(week.max()) + 1
    table = np.ones((len(edges) + 1, weeks, len(quantiles)))
    for bin_number in range(len(edges) + 1):
        of_level = level == bin_number
        for week_number in range(weeks):
            cell = of_level & (week == week_number)
            scores = ratio[cell if cell.sum() >= FEWEST_SCORES else of_level]
            table[bin_number, week_number] = _corrected(scores if len(scores) else ratio, quantiles)
    return Calibration(quantiles=quantiles, edges=tuple(float(edge) for edge in edges), ratios=table)


def _corrected(scores: Floats, quantiles: tuple[float, ...]) -> Floats:
    """Quantiles that a new score exceeds no more often than promised: ranks of n + 1, not of n."""
    ordered, count = np.sort(scores), len(scores)
    upper = [min(int(np.ceil(level * (count + 1))), count) - 1 for level in quantiles]
    lower = [max(int(np.floor(level * (count + 1))), 1) - 1 for level in quantiles]
    ranks = [high if level >= 0.5 else low for level, low, high in zip(quantiles, lower, upper, strict=True)]
    return np.asarray(ordered[ranks])
