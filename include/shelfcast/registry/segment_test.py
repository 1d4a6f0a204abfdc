"""Segments in which a candidate must not be worse than its reference, and what was found in each."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from shelfcast.model.declaration import GateRules
from shelfcast.model.metrics import coverage
from shelfcast.model.segments import segments_of
from shelfcast.registry.panel_test import Panel, draw_gains
from shelfcast.training.evaluation import column

FEWEST_ROWS = 200

PROMISED = 0.90
"""What lies between the 5 % and the 95 % quantile."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What was found in a segment.

    Attributes:
        name: Of the segment.
        rows: In it.
        rise: Candidate's loss over reference's loss, minus 1; above 0 is worse.
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
    """Name, rows and panel of each segment that has enough rows, and in which the reference errs at all."""
    for name, chosen in segments_of(rows).items():
        if chosen.sum() >= FEWEST_ROWS and panel.other[chosen].sum() > 0:
            yield name, rows[chosen], panel.part(chosen)


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
