"""Segments of forecasts: what the gate holds a candidate for has the same name in its card and in a backtest.

Each segment of n rows is a mask of length n.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from shelfcast.model.features import Floats

DAYS_A_WEEK = 7
STORE_GROUPS = ("small stores", "medium stores", "large stores")
AS_OF_DEMAND = ("zero_share_28", "units_mean_28", "units_std_28")
"""Of the four weeks before an origin: they tell how intermittent a series was then."""

INTERVAL_LIMIT = 1.32
VARIATION_LIMIT = 0.49
"""Limits of Syntetos and Boylan (2005): mean days between sales, squared variation of the units of a selling day."""

Booleans = npt.NDArray[np.bool_]


class Rows(Protocol):
    """Columns of one length by name, such as a data frame of pandas."""

    def __contains__(self, name: str, /) -> bool:
        """Whether there is a column of that name."""
        ...

    def __getitem__(self, name: str, /) -> Any:
        """The column of that name."""
        ...


def segments_of(rows: Rows) -> dict[str, Booleans]:
    """Rows with and without promotion, of each week ahead, size of store and class of demand, as far as they say."""
    found: dict[str, Booleans] = {}
    if "on_promotion" in rows:
        promoted = np.asarray(rows["on_promotion"]).astype(float) > 0
        found |= {"on promotion": promoted, "without promotion": ~promoted}
    if "horizon_days" in rows:
        week = (np.asarray(rows["horizon_days"]).astype(int) - 1) // DAYS_A_WEEK + 1
        found |= {f"week {number} ahead": week == number for number in np.unique(week)}
    if "store_id" in rows:
        found |= _stores_by_size(np.asarray(rows["store_id"]), _floats(rows, "actual"))
    if all(name in rows for name in AS_OF_DEMAND):
        kind = demand_class(*(_floats(rows, name) for name in AS_OF_DEMAND))
        found |= {f"{name} demand": kind == name for name in np.unique(kind)}
    return found


def store_groups_of(rows: Rows) -> dict[str, Booleans]:
    """Rows of each group of stores that the shop itself names; none if the rows do not say."""
    if "store_group" not in rows:
        return {}
    groups = np.array([group if isinstance(group, str) else "unknown" for group in rows["store_group"]])
    return {f"store group {name}": groups == name for name in np.unique(groups)}


def demand_class(zero_share: Floats, mean: Floats, deviation: Floats) -> npt.NDArray[np.str_]:
    """Smooth, erratic, intermittent or lumpy, by the limits of Syntetos and Boylan; `unknown` without a sale.

    With the share p of selling days, mean m and standard deviation s of all days, a selling day sells m / p and the mean
    square of its units is (s² + m²) / p.

    Args:
        zero_share: Share of days without a sale, 0 to 1, length n.
        mean: Units a day, length n.
        deviation: Their standard deviation, length n.
    """
    selling = np.where(zero_share < 1, 1 - zero_share, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        variation = np.maximum(selling * (deviation**2 + mean**2) / mean**2 - 1, 0)
        rare, varied = 1 / selling >= INTERVAL_LIMIT, variation >= VARIATION_LIMIT
    return np.select(
        [np.isnan(selling), rare & varied, rare, varied], ["unknown", "lumpy", "intermittent", "erratic"], "smooth"
    )


def _stores_by_size(store: npt.NDArray[np.generic], actual: Floats) -> dict[str, Booleans]:
    """Thirds of the stores by what they sold; none of fewer stores than that."""
    names, of_row = np.unique(store.astype(str), return_inverse=True)
    if len(names) < len(STORE_GROUPS):
        return {}
    totals = np.bincount(of_row, actual, len(names))
    group = np.searchsorted(np.quantile(totals, [1 / 3, 2 / 3]), totals, side="left")[of_row]
    return {name: group == number for number, name in enumerate(STORE_GROUPS)}


def _floats(rows: Rows, name: str) -> Floats:
    return np.asarray(rows[name]).astype(float)
