"""From features to model rows. Training, backtest and serving all come through here: there is no second way.

Columns come as a mapping from name to an array of one length. What they hold is scale-free where it can be: a model
is fitted across series of very different size, so levels are told as ratios to the *baseline*, the mean of the series
on that weekday with or without promotion. The model predicts what the baseline is to be multiplied with.

What is not finite is not known, and what cannot be divided is neither.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from dateutil.easter import easter

from shelfcast.model.declaration import CALENDAR, LOG_BASELINE, Feature, ModelDeclaration, seven

Floats = npt.NDArray[np.float64]
ModelRows = npt.NDArray[np.float32]
Columns = Mapping[str, npt.NDArray[np.generic]]

SMALLEST_BASELINE = 0.05
"""Units a day; a series that never sold still needs something to multiply."""

LARGEST_NUMBER = float(np.finfo(np.float32).max)

RECENT = ("units_mean_28", "units_mean_56", "units_mean_182", "units_mean_364")
"""Means that stand in for that of a weekday that was never observed."""

OF_WEEKDAY = ("weekday_mean", "weekday_regular_mean", "weekday_promotion_mean")
BASELINE = (
    *(column for name in OF_WEEKDAY for column in seven(name)),
    *RECENT,
    "promotion_uplift_364",
    "on_promotion",
    "sales_date",
)
"""Columns behind what a series is expected to sell on a day (see `baseline`)."""

EASTER_DAYS = 61
"""Days around Easter that carnival (48 before) and Corpus Christi (60 after) lie within; farther off is as far as any."""


def assemble(columns: Columns, declaration: ModelDeclaration) -> ModelRows:
    """The model's rows.

    Args:
        columns: As-of features and, for a forecast, ahead covariates, `horizon_days` and `sales_date`
            (`datetime64[D]`), each of length n. Missing numbers are NaN.
        declaration: The model.

    Returns:
        Matrix of shape (n, features), column by column in memory, as the columns come and as bins are cut. In single
        precision, as the hot store has its numbers: sums that were made in another order are the same rows (ADR 14).
    """
    return assemble_with_baseline(columns, declaration)[0]


def assemble_with_baseline(columns: Columns, declaration: ModelDeclaration) -> tuple[ModelRows, Floats]:
    """The model's rows (see `assemble`) and their `baseline`, which is part of them."""
    expected = baseline(columns, declaration)
    return _known(np.stack([_value(feature, columns, expected) for feature in declaration.features])).T, expected


def baseline(columns: Columns, declaration: ModelDeclaration) -> Floats:
    """What the model's output is multiplied with: expected units of length n, above 0; 1 for a regression."""
    if declaration.kind == "forecast":
        return _expected_units(columns)
    return np.ones(len(columns[declaration.as_of_features[0]]))


def _expected_units(columns: Columns) -> Floats:
    """Mean of the weekday with or without promotion, and what is known instead where there was none."""
    on_promotion = _floats(columns["on_promotion"]) > 0
    regular, promoted = _of_weekday(columns, "weekday_regular_mean"), _of_weekday(columns, "weekday_promotion_mean")
    uplift = _first_known(_floats(columns["promotion_uplift_364"]), np.ones(len(on_promotion)))
    usual = _first_known(regular, _of_weekday(columns, "weekday_mean"), *(_floats(columns[name]) for name in RECENT))
    expected = np.where(on_promotion, _first_known(promoted, usual * uplift), usual)
    return np.asarray(np.maximum(_first_known(expected, np.zeros(len(expected))), SMALLEST_BASELINE))


def _value(feature: Feature, columns: Columns, expected: Floats) -> Floats:
    """A feature of each row, before what is not finite is taken out."""
    if feature.ratio:
        return _ratio(*(_floats(columns[name]) for name in feature.ratio))
    if feature.at_most:
        return np.minimum(_floats(columns[feature.name]), feature.at_most)
    if feature.to_baseline:
        return _log_ratio(_floats(columns[feature.to_baseline]), expected)
    if feature.of_weekday:
        return _log_ratio(_of_weekday(columns, feature.of_weekday), expected)
    if feature.name == LOG_BASELINE:
        return np.asarray(np.log(expected))
    return _of_day(feature.name, columns) if feature.name in CALENDAR else _floats(columns[feature.name])


def _of_day(name: str, columns: Columns) -> Floats:
    """A feature of the calendar, of the day that each row is about."""
    dates = columns["sales_date"].astype("datetime64[D]")
    month = dates.astype("datetime64[M]")
    if name == "weekday":
        return _weekday(columns).astype(float)
    if name == "day_of_month":
        return np.asarray((dates - month).astype(float) + 1)
    if name == "workdays_left_in_month":
        # wages come at the end of a month, on its last day of work: shops see the days before and after
        return np.busday_count(dates, (month + 1).astype("datetime64[D]")).astype(float)
    if name == "day_of_year":
        return np.asarray((dates - dates.astype("datetime64[Y]")).astype(float) + 1)
    return _days_from_easter(dates)


def _weekday(columns: Columns) -> npt.NDArray[np.int64]:
    """ISO weekday of the day ahead, 1 (Monday) to 7; 1970-01-01 was a Thursday."""
    days = columns["sales_date"].astype("datetime64[D]").astype(np.int64)
    return (days + 3) % 7 + 1


def _days_from_easter(dates: npt.NDArray[np.datetime64]) -> Floats:
    """Days since the year's Easter Sunday of the Western churches, negative before it, at most `EASTER_DAYS` either way."""
    years, place = np.unique(dates.astype("datetime64[Y]"), return_inverse=True)
    sundays = np.asarray([easter(int(year) + 1970) for year in years.astype(np.int64)], dtype="datetime64[D]")
    return np.asarray(np.clip((dates - sundays[place]).astype(float), -EASTER_DAYS, EASTER_DAYS))


def _of_weekday(columns: Columns, name: str) -> Floats:
    """Of seven columns, one a weekday, that of the day ahead."""
    return np.asarray(np.choose(_weekday(columns) - 1, [_floats(columns[column]) for column in seven(name)]))


def _log_ratio(value: Floats, expected: Floats) -> Floats:
    return np.asarray(np.log((value + SMALLEST_BASELINE) / (expected + SMALLEST_BASELINE)))


def _first_known(*candidates: Floats) -> Floats:
    """Element by element the first that is known."""
    found = candidates[0]
    for candidate in candidates[1:]:
        found = np.where(np.isfinite(found), found, candidate)
    return found


def _ratio(value: Floats, of: Floats) -> Floats:
    return np.divide(value, of, out=np.full_like(of, np.nan), where=of > 0)


def _known(rows: Floats) -> ModelRows:
    """The rows in single precision, NaN where a number is not finite in it."""
    return np.where(np.abs(rows) <= LARGEST_NUMBER, rows, np.nan).astype(np.float32)


def _floats(values: npt.NDArray[np.generic]) -> Floats:
    return values.astype(np.float64, copy=False)
