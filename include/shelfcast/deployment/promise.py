"""What error a release promised: that of its fold forecasts, kept by day ahead, for the first day errs less than the last.

Sums are kept, not ratios, so that the promise for any days ahead is the error over all their rows, as a realised one is.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shelfcast.errors import BundleError
from shelfcast.model.candidate import FOLD_FORECASTS

if TYPE_CHECKING:
    import pandas as pd

BY_DAY_AHEAD = "by_horizon_day"
"""Name in a release's metrics: day ahead to the sums below."""

SUMS = ("actual", "forecast", "absolute_error")
ROWS_AT_ONCE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """The errors that a release showed on its folds.

    Attributes:
        wape: As a share of the units sold, 0 or more.
        bias: Forecast total over actual total, minus 1.
    """

    wape: float
    bias: float


def sums_by_day_ahead(candidate: Path) -> dict[str, dict[str, float]]:
    """Sums over a candidate's fold forecasts by day ahead; none of a candidate without days ahead.

    Args:
        candidate: Folder of the candidate's files.

    Raises:
        BundleError: The fold forecasts are there and cannot be read.
    """
    from pyarrow import ArrowException

    path = candidate / FOLD_FORECASTS
    if not path.is_file():
        return {}
    try:
        return _sums_of(path)
    except (ArrowException, OSError) as error:
        raise BundleError(
            f"{path.name} of {candidate.name} cannot be read ({error}): without it nobody knows what error the release "
            "promises. Register the candidate again."
        ) from error


def _sums_of(path: Path) -> dict[str, dict[str, float]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        if "horizon_days" not in file.schema_arrow.names:
            return {}
        columns = ["horizon_days", "actual", "mean"]
        total: pd.DataFrame | None = None
        for batch in file.iter_batches(ROWS_AT_ONCE, columns=columns):
            sums = _sums(batch.to_pandas())
            total = sums if total is None else total.add(sums, fill_value=0.0)
    found = {} if total is None else total.sort_index().to_dict("index")
    return {str(day): {name: float(row[name]) for name in SUMS} for day, row in found.items()}


def promised(metrics: Mapping[str, Any], *, first_day: int, last_day: int) -> Expectation | None:
    """The promise for some days ahead; `None` if the folds did not measure all of them, or nothing was sold.

    Args:
        metrics: Of the release.
        first_day: First day ahead, 1 or more.
        last_day: Last day ahead.
    """
    known = metrics.get(BY_DAY_AHEAD, {})
    days = [known.get(str(day)) for day in range(first_day, last_day + 1)]
    if None in days:
        return None
    actual, forecast, error = (sum(day[name] for day in days) for name in SUMS)
    return Expectation(wape=error / actual, bias=forecast / actual - 1) if actual > 0 else None


def _sums(rows: "pd.DataFrame") -> "pd.DataFrame":
    error = (rows["mean"] - rows["actual"]).abs()
    known = rows.assign(forecast=rows["mean"], absolute_error=error)
    return known.groupby("horizon_days")[list(SUMS)].sum()
