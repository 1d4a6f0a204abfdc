"""Segments in which a candidate must not be worse than its opponent, and what was found in each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from shelfcast.model.declaration import GateRules
from shelfcast.model.metrics import coverage
from shelfcast.registry.panel_test import DAYS_A_WEEK, Panel, draw_gains
from shelfcast.training.backtest.scores import demand_class
from shelfcast.training.evaluation import AS_OF_DEMAND, column

FEWEST_ROWS = 200

STORE_GROUPS = ("small stores", "medium stores", "large stores")
PROMISED = 0.90
"""What lies between the 5 % and the 95 % quantile."""

Booleans = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What was found in a segment.

    Attributes:
        name: Of the segment.
        rows: In it.
        rise: Candidate's loss over opponent's loss, minus 1; above 0 is worse.
        rise_low, rise_high: The least and the most that the rise may be, each at the rules' `segment_alpha`; `None` where
            no test can tell.
        judged_rise: Which of the three must not lie above the margin (see `judge`).
        coverage_90: Share of actuals within the 90 % intervals (see `metrics.coverage`).
        is_no_worse: Whether the loss may be taken not to rise by more than the margin.
        is_covered: Whether the coverage is accepted.
    """

    name: str
    rows: int
    rise: float
    rise_low: float | None
    rise_high: float | None
    judged_rise: float
    coverage_90: float
    is_no_worse: bool
    is_covered: bool


def judge(rows: pd.DataFrame, panel: Panel, rules: GateRules) -> list[Segment]:
    """Judges each segment that has enough rows.

    A candidate must be shown to be no worse by the margin in every segment. Each test has the rules' `segment_alpha`, and
    since all must be passed none of them needs a correction for their number (Berger, 1982): a candidate that is worse by
    the margin in any segment passes at most that often.

    In a segment of few series that differ much no test shows anything: where the most that the rise may be lies farther
    from the rise than the margin, an equal candidate would be held more often than not. There it is held for a rise that
    is shown to be above the margin.
    """
    return [_judged(name, chosen, part, rules) for name, chosen, part in parts_of(rows, panel)]


def parts_of(rows: pd.DataFrame, panel: Panel) -> Iterator[tuple[str, pd.DataFrame, Panel]]:
    """Name, rows and panel of each segment that has enough rows, and in which the opponent errs at all."""
    for name, chosen in segments_of(rows).items():
        if chosen.sum() >= FEWEST_ROWS and panel.other[chosen].sum() > 0:
            yield name, rows[chosen], panel.part(chosen)


def segments_of(rows: pd.DataFrame) -> dict[str, Booleans]:
    """The rows of each segment that fold forecasts allow."""
    found = segments_of_days(rows)
    if "store_id" in rows and rows["store_id"].nunique() >= len(STORE_GROUPS):
        found |= _store_groups(rows)
    if set(AS_OF_DEMAND) <= set(rows.columns):
        kind = _demand_classes(rows)
        found |= {f"{name} demand": (kind == name).to_numpy() for name in sorted(kind.unique())}
    return found


def segments_of_days(rows: pd.DataFrame) -> dict[str, Booleans]:
    """Rows with and without promotion and of each week ahead, as far as the rows say."""
    found: dict[str, Booleans] = {}
    if "on_promotion" in rows:
        promoted = (rows["on_promotion"] > 0).to_numpy()
        found |= {"on promotion": promoted, "without promotion": ~promoted}
    if "horizon_days" in rows:
        week = ((rows["horizon_days"] - 1) // DAYS_A_WEEK + 1).to_numpy()
        found |= {f"week {number} ahead": week == number for number in np.unique(week)}
    return found


def _judged(name: str, rows: pd.DataFrame, panel: Panel, rules: GateRules) -> Segment:
    drawn = draw_gains(panel)
    rise, rise_low, rise_high = -drawn.gain, None, None
    judged, between = rise, drawn.between(rules.segment_alpha)
    if between:
        rise_high, rise_low = (-gain for gain in between)
        judged = rise_high if rise_high - rise <= rules.segment_margin else rise_low
    covered = coverage(*(column(rows, name) for name in ("actual", "q05", "q95")))
    return Segment(
        name=name,
        rows=len(rows),
        rise=rise,
        rise_low=rise_low,
        rise_high=rise_high,
        judged_rise=judged,
        coverage_90=covered,
        is_no_worse=judged <= rules.segment_margin,
        is_covered=abs(covered - PROMISED) <= rules.segment_coverage_margin,
    )


def _store_groups(rows: pd.DataFrame) -> dict[str, Booleans]:
    """Thirds of the stores by what they sold."""
    sold = rows.groupby("store_id")["actual"].transform("sum").to_numpy(dtype=float)
    totals = rows.groupby("store_id")["actual"].sum().to_numpy(dtype=float)
    group = np.searchsorted(np.quantile(totals, [1 / 3, 2 / 3]), sold, side="left")
    return {name: group == number for number, name in enumerate(STORE_GROUPS)}


def _demand_classes(rows: pd.DataFrame) -> "pd.Series[str]":
    """Classes of Syntetos and Boylan from the four weeks before the origin.

    With the share p of selling days, mean m and standard deviation s of all days, a selling day sells m / p and the mean
    square of its units is (s² + m²) / p.
    """
    zero_share, mean, deviation = (column(rows, name) for name in AS_OF_DEMAND)
    selling = np.where(zero_share < 1, 1 - zero_share, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        variation = np.sqrt(np.maximum(selling * (deviation**2 + mean**2) / mean**2 - 1, 0))
    scale = pd.DataFrame({"demand_interval": 1 / selling, "size_variation": variation}, index=rows.index)
    return demand_class(scale)
