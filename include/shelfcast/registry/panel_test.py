"""Paired tests of two forecasts of one panel: many stores, many days.

The rows of a store rise and fall together, and so do all stores on one day: a row is not an observation. So the gain is
tested in two ways that a candidate must both pass, and the textbook's t stands beside them for comparison only.

* Cluster bootstrap, both ways at once (the pigeonhole bootstrap: McCullagh, 2000; Owen, 2007): stores are drawn with
  replacement and, independently, whole origins. Drawing one way only would take the other's shocks for knowledge.
* Diebold and Mariano (1995) on the days' totals, with the variance of Newey and West (1987) and the correction for small
  samples of Harvey, Leybourne and Newbold (1997).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from shelfcast.model.metrics import Floats
from shelfcast.model.segments import DAYS_A_WEEK
from shelfcast.training.frame import days_of

DRAWS = 1000
SEED = 20260101
FEWEST_CLUSTERS = 6
"""Of fewer stores the series are drawn instead: what those few stores share is then in the days alone."""

FEWEST_BLOCKS = 4
"""Of fewer stretches of days no test says anything; what was found is judged as it is."""

MOST_CLUSTERS = 2000
"""More are joined to that many: what is independent stays so, and the draws stay small."""


Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Losses of two forecasts on the same rows; all arrays are of one length.

    Attributes:
        own: Losses of the candidate, not negative.
        other: Losses of its reference.
        clusters: A number a store, a series, a customer: by column, the widest first.
        block: A number for each stretch of days that is drawn whole.
        day: Day of the row, or its fold where no day is known.
        horizon_days: Days ahead of the farthest row; 0 where none looks ahead.
    """

    own: Floats
    other: Floats
    clusters: Mapping[str, Integers]
    block: Integers
    day: Integers
    horizon_days: int

    @classmethod
    def of(cls, rows: pd.DataFrame, *, own: Floats, other: Floats) -> "Panel":
        """The panel of fold forecasts (see `shelfcast.training.evaluation.fold_rows`) and their losses."""
        names = [name for name in ("store_id", "series_id", "customer_id") if name in rows]
        day = days_of_rows(rows)
        return cls(
            own=own,
            other=other,
            clusters={name: _numbered(rows[name]) for name in names},
            block=_blocks(rows, day),
            day=day,
            horizon_days=int(rows["horizon_days"].max()) if "horizon_days" in rows else 0,
        )

    def part(self, chosen: npt.NDArray[np.bool_]) -> "Panel":
        """The chosen rows."""
        return Panel(
            own=self.own[chosen],
            other=self.other[chosen],
            clusters={name: numbers[chosen] for name, numbers in self.clusters.items()},
            block=self.block[chosen],
            day=self.day[chosen],
            horizon_days=self.horizon_days,
        )

    @property
    def gain(self) -> float:
        """1 - candidate's loss / reference's loss; above 0 is better, NaN where the reference never errs."""
        total = float(self.other.sum())
        return 1 - float(self.own.sum()) / total if total else float("nan")


@dataclass(frozen=True, kw_only=True)
class GainDraws:
    """The gain, and what it was in each draw.

    Attributes:
        gain: Of the panel as it is.
        draws: Of each draw; NaN where the drawn reference never errs.
        cluster: Column whose values were drawn.
        clusters: How many of them there are.
        blocks: How many stretches of days there are.
    """

    gain: float
    draws: Floats
    cluster: str
    clusters: int
    blocks: int

    def bound(self, share: float) -> float | None:
        """The gain that a share of the draws lies below; `None` where there is but one cluster or one block.

        A few groups spread less in their own draws than such groups do in truth, and with heavier tails. So the
        distance to the gain is stretched by √(G / (G - 1)) and from the normal's to Student's quantile with G - 1
        degrees of freedom, G the smaller number of groups (Cameron and Miller, 2015, section VI).
        """
        groups = min(self.clusters, self.blocks)
        if groups < 2 or np.isnan(self.draws).all():
            return None
        stretch = stats.t.ppf(share, groups - 1) / stats.norm.ppf(share) * np.sqrt(groups / (groups - 1))
        return float(self.gain + stretch * (np.nanquantile(self.draws, share) - self.gain))

    def between(self, alpha: float) -> tuple[float, float] | None:
        """The least and the most that the gain may be, each at an error rate; `None` where no test says anything."""
        least, most = self.bound(alpha), self.bound(1 - alpha)
        return None if least is None or most is None or self.blocks < FEWEST_BLOCKS else (least, most)


def draw_gains(panel: Panel) -> GainDraws:
    """Draws clusters and blocks with replacement; the same panel gives the same draws."""
    name, cluster = _widest(panel.clusters)
    own, other = (_cells(loss, cluster, panel.block) for loss in (panel.own, panel.other))
    weights = [_weights(size, way) for way, size in enumerate(own.shape)]
    own_sums, other_sums = (((weights[0] @ cells) * weights[1]).sum(axis=1) for cells in (own, other))
    with np.errstate(invalid="ignore", divide="ignore"):
        draws = np.where(other_sums > 0, 1 - own_sums / other_sums, np.nan)
    return GainDraws(gain=panel.gain, draws=draws, cluster=name, clusters=own.shape[0], blocks=own.shape[1])


