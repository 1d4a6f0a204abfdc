"""A backtest's rows, which come part by part: what the recipe learns from, and what is forecast by it."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from shelfcast.errors import NothingToDo, TrainingError
from shelfcast.model.baselines import simple_forecasts
from shelfcast.model.declaration import QUANTILE_NAMES, ModelDeclaration
from shelfcast.model.features import ModelRows
from shelfcast.model.fitted_model import FittedModel
from shelfcast.model.matrix import Sample
from shelfcast.model.segments import AS_OF_DEMAND
from shelfcast.training.folds import Fold, forecast_folds
from shelfcast.training.frame import FEWEST_ROWS, Booleans, Positions, columns_of, days_of
from shelfcast.training.progress import Progress
from shelfcast.training.recipe import fits_in_process, train_by_folds

NAMES = ["series_id", "store_id", "item_id"]
KEYS = [*NAMES, "sales_date", "horizon_days", "on_promotion", "store_group", *AS_OF_DEMAND]


@dataclass(frozen=True, kw_only=True)
class RowsInMemory:
    """A training frame as the model takes it (see `recipe.TrainingRows`).

    Attributes:
        sample: Model rows.
        business_date: Origin of each row, `datetime64[D]`.
        moments: Day of each row, `datetime64[D]`.
        is_countable: Whether the day says anything about demand.
    """

    sample: Sample
    business_date: npt.NDArray[np.datetime64]
    moments: npt.NDArray[np.datetime64]
    is_countable: Booleans

    def parts(self, *positions: Positions) -> list[Sample]:
        """The rows at some positions."""
        return [self.sample.part(chosen) for chosen in positions]


def collect(parts: Iterable[pd.DataFrame], declaration: ModelDeclaration) -> RowsInMemory | None:
    """Assembles a training frame part by part; `None` for a frame without rows."""
    rows, others, dates = [], [], []
    for part in parts:
        sample = Sample.of(columns_of(part), declaration)
        rows.append(sample.rows)
        countable = part["is_countable"].to_numpy(dtype=float)
        others.append(np.vstack([sample.target, sample.expected, countable]))
        dates.append(np.stack([days_of(part["business_date"]), days_of(part["sales_date"])]))
    if not rows:
        return None
    (business_date, sales_date), (target, expected, counted) = np.hstack(dates), np.hstack(others)
    sample = Sample(rows=_stacked(rows), target=target, expected=expected)
    return RowsInMemory(sample=sample, business_date=business_date, moments=sales_date, is_countable=counted > 0)


def fit(
    rows: RowsInMemory, declaration: ModelDeclaration, *, seed: int, num_threads: int, progress: Progress
) -> FittedModel:
    """Fits and calibrates by the recipe, as the training job does.

    Raises:
        TrainingError: The history is too short for a single fold.
    """
    how = {"seed": seed, "num_threads": num_threads}
    fit_mean, folds = fits_in_process(rows, **how), _folds(rows, declaration)
    return train_by_folds(rows, declaration, folds, fit_mean, progress=progress, **how).model


def forecast(parts: Iterable[pd.DataFrame], model: FittedModel, *, num_threads: int) -> pd.DataFrame:
    """Forecasts of the model and of each simple method (`simple_<name>`), beside what was sold.

    A store that is known to be closed sells nothing. Reads of each part what was known at the cutoff; `units_sold` and
    `is_countable`, which were not, are handed on as `actual` and `is_countable`. Names come as categories in order.
    """
    found = pd.concat([_forecast(part, model, num_threads) for part in parts], ignore_index=True)
    return found.astype(dict.fromkeys(NAMES, "category"))


def _folds(rows: RowsInMemory, declaration: ModelDeclaration) -> list[Fold]:
    """As many of the declared folds as the history has room for, newest first."""
    horizon = declaration.horizon
    for count in range(declaration.folds, 0, -1):
        try:
            folds = list(forecast_folds(rows.business_date, rows.moments, folds=count, horizon_days=horizon))
        except NothingToDo:
            continue
        if all((fold.train & rows.is_countable).sum() >= FEWEST_ROWS for fold in folds):
            return folds
    raise TrainingError(
        f"There is too little to learn from: no origin {horizon} days before the cutoff has {FEWEST_ROWS} rows behind it, "
        "so no interval could be calibrated. Use a later cutoff, a shorter horizon, or more series."
    )


def _forecast(part: pd.DataFrame, model: FittedModel, num_threads: int) -> pd.DataFrame:
    columns, declaration = columns_of(part), model.declaration
    made = model.predict(columns, num_threads=num_threads)
    is_open = part["is_open"].to_numpy(dtype=float) != 0
    simple = {f"simple_{name}": value * is_open for name, value in simple_forecasts(columns, declaration).items()}
    named = {QUANTILE_NAMES[level]: made.quantiles[:, number] for number, level in enumerate(declaration.quantiles)}
    found = part[KEYS].assign(
        actual=part[declaration.target],
        is_countable=part["is_countable"].astype(bool),
        mean=made.mean,
        **named,
        **simple,
    )
    return found.astype(dict.fromkeys(("mean", *named, *simple), "float32"))


def _stacked(parts: list[ModelRows]) -> ModelRows:
    """The parts in one array; each is given up when it is in, so that the frame is never held twice."""
    whole = np.empty((sum(map(len, parts)), parts[0].shape[1]), dtype=parts[0].dtype)
    end = len(whole)
    while parts:
        part = parts.pop()
        whole[end - len(part) : end] = part
        end -= len(part)
    return whole
