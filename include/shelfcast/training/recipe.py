"""The one recipe: folds, means, difficulty, calibration, final model.

The training job follows it with fits on barrier tasks of Spark, a backtest with fits in its own process: for the same rows
both make the same model.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from shelfcast.model.booster import Booster
from shelfcast.model.calibration import calibrate
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.difficulty import drawn, fit_difficulty
from shelfcast.model.features import Floats
from shelfcast.model.fitted_model import FittedModel, difficulty_of, mean_of
from shelfcast.model.lightgbm_fit import parameters, train
from shelfcast.model.matrix import Sample
from shelfcast.training.folds import Fold
from shelfcast.training.frame import Booleans, Positions
from shelfcast.training.progress import Progress, silent

FitMean = Callable[[ModelDeclaration, Fold | None], str]
"""Fits the mean on what a fold knew, or on all rows (`None`); returns LightGBM's native text."""


class TrainingRows(Protocol):
    """The rows of a training frame, in memory or in a file.

    Attributes:
        moments: Of each row, the day (or moment) that it is about.
        is_countable: Whether it says anything about demand.
    """

    @property
    def moments(self) -> npt.NDArray[np.datetime64]:  # noqa: D102
        ...

    @property
    def is_countable(self) -> Booleans:  # noqa: D102
        ...

    def parts(self, *positions: Positions) -> list[Sample]:
        """The rows at some positions, which ascend from 0; a sample for each."""


@dataclass(frozen=True, kw_only=True)
class FoldForecast:
    """What a fold's model forecast of days that it had not seen.

    Attributes:
        fold: The origin.
        positions: Of the n rows that were forecast.
        target: What happened, length n.
        mean: Length n.
        difficulty: Length n.
    """

    fold: Fold
    positions: Positions
    target: Floats
    mean: Floats
    difficulty: Floats


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A fitted model and what its folds forecast, newest first."""

    model: FittedModel
    folds: list[FoldForecast]


def train_by_folds(
    rows: TrainingRows,
    declaration: ModelDeclaration,
    folds: Sequence[Fold],
    fit_mean: FitMean,
    *,
    seed: int,
    num_threads: int,
    progress: Progress = silent,
) -> Trained:
    """Fits the model on all rows and calibrates it on what models of rolling origins forecast.

    Args:
        rows: All rows of the frame.
        declaration: The model.
        folds: Rolling origins, newest first.
        fit_mean: How one model of the mean is fitted.
        seed: Of every fit.
        num_threads: Of LightGBM in this process.
        progress: Told of each fold and of the final model.
    """
    counted = rows.is_countable
    asked = [np.flatnonzero(fold.test & counted) for fold in folds]
    known = drawn(folds[-1].train & counted, seed=seed)  # no fold is measured on what the oldest one knew
    hardest, *tests = rows.parts(known, *asked)
    settings = parameters(declaration, seed=seed, num_threads=num_threads)
    difficulty_text = fit_difficulty(hardest, rows.moments[known], declaration, settings=settings)
    del hardest
    difficulty = Booster(difficulty_text)
    found = []
    for number, (fold, positions, test) in enumerate(zip(folds, asked, tests, strict=True), start=1):
        progress("folds", part=number, parts=len(folds))
        mean = Booster(fit_mean(declaration, fold))
        found.append(
            FoldForecast(
                fold=fold,
                positions=positions,
                target=test.target,
                mean=mean_of(mean, test.rows, test.expected, declaration, num_threads=num_threads),
                difficulty=difficulty_of(difficulty, test.rows, num_threads=num_threads),
            )
        )
    calibration = calibrate(
        np.concatenate([each.target for each in found]),
        np.concatenate([each.mean for each in found]),
        np.concatenate([each.difficulty for each in found]),
        declaration.quantiles,
    )
    progress("model")
    model = FittedModel(
        declaration=declaration,
        mean_text=fit_mean(declaration, None),
        difficulty_text=difficulty_text,
        calibration=calibration,
    )
    return Trained(model=model, folds=found)


def fits_in_process(rows: TrainingRows, *, seed: int, num_threads: int) -> FitMean:
    """Fits the mean in this process, of rows that are in memory."""

    def fit(declaration: ModelDeclaration, fold: Fold | None) -> str:
        learned = rows.is_countable if fold is None else fold.train & rows.is_countable
        [sample] = rows.parts(np.flatnonzero(learned))
        return train(sample, declaration, settings=parameters(declaration, seed=seed, num_threads=num_threads))

    return fit
