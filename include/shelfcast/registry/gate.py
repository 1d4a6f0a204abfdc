"""The gate: whether a candidate becomes the champion. One decision with all its numbers and its reason.

The test is paired and respects that the rows of a store rise and fall together: stores are drawn with replacement
(cluster bootstrap; Cameron, Gelbach and Miller, 2008), and the gain must lie above the minimum effect in at least
1 - alpha of the draws. Without a champion the strongest simple method takes its place.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shelfcast.training.declaration import GateRules, ModelDeclaration
from shelfcast.training.metrics import bias, coverage, wape

DRAWS = 1000
SEED = 20260101
FEWEST_SEGMENT_ROWS = 200


class Outcome(StrEnum):
    """What the gate says."""

    RELEASE = "release"
    HOLD = "hold"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the gate measured.

    Attributes:
        wape: Of the candidate.
        opponent_wape: Of the opponent on the same rows.
        gain: 1 - candidate's loss / opponent's loss, in the rules' kind of loss; above 0 is better.
        gain_low: Lower bound of the gain at the rule's error rate.
        bias: Of the candidate.
        coverage_90: Of the candidate.
        worst_segment: Segment with the largest relative loss against the opponent.
        worst_segment_loss: That loss, above 0 is worse.
    """

    wape: float
    opponent_wape: float
    gain: float
    gain_low: float
    bias: float
    coverage_90: float
    worst_segment: str
    worst_segment_loss: float


@dataclass(frozen=True, kw_only=True)
class Decision(Measured):
    """The gate's decision with all its numbers.

    Attributes:
        outcome: `release` or `hold`.
        reasons: Why, one sentence each; a hold names every rule that was not met.
        opponent: `champion` or the name of the strongest simple method.
        is_forced: Whether a person asked to release it whatever the rules say.
    """

    outcome: Outcome
    reasons: list[str]
    opponent: str
    is_forced: bool

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def obstacle_of(training: Mapping[str, Any], declaration: ModelDeclaration) -> str | None:
    """Why nobody may release a candidate, not even by force; `None` if nothing is in the way.

    Args:
        training: What the candidate was trained on, as in its `training.json`.
        declaration: The model.
    """
    trained = int(training.get("horizon_days", 0))
    if trained >= declaration.horizon:
        return None
    return (
        f"trained for {trained} of {declaration.horizon} days ahead: it would answer for days that it never saw, and no "
        "force changes that"
    )


def decide(
    rows: pd.DataFrame,
    rules: GateRules,
    *,
    strongest_simple: str,
    is_forced: bool = False,
    obstacle: str | None = None,
    is_champion_comparable: bool = True,
) -> Decision:
    """Judges a candidate by its fold forecasts.

    Args:
        rows: Fold forecasts with `actual`, `mean`, `champion` (NaN if there is none), `strongest_simple`, `q05`, `q95`
            and whatever of `store_id`, `on_promotion` and `horizon_days` there is.
        rules: The model's rules.
        strongest_simple: Name of the simple method in `rows`.
        is_forced: Release it all the same, and say so.
        obstacle: Why it is held even then.
        is_champion_comparable: Whether a champion that serves could be measured on these rows.
    """
    opponent, other = _opponent(rows, strongest_simple)
    measured = _measure(rows, other, rules)
    broken = _broken_rules(rules, measured, opponent=opponent)
    outcome, reasons = _outcome(broken, opponent=opponent, gain=measured.gain, is_forced=is_forced)
    if obstacle:
        outcome, reasons = Outcome.HOLD, [obstacle, *broken]
    if not is_champion_comparable:
        reasons = [
            *reasons,
            f"the champion is not comparable, for it was trained on other features: {opponent} stands in",
        ]
    return Decision(outcome=outcome, reasons=reasons, opponent=opponent, is_forced=is_forced, **asdict(measured))


def _opponent(rows: pd.DataFrame, strongest_simple: str) -> tuple[str, npt.NDArray[np.float64]]:
    """Name and forecasts of what the candidate must beat."""
    if rows["champion"].isna().all():
        return strongest_simple, _floats(rows, "strongest_simple")
    return "champion", _floats(rows, "champion")


