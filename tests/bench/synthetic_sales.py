"""Sales of any number of made-up series, as one canonical `sales.parquet`: fast to write, the same for a seed.

Made to measure time and memory with. What a forecast is worth is measured on real sales: these hold no surprise.
"""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

CHUNK = 1_000
"""Series that are made at a time."""
SERIES_A_STORE_AND_ITEM = 20
"""Items for each store, so that stores and items both grow with the root of the series."""
INTERMITTENT_SHARE = 0.3
DISPERSION = 2.0
"""Of the negative binomial: the variance is the mean plus its square over this."""
PROMOTION_WEEKS = 8
"""Weeks from one promotion of a week to the next, on average."""
DISCOUNT, UPLIFT = 0.2, 1.8
WEEK = np.array([0.85, 0.8, 0.85, 0.95, 1.25, 1.45, 0.85])
"""Factors of Monday to Sunday."""


def write_sales(folder: Path, *, series: int, days: int, first_date: date, seed: int = 7) -> Path:
    """Writes `sales.parquet`: one row a series and day, in order of the series.

    Args:
        folder: To write to; made.
        series: How many, 1 or more, over stores and items that each grow with the root of it.
        days: Of each series, 1 or more.
        first_date: The first of them.
        seed: The same seed and size give the same sales.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path, rng = folder / "sales.parquet", np.random.default_rng(seed)
    stores = max(1, int(np.sqrt(series / SERIES_A_STORE_AND_ITEM)))
    with pq.ParquetWriter(path, _chunk(np.arange(1), stores, days, first_date, rng).schema) as writer:
        for numbers in _chunks(series):
            writer.write_table(_chunk(numbers, stores, days, first_date, rng))
    return path


def _chunks(series: int) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, series, CHUNK):
        yield np.arange(start, min(start + CHUNK, series))


def _chunk(
    numbers: npt.NDArray[np.int64], stores: int, days: int, first_date: date, rng: np.random.Generator
) -> pa.Table:
    """Rows of the series with these numbers."""
    count, day = len(numbers), np.arange(days)
    promoted = _promotions(count, days, rng)
    mean = _means(count, days, first_date, rng) * np.where(promoted, UPLIFT, 1.0)
    units = rng.negative_binomial(DISPERSION, DISPERSION / (DISPERSION + mean))
    regular = np.round(rng.uniform(1, 20, (count, 1)), 2)
    dates = np.datetime64(first_date, "D") + day
    return pa.table(
        {
            "store_id": np.repeat(numbers % stores + 1, days),
            "item_id": pa.array(np.char.add("I", (numbers // stores).astype(str)).repeat(days)),
            "sales_date": np.tile(dates, count),
            "units_sold": units.ravel().astype(np.int32),
            "on_promotion": promoted.ravel().astype(np.int8),
            "price": np.round(np.where(promoted, (1 - DISCOUNT) * regular, regular), 2).astype(np.float32).ravel(),
        }
    )


def _promotions(count: int, days: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Whole weeks, drawn for each series."""
    weeks = rng.random((count, days // 7 + 1)) < 1 / PROMOTION_WEEKS
    return np.repeat(weeks, 7, axis=1)[:, :days]


def _means(count: int, days: int, first_date: date, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Level by trend by weekday; a share of the series sells less than once in two days."""
    is_rare = rng.random((count, 1)) < INTERMITTENT_SHARE
    level = np.where(is_rare, rng.uniform(0.03, 0.5, (count, 1)), rng.lognormal(1.0, 0.8, (count, 1)))
    trend = np.exp(rng.normal(0, 0.2, (count, 1)) * np.linspace(-1, 1, days))
    weekdays = np.array([(first_date + timedelta(days=number)).weekday() for number in range(days)])
    return np.asarray(level * trend * WEEK[weekdays])
