"""A fitted model as one thing: the mean, how hard a row is, and the quantiles that follow from both."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from shelfcast.model.booster import Booster
from shelfcast.model.calibration import Calibration
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.features import Columns, Floats, ModelRows, assemble_with_baseline

SMALLEST_DIFFICULTY, LARGEST_DIFFICULTY = 0.1, 10.0
"""Of a row, in units of the usual one."""


class Prediction(NamedTuple):
    """What is predicted of n rows.

    Attributes:
        mean: Length n, not negative.
        quantiles: Shape (n, quantiles), never descending along the last axis.
    """

    mean: Floats
    quantiles: Floats


@dataclass(frozen=True, kw_only=True)
class FittedModel:
    """What training makes and serving answers from.

    Attributes:
        declaration: The model, as it was declared when it was fitted.
        mean_text: LightGBM's native text of the model of the mean.
        difficulty_text: That of the model of how hard a row is.
        calibration: Ratios of quantiles to means.
    """

    declaration: ModelDeclaration
    mean_text: str
    difficulty_text: str
    calibration: Calibration

    def predict(self, columns: Columns, *, num_threads: int = 1) -> Prediction:
        """Mean and quantiles of n rows; a store that is known to be closed sells nothing.

        Args:
            columns: As `features.assemble` takes them.
            num_threads: Of LightGBM, 1 or more.
        """
        rows, expected = assemble_with_baseline(columns, self.declaration)
        mean = mean_of(self._mean, rows, expected, self.declaration, num_threads=num_threads)
        if "is_open" in columns:
            mean[columns["is_open"] == 0] = 0.0
        difficulty = difficulty_of(self._difficulty, rows, num_threads=num_threads)
        return Prediction(mean=mean, quantiles=self.calibration.apply(mean, difficulty))

    def check(self) -> None:
        """Parses both models; raises `ValueError` if LightGBM does not take one."""
        _ = self._mean, self._difficulty

    @cached_property
    def _mean(self) -> Booster:
        return Booster(self.mean_text)

    @cached_property
    def _difficulty(self) -> Booster:
        return Booster(self.difficulty_text)


def mean_of(
    booster: Booster, rows: ModelRows, expected: Floats, declaration: ModelDeclaration, *, num_threads: int = 1
) -> Floats:
    """Means, never negative, of length n for rows of shape (n, features) whose baseline is `expected`.

    The score is the logarithm of a factor of the baseline or, of a regression, the value itself.
    """
    raw = booster.raw_scores(rows, num_threads=num_threads)
    return np.exp(raw) * expected if declaration.kind == "forecast" else np.maximum(raw, 0.0)


def difficulty_of(booster: Booster, rows: ModelRows, *, num_threads: int = 1) -> Floats:
    """How hard rows of shape (n, features) are: length n, 1 for a usual one, within the bounds of this module."""
    return np.clip(booster.predict(rows, num_threads=num_threads), SMALLEST_DIFFICULTY, LARGEST_DIFFICULTY)