@dataclass(frozen=True, kw_only=True)
class TestOfMeans:
    """A one-sided test that a mean lies above 0; both numbers are `None` where the sample cannot tell.

    Attributes:
        statistic: Student's t.
        p_value: Chance of a statistic at least as large if the mean is 0.
        observations: Length of the sample.
        lag: Observations up to which serial correlation is allowed for.
    """

    __test__ = False  # no test of pytest's

    statistic: float | None
    p_value: float | None
    observations: int
    lag: int = 0


def diebold_mariano(panel: Panel, *, minimum_effect: float) -> TestOfMeans:
    """Tests the days' totals for a gain above `minimum_effect`, a share of the reference's loss.

    Errors h days ahead are correlated over up to h - 1 days, which is the lag; rows that look nowhere ahead take the
    lag ⌊4 (T / 100)^(2/9)⌋ of Newey and West (1994).
    """
    differences = _by_day((1 - minimum_effect) * panel.other - panel.own, panel.day)
    days = len(differences)
    lag = panel.horizon_days - 1 if panel.horizon_days else int(4 * (days / 100) ** (2 / 9))
    ahead = lag + 1
    correction = (days + 1 - 2 * ahead + ahead * (ahead - 1) / days) / days
    variance = long_run_variance(differences, lag=lag) / days if lag < days else 0.0
    if variance <= 0 or correction <= 0:
        return TestOfMeans(statistic=None, p_value=None, observations=days, lag=lag)
    statistic = float(differences.mean() * np.sqrt(correction / variance))
    return TestOfMeans(statistic=statistic, p_value=float(stats.t.sf(statistic, days - 1)), observations=days, lag=lag)


def long_run_variance(values: Floats, *, lag: int) -> float:
    """Newey and West's variance of values in the order of time: Bartlett's weights up to `lag`, below their length."""
    centred = values - values.mean()
    autocovariance = [float(centred[step:] @ centred[: len(centred) - step]) / len(centred) for step in range(lag + 1)]
    weights = 1 - np.arange(1, lag + 1) / (lag + 1)
    return autocovariance[0] + 2 * float(weights @ np.asarray(autocovariance[1:]))


def textbook_t(panel: Panel) -> TestOfMeans:
    """The paired t-test that takes every row for an observation of its own; it finds gains where there are none."""
    differences = panel.other - panel.own
    rows = len(differences)
    error = float(differences.std(ddof=1)) / np.sqrt(rows) if rows > 1 else 0.0
    if error <= 0:
        return TestOfMeans(statistic=None, p_value=None, observations=rows)
    statistic = float(differences.mean()) / float(error)
    return TestOfMeans(statistic=statistic, p_value=float(stats.t.sf(statistic, rows - 1)), observations=rows)


@lru_cache(maxsize=16)
def _weights(size: int, way: int) -> Floats:
    """How often each of `size` groups is drawn, of shape (draws, size); the two ways are drawn independently."""
    return np.random.default_rng([SEED, way]).multinomial(size, np.full(size, 1 / size), DRAWS).astype(float)


def days_of_rows(rows: pd.DataFrame) -> Integers:
    """Day of each row, in days since 1970; its fold where no day is known."""
    name = next((name for name in ("sales_date", "ordered_at") if name in rows), None)
    if name is None:
        return rows["fold"].to_numpy(dtype=np.int64)
    return days_of(rows[name]).astype(np.int64)


def _blocks(rows: pd.DataFrame, day: Integers) -> Integers:
    """Whole origins; weeks where nothing is forecast ahead; folds where no day is known."""
    if "horizon_days" not in rows and "ordered_at" in rows:
        return _numbered(pd.Series(day // DAYS_A_WEEK))
    return _numbered(rows["fold"])


def _numbered(values: "pd.Series[int]") -> Integers:
    return np.asarray(pd.factorize(values, sort=True)[0], dtype=np.int64)


def _widest(clusters: Mapping[str, Integers]) -> tuple[str, Integers]:
    """The first column with enough values, or the one with most; renumbered from 0."""
    found = {name: np.unique(numbers, return_inverse=True) for name, numbers in clusters.items()}
    enough = (name for name, (values, _) in found.items() if len(values) >= FEWEST_CLUSTERS)
    name = next(enough, max(found, key=lambda name: len(found[name][0])))
    return name, np.asarray(found[name][1] % MOST_CLUSTERS, dtype=np.int64)


def _cells(losses: Floats, cluster: Integers, block: Integers) -> Floats:
    """Sums by cluster and block, of shape (clusters, blocks)."""
    present, column = np.unique(block, return_inverse=True)
    shape = (int(cluster.max()) + 1, len(present))
    sums = np.bincount(cluster * shape[1] + column, losses, shape[0] * shape[1])
    return np.asarray(sums.reshape(shape), dtype=np.float64)


def _by_day(values: Floats, day: Integers) -> Floats:
    """Totals by day, in the order of time."""
    _, position = np.unique(day, return_inverse=True)
    return np.asarray(np.bincount(position, values), dtype=np.float64)
