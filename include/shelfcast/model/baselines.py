"""Simple methods, from the same features: what a model has to beat."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.features import Columns, Floats, baseline
from shelfcast.model.matrix import Sample
from shelfcast.model.metrics import rmse, wape

SEASONAL_NAIVE = "seasonal_naive_7"
WEEKDAY_MEAN = "weekday_mean_56"
WEEKDAY_PROMOTION_MEAN = "weekday_promotion_mean_364"
RECENT_MEAN = "mean_28"
RANDOM_FOREST = "random_forest"

FOREST = {"n_estimators": 60, "min_samples_leaf": 20, "n_jobs": 1}
"""Leaves of one order, which is scikit-learn's default, learn the noise: their RMSE is 4 % worse on simulated orders."""
FOREST_ROWS = 20_000
"""Rows that each tree draws, at most: a yardstick has to be quick."""


def simple_forecasts(columns: Columns, declaration: ModelDeclaration) -> dict[str, Floats]:
    """Forecasts of each simple method, of length n; days without history fall back to the recent mean, then to 0.

    Of a regression it is what is usual for the entity, or for everybody where nothing is known of it; `learned_forecasts`
    adds the method that has to be fitted.
    """
    if declaration.kind == "regression":
        total, count = (columns[name].astype(float) for name in declaration.usual or ())
        everybody = float(total.sum() / count.sum()) if count.sum() else 0.0
        usual = np.where(count > 0, total / np.maximum(count, 1), everybody)
        return {f"{declaration.entity.removesuffix('_id')}_mean": usual}
    recent = np.nan_to_num(columns["units_mean_28"].astype(float))
    return {
        SEASONAL_NAIVE: _known(_last_same_weekday(columns), recent),
        WEEKDAY_MEAN: _known(_weekday_mean(columns), recent),
        WEEKDAY_PROMOTION_MEAN: baseline(columns, declaration),
        RECENT_MEAN: recent,
    }


def learned_forecasts(train: Sample, test: Sample, declaration: ModelDeclaration, *, seed: int) -> dict[str, Floats]:
    """Forecasts of the simple methods that learn from a fold's rows: of a regression a random forest, of a forecast none.

    Args:
        train: Rows before the fold's origin, at least one.
        test: Rows to forecast, n of them.
        declaration: The model.
        seed: Of the forest; the same seed and rows give the same forecasts.
    """
    if declaration.kind == "forecast" or not len(test.target):
        return {}
    from sklearn.ensemble import RandomForestRegressor

    forest = RandomForestRegressor(**FOREST, max_samples=min(FOREST_ROWS, len(train.target)), random_state=seed)
    return {RANDOM_FOREST: np.asarray(forest.fit(train.rows, train.target).predict(test.rows))}


def strongest(
    actual: Floats, forecasts: dict[str, Floats], *, loss: Literal["absolute", "squared"] = "absolute"
) -> str:
    """The method with the smallest WAPE, or with the smallest RMSE where squared errors are what the model is judged by."""
    measure = wape if loss == "absolute" else rmse
    return min(forecasts, key=lambda name: measure(actual, forecasts[name]))


def _last_same_weekday(columns: Columns) -> Floats:
    """Units on the newest day with the weekday of the day ahead: day h ahead looks back to lag (-h mod 7) + 1."""
    back = (-columns["horizon_days"].astype(np.int64)) % 7
    lags = np.column_stack([columns[f"units_lag_{lag}"].astype(float) for lag in range(1, 8)])
    return np.asarray(lags[np.arange(len(back)), back])


def _weekday_mean(columns: Columns) -> Floats:
    days = columns["sales_date"].astype("datetime64[D]").astype(np.int64)
    means = np.column_stack([columns[f"weekday_mean_{day}"].astype(float) for day in range(1, 8)])
    return np.asarray(means[np.arange(len(days)), (days + 3) % 7])


def _known(value: Floats, instead: npt.NDArray[np.float64]) -> Floats:
    return np.where(np.isnan(value), instead, value)
