"""From a packed vector to a forecast with quantiles: the same code online and in batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from shelfcast.deployment.bundle import Bundle
from shelfcast.errors import BundleError
from shelfcast.hot_store.vector import Numbers, Vector
from shelfcast.model.features import Columns, Floats
from shelfcast.model.fitted_model import Prediction
from shelfcast.serving.overrides import Override, apply

ANY_DATE = date(2024, 1, 1)


class Reason(StrEnum):
    """Why there is no forecast."""

    UNKNOWN_SERIES = "unknown_series"
    """The hot store has no vector: the series is not active, or there is none of that name."""
    NO_HISTORY = "no_history"
    """The series has not been observed on a single day yet."""
    STALE_FEATURES = "stale_features"
    """What is known of the series is older than the forecaster was told to serve."""
    NOT_FINITE = "not_finite"
    """A number of what is known of it, or of what would be forecast, is beyond all numbers."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Forecasts of n series and h days each.

    Attributes:
        sales_dates: The days, length h.
        is_open: Shape (n, h); whether the store is open, which it is unless it is known to be closed.
        mean: Shape (n, h), not negative, 0 on days that a store is closed.
        quantiles: Shape (n, h, quantiles), never descending along the last axis.
        is_finite: Length n; whether each of a series' numbers is one. What is not finite is no forecast.
    """

    sales_dates: list[date]
    is_open: npt.NDArray[np.bool_]
    mean: Floats
    quantiles: Floats
    is_finite: npt.NDArray[np.bool_]


class Predictor:
    """A release, ready to predict.

    Args:
        bundle: A verified release.
        num_threads: Threads of one prediction, 1 or more.

    Raises:
        BundleError: LightGBM does not take the model.
    """

    def __init__(self, bundle: Bundle, *, num_threads: int = 1) -> None:
        try:
            bundle.model.check()
        except ValueError as error:
            raise BundleError(
                f"LightGBM does not take the models of {bundle.release_id}: {error}. Train again."
            ) from error
        self.bundle = bundle
        self.declaration = bundle.model.declaration
        self._num_threads = num_threads
        self._as_of = len(self.declaration.as_of_features)

    def forecast(self, vectors: Sequence[Vector], *, horizon_days: int, overrides: Sequence[Override] = ()) -> Forecast:
        """Forecasts all series of one business date.

        Args:
            vectors: Of one business date, one or more.
            horizon_days: Days ahead, 1 to the model's own horizon.
            overrides: Assumptions about days ahead, for every one of the series.
        """
        days = np.arange(1, horizon_days + 1)
        today = vectors[0].business_date
        numbers = np.stack([vector.numbers for vector in vectors])
        if overrides:
            apply(self._plan(numbers), overrides)
        columns = self._columns(numbers.astype(float), days, today)
        mean, quantiles = self.bundle.model.predict(columns, num_threads=self._num_threads)
        is_open = columns["is_open"] != 0
        shape = (len(vectors), horizon_days)
        is_finite = np.isfinite(mean) & np.isfinite(quantiles).all(axis=1)
        return Forecast(
            sales_dates=[today + timedelta(days=int(day)) for day in days],
            is_open=is_open.reshape(shape),
            mean=mean.reshape(shape),
            quantiles=quantiles.reshape(*shape, -1),
            is_finite=np.asarray(is_finite.reshape(shape).all(axis=1)),
        )

    def predict(self, numbers: Floats) -> Prediction:
        """Mean and quantiles for rows of as-of features, shapes (n,) and (n, quantiles); a regression's way."""
        columns: Columns = {name: numbers[:, position] for position, name in enumerate(self.declaration.as_of_features)}
        return self.bundle.model.predict(columns, num_threads=self._num_threads)

    def reason_of(self, vector: Vector) -> Reason | None:
        """Why nothing can be forecast from a vector; `None` if something can."""
        if np.isinf(vector.numbers).any():
            return Reason.NOT_FINITE
        return None if self.has_history(vector) else Reason.NO_HISTORY

    def has_history(self, vector: Vector) -> bool:
        """Whether a single number says what the series usually sells."""
        return bool(np.isfinite(vector.numbers[: self._as_of]).any())

    def _plan(self, numbers: Numbers) -> dict[str, Numbers]:
        """The covariates in vectors' numbers by name, each a view of shape (n, own horizon)."""
        names, own = self.declaration.ahead_covariates, self.declaration.horizon
        ahead = numbers[:, self._as_of :].reshape(len(numbers), len(names), own)
        return {name: ahead[:, number] for number, name in enumerate(names)}

    def _columns(self, numbers: Floats, days: npt.NDArray[np.int64], today: date) -> dict[str, npt.NDArray[np.generic]]:
        """Columns of n × h rows, series by series."""
        series, span, own = len(numbers), len(days), self.declaration.horizon
        columns: dict[str, npt.NDArray[np.generic]] = {
            name: np.repeat(numbers[:, position], span) for position, name in enumerate(self.declaration.as_of_features)
        }
        for number, name in enumerate(self.declaration.ahead_covariates):
            start = self._as_of + number * own
            columns[name] = numbers[:, start : start + span].reshape(-1)
        columns["horizon_days"] = np.tile(days, series).astype(float)
        columns["sales_date"] = np.tile(np.datetime64(today, "D") + days.astype("timedelta64[D]"), series)
        return columns


def smoke_test(predictor: Predictor) -> dict[str, Any]:
    """Whether a release predicts values that can be, from vectors without any known number and from plain ones.

    Returns:
        `release_id`, `is_sound`, and `rows`: the number of predictions.
    """
    declaration = predictor.declaration
    fields = np.full((2, len(declaration.vector_fields)), np.nan, dtype=np.float32)
    fields[1] = 1.0
    if declaration.kind == "regression":
        means, bands = predictor.predict(fields.astype(float))
    else:
        vectors = [Vector(business_date=ANY_DATE, numbers=numbers) for numbers in fields]
        made = predictor.forecast(vectors, horizon_days=declaration.horizon)
        means, bands = made.mean, made.quantiles
    is_sound = (
        np.isfinite(means).all() and np.isfinite(bands).all() and (means >= 0).all() and (np.diff(bands) >= 0).all()
    )
    return {"release_id": predictor.bundle.release_id, "is_sound": bool(is_sound), "rows": int(means.size)}