def _measure(rows: pd.DataFrame, other: npt.NDArray[np.float64], rules: GateRules) -> Measured:
    actual, mean = _floats(rows, "actual"), _floats(rows, "mean")
    own_loss, other_loss = _losses(actual - mean, rules), _losses(actual - other, rules)
    segment, loss = _worst_segment(rows, own_loss, other_loss)
    return Measured(
        wape=wape(actual, mean),
        opponent_wape=wape(actual, other),
        gain=1 - float(own_loss.sum() / other_loss.sum()),
        gain_low=_gain_bound(own_loss, other_loss, _clusters(rows), rules.alpha),
        bias=bias(actual, mean),
        coverage_90=coverage(actual, _floats(rows, "q05"), _floats(rows, "q95")),
        worst_segment=segment,
        worst_segment_loss=loss,
    )


def _losses(error: npt.NDArray[np.float64], rules: GateRules) -> npt.NDArray[np.float64]:
    return np.abs(error) if rules.loss == "absolute" else error**2


def _outcome(broken: list[str], *, opponent: str, gain: float, is_forced: bool) -> tuple[Outcome, list[str]]:
    if not broken:
        return Outcome.RELEASE, [f"better than {opponent} by {gain:.1%}, and every other rule is met"]
    if is_forced:
        return Outcome.RELEASE, ["released by force", *broken]
    return Outcome.HOLD, broken


def _broken_rules(rules: GateRules, measured: Measured, *, opponent: str) -> list[str]:
    low, high = rules.coverage_range
    checks = [
        (
            measured.gain_low > rules.minimum_effect,
            f"not surely better than {opponent}: the gain is {measured.gain_low:.2%} at the least, "
            f"{rules.minimum_effect:.2%} is asked for",
        ),
        (abs(measured.bias) <= rules.bias_limit, f"bias {measured.bias:+.1%} is beyond ±{rules.bias_limit:.0%}"),
        (
            low <= measured.coverage_90 <= high,
            f"90 % intervals cover {measured.coverage_90:.1%}, outside {low:.0%} to {high:.0%}",
        ),
        (
            measured.worst_segment_loss <= rules.segment_margin,
            f"worse than {opponent} by {measured.worst_segment_loss:.1%} in segment {measured.worst_segment}, "
            f"{rules.segment_margin:.0%} is allowed",
        ),
    ]
    return [text for is_met, text in checks if not is_met]


def _gain_bound(
    own: npt.NDArray[np.float64], other: npt.NDArray[np.float64], cluster: npt.NDArray[np.int64], alpha: float
) -> float:
    """The gain that is exceeded in a share 1 - alpha of the draws of clusters."""
    count = int(cluster.max()) + 1
    own_sums, other_sums = np.bincount(cluster, own, count), np.bincount(cluster, other, count)
    draws = np.random.default_rng(SEED).integers(0, count, size=(DRAWS, count))
    with np.errstate(invalid="ignore", divide="ignore"):
        gains = 1 - own_sums[draws].sum(axis=1) / other_sums[draws].sum(axis=1)
    return float(np.nanquantile(gains, alpha))


def _clusters(rows: pd.DataFrame) -> npt.NDArray[np.int64]:
    """A number a store; where there is none, a number a customer."""
    name = next((column for column in ("store_id", "customer_id", "series_id") if column in rows), None)
    if name is None:
        return np.arange(len(rows))
    return np.asarray(pd.factorize(rows[name])[0], dtype=np.int64)


def _worst_segment(
    rows: pd.DataFrame, own: npt.NDArray[np.float64], other: npt.NDArray[np.float64]
) -> tuple[str, float]:
    """Name and relative rise of the loss of the segment where the candidate does worst against its opponent."""
    members = {"all": np.ones(len(rows), dtype=bool), **_segments(rows)}
    rises = {
        name: float(own[member].sum() / reference - 1)
        for name, member in members.items()
        if (name == "all" or member.sum() >= FEWEST_SEGMENT_ROWS) and (reference := other[member].sum()) > 0
    }
    worst = max(rises, key=lambda name: rises[name])
    return worst, rises[worst]


def _segments(rows: pd.DataFrame) -> dict[str, npt.NDArray[np.bool_]]:
    found: dict[str, npt.NDArray[np.bool_]] = {}
    if "on_promotion" in rows:
        promoted = (rows["on_promotion"] > 0).to_numpy()
        found |= {"on promotion": promoted, "without promotion": ~promoted}
    if "horizon_days" in rows:
        week = ((rows["horizon_days"] - 1) // 7 + 1).to_numpy()
        found |= {f"week {number} ahead": week == number for number in np.unique(week)}
    return found


def _floats(rows: pd.DataFrame, name: str) -> npt.NDArray[np.float64]:
    return rows[name].to_numpy(dtype=float)
