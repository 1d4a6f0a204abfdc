"""What the training job does at one cutoff, on rows that come part by part: folds, calibration, model, forecasts."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from shelfcast.errors import NothingToDo, TrainingError
from shelfcast.training.backtest_steps import Say
from shelfcast.training.baselines import simple_forecasts
from shelfcast.training.calibration import Calibration, calibrate
from shelfcast.training.declaration import ModelDeclaration
from shelfcast.training.evaluation import QUANTILE_NAMES
from shelfcast.training.fit import parameters, predict, train
from shelfcast.training.folds import Fold, forecast_folds
from shelfcast.training.frame import FEWEST_ROWS, columns_of, days_of
from shelfcast.training.rows import Floats
from shelfcast.training.sample import Sample
from shelfcast.training.spread import drawn, fit_spread, predict_spread

NAMES = ["series_id", "store_id", "item_id"]
KEYS = [*NAMES, "sales_date", "horizon_days", "on_promotion", "store_group"]


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """A training frame as the model takes it.

    Attributes:
        sample: Model rows in float32, as the hot store serves them.
        business_date: Origin of each row, `datetime64[D]`.
        sales_date: Day of each row, `datetime64[D]`.
        is_countable: Whether the day says anything about demand.
    """

    sample: Sample
    business_date: npt.NDArray[np.datetime64]
    sales_date: npt.NDArray[np.datetime64]
    is_countable: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model with its spread and calibration, all from what was known at one cutoff."""

    text: str
    spread_text: str
    calibration: Calibration


def collect(parts: Iterable[pd.DataFrame], declaration: ModelDeclaration) -> TrainingRows | None:
    """Assembles a training frame part by part; `None` for a frame without rows."""
    rows, others, dates = [], [], []
    for part in parts:
        sample = Sample.of(columns_of(part), declaration)
        rows.append(_narrow(sample.rows))
        countable = part["is_countable"].to_numpy(dtype=float)
        others.append(np.vstack([sample.target, sample.expected, countable]))
        dates.append(np.stack([days_of(part["business_date"]), days_of(part["sales_date"])]))
    if not rows:
        return None
    (business_date, sales_date), (target, expected, counted) = np.hstack(dates), np.hstack(others)
    sample = Sample(rows=_stacked(rows), target=target, expected=expected)
    return TrainingRows(
        sample=sample,
        business_date=business_date,
        sales_date=sales_date,
        is_countable=counted > 0,
    )


def fit(rows: TrainingRows, declaration: ModelDeclaration, *, seed: int, num_threads: int, say: Say) -> Fitted:
    """Calibrates on rolling origins before the cutoff and fits the model on all rows, as the training job does.

    Raises:
        TrainingError: The history is too short for a single fold.
    """
    settings = parameters(declaration, seed=seed, num_threads=num_threads)
    folds = _folds(rows, declaration)
    tests = [rows.sample.part(fold.test & rows.is_countable) for fold in folds]
    means = []
    for number, (fold, test) in enumerate(zip(folds, tests, strict=True), start=1):
        say("folds", part=number, parts=len(folds))
        text = train(rows.sample.part(fold.train & rows.is_countable), declaration, settings=settings)
        means.append(predict(text, test.rows, test.expected, declaration, num_threads))
    oldest = folds[-1].train & rows.is_countable  # no fold is measured on what the oldest one knew
    known = drawn(oldest, seed=seed)
    spread_text = fit_spread(rows.sample.part(known), rows.sales_date[known], declaration, settings=settings)
    calibration = calibrate(
        np.concatenate([test.target for test in tests]),
        np.concatenate(means),
        np.concatenate([predict_spread(spread_text, test.rows, num_threads) for test in tests]),
        declaration.quantiles,
    )
    say("model")
    text = train(rows.sample.part(rows.is_countable), declaration, settings=settings)
    return Fitted(text=text, spread_text=spread_text, calibration=calibration)


def forecast(
    parts: Iterable[pd.DataFrame], fitted: Fitted, declaration: ModelDeclaration, *, num_threads: int
) -> pd.DataFrame:
    """Forecasts of the model and of each simple method (`simple_<name>`), beside what was sold.

    A store that is known to be closed sells nothing. Reads of each part what was known at the cutoff; `units_sold` and
    `is_countable`, which were not, are handed on as `actual` and `is_countable`. Names come as categories in order.
    """
    found = pd.concat([_forecast(part, fitted, declaration, num_threads) for part in parts], ignore_index=True)
    return found.astype(dict.fromkeys(NAMES, "category"))


def _folds(rows: TrainingRows, declaration: ModelDeclaration) -> list[Fold]:
    """As many of the declared folds as the history has room for, newest first."""
    horizon = declaration.horizon
    for count in range(declaration.folds, 0, -1):
        try:
            folds = list(forecast_folds(rows.business_date, rows.sales_date, folds=count, horizon_days=horizon))
        except NothingToDo:
            continue
        if all((fold.train & rows.is_countable).sum() >= FEWEST_ROWS for fold in folds):
            return folds
    raise TrainingError(
        f"There is too little to learn from: no origin {horizon} days before the cutoff has {FEWEST_ROWS} rows behind it, "
        "so no interval could be calibrated. Use a later cutoff, a shorter horizon, or more series."
    )


def _forecast(part: pd.DataFrame, fitted: Fitted, declaration: ModelDeclaration, num_threads: int) -> pd.DataFrame:
    columns = columns_of(part)
    sample = Sample.of(columns, declaration)
    is_open = part["is_open"].to_numpy(dtype=float) > 0
    rows = _narrow(sample.rows)
    mean = predict(fitted.text, rows, sample.expected, declaration, num_threads) * is_open
    quantiles = fitted.calibration.apply(mean, predict_spread(fitted.spread_text, rows, num_threads))
    simple = {f"simple_{name}": value * is_open for name, value in simple_forecasts(columns, declaration).items()}
    named = {QUANTILE_NAMES[level]: quantiles[:, number] for number, level in enumerate(declaration.quantiles)}
    found = part[KEYS].assign(
        actual=part[declaration.target], is_countable=part["is_countable"].astype(bool), mean=mean, **named, **simple
    )
    return found.astype(dict.fromkeys(("mean", *named, *simple), "float32"))


def _stacked(parts: list[Floats]) -> Floats:
    """The parts in one array; each is given up when it is in, so that the frame is never held twice."""
    whole = np.empty((sum(map(len, parts)), parts[0].shape[1]), dtype=parts[0].dtype)
    end = len(whole)
    while parts:
        part = parts.pop()
        whole[end - len(part) : end] = part
        end -= len(part)
    return whole


def _narrow(rows: Floats) -> Floats:
    return rows.astype(np.float32)
