"""Simple methods, from the same features: what a model has to beat."""

import numpy as np
import numpy.typing as npt

from shelfcast.training.declaration import ModelDeclaration
from shelfcast.training.metrics import wape
from shelfcast.training.rows import Columns, Floats, baseline

SEASONAL_NAIVE = "seasonal_naive_7"
WEEKDAY_MEAN = "weekday_mean_56"
WEEKDAY_PROMOTION_MEAN = "weekday_promotion_mean_364"
RECENT_MEAN = "mean_28"


def simple_forecasts(columns: Columns, declaration: ModelDeclaration) -> dict[str, Floats]:
    """Forecasts of each simple method, of length n; days without history fall back to the recent mean, then to 0.

    A regression's only simple method is the mean of what the customer spent before, or of everybody for a first order.
    """
    if declaration.kind == "regression":
        spent, count = columns["total_spent"].astype(float), columns["purchase_count"].astype(float)
        everybody = float(spent.sum() / count.sum()) if count.sum() else 0.0
        return {"customer_mean": np.where(count > 0, spent / np.maximum(count, 1), everybody)}
    recent = np.nan_to_num(columns["units_mean_28"].astype(float))
    return {
        SEASONAL_NAIVE: _known(_last_same_weekday(columns), recent),
        WEEKDAY_MEAN: _known(_weekday_mean(columns), recent),
        WEEKDAY_PROMOTION_MEAN: baseline(columns, declaration),
        RECENT_MEAN: recent,
    }


def strongest(actual: Floats, forecasts: dict[str, Floats]) -> str:
    """The method with the smallest WAPE."""
    return min(forecasts, key=lambda name: wape(actual, forecasts[name]))


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
