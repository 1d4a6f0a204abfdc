"""Stores that left their forecast alone and only just now: rows are missing or counted twice, unless somebody says otherwise.

A shift that meets all stores is what a refresh is for. One store that sells a third less, or ten times as much, from one
week to the next while the others go on is a broken feed more often than a change of demand, and a model learns either. A
real change lasts: after `LASTING_WEEKS` it is no longer asked about.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from shelfcast.model.declaration import GateRules
from shelfcast.model.metrics import Floats
from shelfcast.model.segments import DAYS_A_WEEK
from shelfcast.registry.panel_test import days_of_rows
from shelfcast.training.evaluation import column

LASTING_WEEKS = 3
"""Weeks in a row that make a change one of demand."""

FEWEST_STORES = 3
"""Of fewer stores none can be told from the others, and each is held against its own past alone."""

SPREADS = 6.0
"""How many usual deviations of a store's week from the other stores' are beyond chance."""

SMALLEST_SPREAD = 0.02
FEWEST_UNITS = 20.0
"""A week that was forecast to sell less says nothing of a store."""

OF_NORMAL = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


@dataclass(frozen=True, kw_only=True)
class StoreBreak:
    """A store that left its forecast alone in the newest week.

    Attributes:
        store_id: The store.
        ratio: What it sold over what was forecast, both beside the other stores'.
        weeks: Weeks in a row, below `LASTING_WEEKS`.
        last_day: Of the newest week, ISO text.
    """

    store_id: str
    ratio: float
    weeks: int
    last_day: str

    def text(self) -> str:
        """What was found, for the decision's reasons."""
        return f"{self.store_id} (× {self.ratio:.2f} in the {self.weeks} weeks to {self.last_day})"


def store_breaks(rows: pd.DataFrame, rules: GateRules) -> list[StoreBreak]:
    """The stores that broke, the furthest first; none where rows have no store.

    Args:
        rows: Fold forecasts, the newest fold numbered 0, with `actual` and `mean`.
        rules: `break_limit` of the model.
    """
    if "store_id" not in rows or rows.empty:
        return []
    weeks = _store_weeks(rows)
    spread = np.maximum(_spread(weeks["apart"]), weeks.groupby("store_id")["apart"].transform(_spread))
    limit = np.maximum(SPREADS * spread, -np.log(1 - rules.break_limit))
    weeks["side"] = np.sign(weeks["apart"]).where(weeks["apart"].abs() > limit, 0.0)
    newest = weeks[weeks["fold"] == 0].sort_values("week")
    last_day = str(days_of_rows(rows).max().astype("datetime64[D]"))
    found = [
        StoreBreak(store_id=str(store), ratio=float(np.exp(own["apart"].iloc[0])), weeks=run, last_day=last_day)
        for store, own in newest.groupby("store_id")
        if 0 < (run := _run(own["week"].to_numpy(), own["side"].to_numpy())) < LASTING_WEEKS
    ]
    return sorted(found, key=lambda one: -abs(np.log(one.ratio)))


def _store_weeks(rows: pd.DataFrame) -> pd.DataFrame:
    """`apart` of each store, fold and week back from the fold's last day: log(sold / forecast) beside the other stores'."""
    day = days_of_rows(rows)
    keyed = pd.DataFrame(
        {
            "store_id": rows["store_id"].astype(str),
            "fold": rows["fold"],
            "day": day,
            "sold": column(rows, "actual"),
            "forecast": column(rows, "mean"),
        }
    )
    keyed["week"] = (keyed.groupby("fold")["day"].transform("max") - keyed["day"]) // DAYS_A_WEEK
    sums = keyed.groupby(["store_id", "fold", "week"], as_index=False)[["sold", "forecast"]].sum()
    sums = sums[sums["forecast"] >= FEWEST_UNITS]
    sums["ratio"] = np.log((sums["sold"] + 1) / (sums["forecast"] + 1))
    together = sums.groupby(["fold", "week"])["ratio"]
    usual = together.transform("median").where(together.transform("size") >= FEWEST_STORES, 0.0)
    return sums.assign(apart=sums["ratio"] - usual)


def _spread(apart: "pd.Series[float]") -> float:
    """A robust standard deviation."""
    return max(SMALLEST_SPREAD, OF_NORMAL * float((apart - apart.median()).abs().median()))


def _run(week: npt.NDArray[np.int64], side: Floats) -> int:
    """Weeks in a row, from the newest, number 0, that lie beyond the limit on one side, -1 or 1; `week` ascends."""
    run = 0
    while run < len(side) and week[run] == run and side[run] == side[0] != 0:
        run += 1
    return run
