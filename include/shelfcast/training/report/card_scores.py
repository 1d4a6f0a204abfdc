"""Errors of a candidate by segment, each with an interval that respects that the rows of a store rise and fall together.

Stores are drawn with replacement (cluster bootstrap; Cameron, Gelbach and Miller, 2008); where rows have no store, customers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from shelfcast.model.features import Floats
from shelfcast.model.metrics import bias, coverage, rmse, wape
from shelfcast.model.segments import Booleans, segments_of
from shelfcast.training.evaluation import column

DRAWS = 1000
SEED = 20260101
LEVEL = 0.95
CLUSTERS = ("store_id", "customer_id")
THIRDS = ("smallest third", "middle third", "largest third")


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure and where it lies in `LEVEL` of the draws; the bounds are NaN where one store, or none, is drawn."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Score:
    """Errors of one segment.

    Attributes:
        segment: Its name.
        rows: Rows measured.
        wape: Of the candidate.
        bias: Forecast total over actual total, minus 1.
        rmse: In the units of the target.
        coverage_90: Share of actuals between the 5 % and 95 % quantiles.
        simple_wape: Of the strongest simple method.
        simple_rmse: Of the strongest simple method.
    """

    segment: str
    rows: int
    wape: Interval
    bias: Interval
    rmse: Interval
    coverage_90: float
    simple_wape: float
    simple_rmse: float


def cluster_name(rows: pd.DataFrame) -> str | None:
    """The column whose values are drawn; `None` if each row is drawn by itself."""
    return next((name for name in CLUSTERS if name in rows), None)


def shown_segments_of(rows: pd.DataFrame) -> dict[str, Booleans]:
    """The segments that the gate looks at; of rows without a store, thirds by what was forecast."""
    found = segments_of(rows)
    if "store_id" in rows or len(rows) < len(THIRDS):
        return found
    third = (rows["mean"].rank(method="first").to_numpy(dtype=int) - 1) * len(THIRDS) // len(rows)
    return found | {f"rows by forecast, {name}": third == number for number, name in enumerate(THIRDS)}


def scores(rows: pd.DataFrame, segments: Mapping[str, Booleans]) -> list[Score]:
    """Scores of the segments that hold any row.

    Args:
        rows: Fold forecasts with `actual`, `mean`, `strongest_simple` and the quantiles.
        segments: Rows of each.
    """
    shown = {name: member for name, member in segments.items() if member.any()}
    if not shown:
        return []
    low, high = _bounds(rows, list(shown.values()))
    return [
        _score(name, rows[member], low[number], high[number]) for number, (name, member) in enumerate(shown.items())
    ]


def _score(name: str, rows: pd.DataFrame, low: Floats, high: Floats) -> Score:
    actual, mean, simple = (column(rows, part) for part in ("actual", "mean", "strongest_simple"))
    measured = (wape(actual, mean), bias(actual, mean), rmse(actual, mean))
    intervals = [
        Interval(value=value, low=float(low[number]), high=float(high[number])) for number, value in enumerate(measured)
    ]
    return Score(
        segment=name,
        rows=len(rows),
        wape=intervals[0],
        bias=intervals[1],
        rmse=intervals[2],
        coverage_90=coverage(actual, column(rows, "q05"), column(rows, "q95")),
        simple_wape=wape(actual, simple),
        simple_rmse=rmse(actual, simple),
    )


def _bounds(rows: pd.DataFrame, members: list[Booleans]) -> tuple[Floats, Floats]:
    """Lower and upper bounds of WAPE, bias and RMSE, each of shape (segments, 3)."""
    name = cluster_name(rows)
    cluster = np.arange(len(rows)) if name is None else pd.factorize(rows[name])[0]
    count = int(cluster.max()) + 1
    actual, mean = column(rows, "actual"), column(rows, "mean")
    parts = (np.abs(actual - mean), np.abs(actual), mean - actual, (actual - mean) ** 2, np.ones(len(rows)))
    sums = np.column_stack([np.bincount(cluster, part * member, count) for member in members for part in parts])
    rng = np.random.default_rng(SEED)
    drawn = np.stack([np.bincount(rng.integers(0, count, count), minlength=count) @ sums for _ in range(DRAWS)])
    absolute, total, excess, squared, number = np.moveaxis(drawn.reshape(DRAWS, len(members), len(parts)), 2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.stack([absolute / total, excess / total, np.sqrt(squared / number)], axis=2)
    edge = (1 - LEVEL) / 2
    low, high = np.nanquantile(found, [edge, 1 - edge], axis=0)  # a draw may hold none of a segment's stores
    is_one = np.array([len(np.unique(cluster[member])) < 2 for member in members])
    low[is_one] = high[is_one] = np.nan
    return low, high
