"""Whether a refresh is sound: the champion's recipe on newer days, beside what was said before those days came.

A champion may not be measured on a candidate's folds: it has learned from their days. What it said in the ledger it said
before they came, and a fold model knows no more than its origin. So the two are laid side by side at the same origins,
series and days. Of one recipe a fold model at the champion's own cutoff *is* the champion: only origins behind it say
anything of what the newer days are worth, and a week has few of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from shelfcast.model.declaration import GateRules
from shelfcast.model.metrics import Floats, losses, wape
from shelfcast.registry.panel_test import FEWEST_BLOCKS, GainDraws, Panel, TestOfMeans, diebold_mariano, draw_gains
from shelfcast.registry.segment_test import parts_of
from shelfcast.training.evaluation import column

KEYS = ("series_id", "business_date", "horizon_days")
SERVED = {"mean": "served", "q05": "served_q05", "q95": "served_q95"}
"""Columns of what was served, as the ledger names them and as fold forecasts carry them."""

FEWEST_HORIZONS = 2
"""Days that must have passed before what is not proved counts against a candidate, in horizons: eight weeks of four."""


class Verdict(StrEnum):
    """What the forecasts of one panel say of two forecasters."""

    BETTER = "better"
    """By more than the minimum effect, by both tests."""
    NO_WORSE = "no_worse"
    """Shown to be no worse than by the margin, by both tests, at a guard's error rate; no segment is shown to be worse."""
    NOT_SHOWN = "not_shown"
    """Neither, though there are days enough to show it."""
    TOO_FEW = "too_few"
    """Neither, and too few days to ask for it."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A candidate's fold models beside what was served, on days that neither had learned from.

    Attributes:
        reference: Who said the other forecasts.
        rows, series, origins, days: What both were measured on.
        first_day, last_day: Of the days, ISO text.
        wape, reference_wape: Of the two.
        gain: 1 - candidate's loss / reference's; above 0 is better.
        gain_low: The least that it may be at a guard's error rate (`segment_alpha`); `None` if it cannot be told.
        diebold_mariano: Test of the days' totals for no rise above the margin.
        worse_segments: Those that are shown to be worse than by the margin, with their rise.
        verdict: See there.
    """

    reference: str
    rows: int
    series: int
    origins: int
    days: int
    first_day: str
    last_day: str
    wape: float
    reference_wape: float
    gain: float
    gain_low: float | None
    diebold_mariano: TestOfMeans
    worse_segments: list[str]
    verdict: Verdict

    def text(self) -> str:
        """In a sentence, for the decision's reasons."""
        low = "" if self.gain_low is None else f", at least {self.gain_low:+.1%}"
        return (
            f"{self.reference}: error {self.wape:.1%} against {self.reference_wape:.1%} ({self.gain:+.1%}{low}) on "
            f"{self.rows:,} rows of {self.series:,} series, {self.origins} origins and the {self.days} days from "
            f"{self.first_day} to {self.last_day}, which neither side had seen"
        )


def beside_served(rows: pd.DataFrame, ledger: pd.DataFrame) -> pd.DataFrame:
    """Fold forecasts with what was served at the same origin, of the same series and day; NaN where nothing was.

    Args:
        rows: Fold forecasts of a forecast model.
        ledger: `series_id`, `business_date`, `horizon_days`, `release_id`, `mean`, `q05`, `q95` of vintages that knew no
            later day than their own.
    """
    if not set(KEYS) <= set(rows.columns):
        return rows.assign(**dict.fromkeys(SERVED.values(), np.nan), served_by=None)
    renamed = ledger.rename(columns={**SERVED, "release_id": "served_by"})
    left, right = (part.assign(business_date=pd.to_datetime(part["business_date"])) for part in (rows, renamed))
    kept = right[[*KEYS, *SERVED.values(), "served_by"]].astype({"horizon_days": left["horizon_days"].dtype})
    joined = left.drop(columns=[*SERVED.values(), "served_by"], errors="ignore").merge(
        kept.astype({"series_id": left["series_id"].dtype}), on=list(KEYS), how="left", validate="one_to_one"
    )
    return joined.assign(business_date=rows["business_date"].to_numpy())


def compare(rows: pd.DataFrame, rules: GateRules, *, reference: str) -> Comparison | None:
    """Compares forecasts with those that were served on the same rows; `None` where nothing was, or nothing was sold.

    Args:
        rows: See `beside_served`.
        rules: The model's rules.
        reference: Who served, for the sentence.
    """
    rows = rows[rows["served"].notna()]
    if not column(rows, "actual").any():
        return None
    actual, mean, served = (column(rows, name) for name in ("actual", "mean", "served"))
    panel = Panel.of(rows, own=losses(actual - mean, rules.loss), other=losses(actual - served, rules.loss))
    drawn = draw_gains(panel)
    days = np.unique(panel.day)
    can_be_asked = drawn.blocks >= FEWEST_BLOCKS and len(days) >= FEWEST_HORIZONS * panel.horizon_days
    worse = _worse_segments(rows, panel, rules)
    no_worse = diebold_mariano(panel, minimum_effect=-rules.refresh_margin)
    dates = days.astype("datetime64[D]")
    return Comparison(
        reference=reference,
        rows=len(rows),
        series=int(rows["series_id"].nunique()),
        origins=drawn.blocks,
        days=len(days),
        first_day=str(dates[0]),
        last_day=str(dates[-1]),
        wape=wape(actual, mean),
        reference_wape=wape(actual, served),
        gain=panel.gain,
        gain_low=drawn.bound(rules.segment_alpha),
        diebold_mariano=no_worse,
        worse_segments=worse if can_be_asked else [],
        verdict=_verdict(panel, drawn, no_worse, rules, is_worse_somewhere=bool(worse), can_be_asked=can_be_asked),
    )


