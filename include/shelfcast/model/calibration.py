"""Quantiles by split conformal prediction: how far actuals lay from forecasts that had not seen them.

The score is the logarithm of the ratio of actual to forecast over the row's difficulty (see `difficulty`), taken apart by how
much was forecast: at one unit a day half of the days are zero, at a hundred none is. A forecast is multiplied with the
quantiles of the held-out ratios, taken with the finite-sample correction of Vovk et al. and raised to its own difficulty.
"""

import json
from dataclasses import dataclass

import numpy as np

from shelfcast.errors import BundleError
from shelfcast.model.metrics import Floats

LEVEL_BINS = 5
SMALLEST_MEAN = 1e-6
"""A forecast of nothing still needs something that an actual can be a ratio of."""


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Ratios by which a forecast of difficulty 1 is multiplied.

    Attributes:
        quantiles: Levels, ascending.
        edges: Upper edges of the level bins but the last, in units, ascending.
        ratios: Shape (bins, quantiles), not negative, never descending along the last axis.
    """

    quantiles: tuple[float, ...]
    edges: tuple[float, ...]
    ratios: Floats

    def apply(self, mean: Floats, difficulty: Floats) -> Floats:
        """Quantiles of shape (n, quantiles) for forecasts and their difficulty, both of length n."""
        level = np.searchsorted(np.asarray(self.edges), mean, side="left")
        return np.asarray(mean[:, None] * self.ratios[level] ** difficulty[:, None])

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
        has_shape = ratios.shape == (len(made.edges) + 1, len(made.quantiles))
        is_sound = has_shape and np.isfinite(ratios).all() and (ratios >= 0).all() and (np.diff(ratios) >= 0).all()
        if not is_sound:
            raise BundleError("The calibration's ratios do not fit its bins and quantiles. Build the release again.")
        return made


def calibrate(actual: Floats, mean: Floats, difficulty: Floats, quantiles: tuple[float, ...]) -> Calibration:
    """Calibration from held-out forecasts of length n, n at least 1.

    Args:
        actual: What happened; below 0 counts as 0.
        mean: What was forecast without having seen it; below `SMALLEST_MEAN` counts as that.
        difficulty: Of each forecast, above 0.
        quantiles: Levels, ascending.
    """
    mean = np.maximum(mean, SMALLEST_MEAN)
    edges = np.unique(np.quantile(mean, np.linspace(0, 1, LEVEL_BINS + 1)[1:-1]))
    level = np.searchsorted(edges, mean, side="left")
    with np.errstate(divide="ignore"):  # a day without sale has the ratio 0, whatever its difficulty
        scores = np.log(np.maximum(actual, 0) / mean) / difficulty
    of_levels = [scores[level == number] for number in range(len(edges) + 1)]
    table = np.stack([_corrected(own if len(own) else scores, quantiles) for own in of_levels])
    return Calibration(quantiles=quantiles, edges=tuple(float(edge) for edge in edges), ratios=np.exp(table))


def _corrected(scores: Floats, quantiles: tuple[float, ...]) -> Floats:
    """Quantiles that a new score exceeds no more often than promised: ranks of n + 1, not of n."""
    ordered, count = np.sort(scores), len(scores)
    upper = [min(int(np.ceil(level * (count + 1))), count) - 1 for level in quantiles]
    lower = [max(int(np.floor(level * (count + 1))), 1) - 1 for level in quantiles]
    ranks = [high if level >= 0.5 else low for level, low, high in zip(quantiles, lower, upper, strict=True)]
    return np.asarray(ordered[ranks])
