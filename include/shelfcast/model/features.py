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

from shelfcast.model.declaration import ModelDeclaration

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, npt.NDArray[np.generic]]

SMALLEST_BASELINE = 0.05
"""Units a day; a series that never sold still needs something to multiply."""

LARGEST_NUMBER = float(np.finfo(np.float32).max)

RECENT = ("units_mean_28", "units_mean_56", "units_mean_182", "units_mean_364")
"""Means that stand in for that of a weekday that was never observed."""

LEVELS = (
    *RECENT,
    "units_std_28",
    "units_next_28_last_year",
    "store_units_mean_28",
    "item_units_mean_28",
)
"""Columns in units, told as logarithms of their ratio to the baseline."""

PLAIN = (
    "horizon_days",
    "on_promotion",
    "discount",
    "promotion_day",
    "promotion_days_left",
    "days_since_promotion",
    "days_until_promotion",
    "is_open_day_before",
    "is_open_day_after",
    "days_since_closure",
    "days_until_closure",
    "closed_days_before_14",
    "closed_days_after_14",
    "is_public_holiday",
    "days_since_holiday",
    "days_until_holiday",
    "is_school_holiday",
    "temperature_celsius",
    "precipitation_mm",
    "level_7",
    "level_14",
    "level_28",
    "level_56",
    "regular_level_14",
    "regular_level_56",
    "zero_share_28",
    "stockout_share_28",
    "promotion_uplift_364",
)
CAPPED = {"days_since_first_sale": 182.0, "days_since_last_sale": 56.0}
"""Days after which a series is as old, or as quiet, as any; uncapped they would only tell the date."""

SELECTED = ("weekday_mean", "weekday_regular_mean", "weekday_promotion_mean")
CALENDAR = ("weekday", "day_of_month", "workdays_left_in_month", "day_of_year", "days_from_easter")
EASTER_DAYS = 61
"""Days around Easter that carnival (48 before) and Corpus Christi (60 after) lie within; farther off is as far as any."""
FORECAST_FEATURES = (
    "log_baseline",
    "price_ratio",
    *CALENDAR,
    *PLAIN,
    *CAPPED,
    *(f"{name}_ratio" for name in (*LEVELS, *SELECTED)),
)
ALWAYS_KNOWN = frozenset({"log_baseline", "horizon_days", *CALENDAR})
"""Model features that no row lacks: they come from the day that is asked for, and the baseline falls back on something."""

REGRESSION_FEATURES = ("total_spent", "purchase_count", "mean_spent")


def model_features(declaration: ModelDeclaration) -> tuple[str, ...]:
    """Names of the columns that `assemble` answers."""
    return FORECAST_FEATURES if declaration.kind == "forecast" else REGRESSION_FEATURES


def assemble(columns: Columns, declaration: ModelDeclaration) -> Floats:
    """The model's rows.

    Args:
        columns: As-of features and, for a forecast, ahead covariates, `horizon_days` and `sales_date`
            (`datetime64[D]`), each of length n. Missing numbers are NaN.
        declaration: The model.

    Returns:
        Matrix of shape (n, number of `model_features`).
    """
    return _forecast_rows(columns) if declaration.kind == "forecast" else _regression_rows(columns)


def baseline(columns: Columns, declaration: ModelDeclaration) -> Floats:
    """What the model's output is multiplied with: expected units of length n, above 0; 1 for a regression."""
    return _expected_units(columns) if declaration.kind == "forecast" else np.ones(len(columns["total_spent"]))


def _expected_units(columns: Columns) -> Floats:
    """Mean of the weekday with or without promotion, and what is known instead where there was none."""
    on_promotion = _floats(columns["on_promotion"]) > 0
    regular, promoted = _of_weekday(columns, "weekday_regular_mean"), _of_weekday(columns, "weekday_promotion_mean")
    uplift = _first_known(_floats(columns["promotion_uplift_364"]), np.ones(len(on_promotion)))
    usual = _first_known(regular, _of_weekday(columns, "weekday_mean"), *(_floats(columns[name]) for name in RECENT))
    expected = np.where(on_promotion, _first_known(promoted, usual * uplift), usual)
    return np.asarray(np.maximum(_first_known(expected, np.zeros(len(expected))), SMALLEST_BASELINE))


def _forecast_rows(columns: Columns) -> Floats:
    expected = _expected_units(columns)
    dates = columns["sales_date"].astype("datetime64[D]")
    month = dates.astype("datetime64[M]")
    selected = {name: _of_weekday(columns, name) for name in SELECTED}
    values = {
        "log_baseline": np.log(expected),
        "price_ratio": _ratio(_floats(columns["price"]), _floats(columns["price_mean_56"])),
        "weekday": _weekday(columns).astype(float),
        "day_of_month": (dates - month).astype(float) + 1,
        # wages come at the end of a month, on its last day of work: shops see the days before and after
        "workdays_left_in_month": np.busday_count(dates, (month + 1).astype("datetime64[D]")).astype(float),
        "day_of_year": (dates - dates.astype("datetime64[Y]")).astype(float) + 1,
        "days_from_easter": _days_from_easter(dates),
        **{name: _floats(columns[name]) for name in PLAIN},
        **{name: np.minimum(_floats(columns[name]), days) for name, days in CAPPED.items()},
        **{f"{name}_ratio": _log_ratio(_floats(columns[name]), expected) for name in LEVELS},
        **{f"{name}_ratio": _log_ratio(value, expected) for name, value in selected.items()},
    }
    # column by column in memory, as the columns come and as bins are cut
    return _known(np.stack([values[name] for name in FORECAST_FEATURES])).T


def _regression_rows(columns: Columns) -> Floats:
    spent, count = _floats(columns["total_spent"]), _floats(columns["purchase_count"])
    return _known(np.column_stack([spent, count, _ratio(spent, count)]))


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
    return np.asarray(np.choose(_weekday(columns) - 1, [_floats(columns[f"{name}_{day}"]) for day in range(1, 8)]))


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


def _known(rows: Floats) -> Floats:
    """The rows, NaN where a number is not finite in single precision, as the hot store holds it."""
    return np.where(np.abs(rows) <= LARGEST_NUMBER, rows, np.nan)


def _floats(values: npt.NDArray[np.generic]) -> Floats:
    return values.astype(np.float64, copy=False)