def _worse_segments(rows: pd.DataFrame, panel: Panel, rules: GateRules) -> list[str]:
    """Of one recipe no segment has a reason to suffer, and a dozen small ones differ by chance: harm is to be shown."""
    found = []
    for name, _, part in parts_of(rows, panel):
        drawn = draw_gains(part)
        between = drawn.between(rules.alpha)
        if between and between[1] < -rules.refresh_margin:
            found.append(f"{name} ({-drawn.gain:+.1%})")
    return found


def _verdict(
    panel: Panel,
    drawn: GainDraws,
    no_worse: TestOfMeans,
    rules: GateRules,
    *,
    is_worse_somewhere: bool,
    can_be_asked: bool,
) -> Verdict:
    """A gain is proved at `alpha`; that there is no loss is a guard's matter, like a segment's."""

    def passed(bound: float, test: TestOfMeans, alpha: float) -> bool:
        low = drawn.bound(alpha)
        return low is not None and low > bound and test.p_value is not None and test.p_value <= alpha

    if (panel.own == panel.other).all():
        return Verdict.NO_WORSE
    better = diebold_mariano(panel, minimum_effect=rules.minimum_effect)
    if passed(rules.minimum_effect, better, rules.alpha):
        return Verdict.BETTER
    if passed(-rules.refresh_margin, no_worse, rules.segment_alpha) and not is_worse_somewhere:
        return Verdict.NO_WORSE
    return Verdict.NOT_SHOWN if can_be_asked else Verdict.TOO_FEW


@dataclass(frozen=True, kw_only=True)
class Nearness:
    """What a refresh and the champion make of today's vectors.

    A change towards what the champion missed in its newest days is what a refresh is for: of each change only that part
    counts that is left when the champion's forecasts are corrected by what was sold, if that is the smaller one.

    Attributes:
        business_date: Date of the vectors, ISO text.
        entities: How many were forecast by both.
        total_change: Refresh's total over the champion's, minus 1.
        missed: What was sold over what the champion had forecast of its newest days, minus 1; `None` if nothing is scored.
        unexplained: Of the total change, what counts.
        furthest_store: The store of which most counts; `None` where entities have no store.
        furthest_unexplained: What counts of it.
    """

    business_date: str
    entities: int
    total_change: float
    missed: float | None
    unexplained: float
    furthest_store: str | None
    furthest_unexplained: float

    def is_within(self, rules: GateRules) -> bool:
        """Whether both lie within the limits of a refresh; never where a number is not finite."""
        return (
            abs(self.unexplained) <= rules.refresh_total_limit
            and abs(self.furthest_unexplained) <= rules.refresh_store_limit
        )

    def text(self) -> str:
        """In a sentence, for the decision's reasons."""
        missed = "" if self.missed is None else f", where the champion's newest days sold {self.missed:+.1%} beside it"
        store = f" and {self.furthest_unexplained:+.1%} in store {self.furthest_store}" if self.furthest_store else ""
        return (
            f"forecasts of the {self.entities:,} vectors of {self.business_date} change by {self.total_change:+.1%} in all"
            f"{missed}: {self.unexplained:+.1%}{store} are unexplained"
        )


def nearness(
    totals: Mapping[str, tuple[Floats, Floats]],
    *,
    business_date: str,
    has_stores: bool,
    sold: Mapping[str, tuple[float, float]] | None = None,
) -> Nearness | None:
    """How far a refresh is from the champion on the same vectors; `None` without any.

    Args:
        totals: Of each store, the refresh's and the champion's total of each entity.
        business_date: Of the vectors.
        has_stores: Whether the names are stores.
        sold: Of each store, what was sold on the champion's newest days and what it had forecast of them.
    """
    if not totals:
        return None
    sums = {store: (float(own.sum()), float(other.sum())) for store, (own, other) in totals.items()}
    scored = {store: (sold or {}).get(store, (0.0, 0.0)) for store in sums}
    left = {store: _unexplained(*sums[store], *scored[store]) for store in sums}
    furthest = max(left, key=lambda store: np.inf if np.isnan(left[store]) else abs(left[store]))
    own, other, actual, forecast = (float(sum(column)) for column in zip(*_rows(sums, scored), strict=True))
    return Nearness(
        business_date=business_date,
        entities=sum(len(own) for own, _ in totals.values()),
        total_change=_change(own, other),
        missed=_change(actual, forecast) if forecast else None,
        unexplained=_unexplained(own, other, actual, forecast),
        furthest_store=furthest if has_stores else None,
        furthest_unexplained=left[furthest] if has_stores else 0.0,
    )


def _rows(
    sums: Mapping[str, tuple[float, float]], scored: Mapping[str, tuple[float, float]]
) -> list[tuple[float, float, float, float]]:
    return [(*sums[store], *scored[store]) for store in sums]


def _unexplained(own: float, other: float, actual: float, forecast: float) -> float:
    """The smaller of the change and of the change from what the other would have said had it known what was sold."""
    plain = _change(own, other)
    if not (forecast and actual):
        return plain
    return min(plain, _change(own, other * actual / forecast), key=abs)


def _change(own: float, other: float) -> float:
    if other == 0:
        return 0.0 if own == 0 else float("nan")
    return own / other - 1
