"""The gate: whether a candidate becomes the champion. One decision with all its numbers and its reasons.

The gain must be shown by both tests of `panel_test` to lie above the minimum effect, every segment must be shown not to
suffer, and bias, coverage, size and time of prediction must be within their limits. Without a champion the strongest
simple method takes its place.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import pandas as pd

from shelfcast.registry.broken_rules import broken_rules
from shelfcast.registry.candidate_cost import CandidateCost
from shelfcast.registry.measured import Measured, measure
from shelfcast.training.declaration import GateRules, ModelDeclaration
from shelfcast.training.evaluation import column
from shelfcast.training.metrics import Floats


class Outcome(StrEnum):
    """What the gate says."""

    RELEASE = "release"
    HOLD = "hold"


@dataclass(frozen=True, kw_only=True)
class Decision(Measured):
    """The gate's decision with all its numbers.

    Attributes:
        outcome: `release` or `hold`.
        reasons: Why, one sentence each; a hold names every rule that was not met.
        opponent: `champion` or the name of the strongest simple method.
        is_forced: Whether a person asked to release it whatever the rules say.
        rules: What was asked for.
    """

    outcome: Outcome
    reasons: list[str]
    opponent: str
    is_forced: bool
    rules: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def figures(self) -> dict[str, float]:
        """The numbers that fit on one line, by name."""
        found = {
            "gain": self.gain,
            "gain_low": self.gain_low,
            "diebold_mariano_p_value": self.diebold_mariano.p_value,
            "textbook_t_p_value": self.textbook_t.p_value,
            "worst_segment_loss": self.worst_segment_loss,
            "model_bytes": self.cost.model_bytes,
            "microseconds_per_row": self.cost.microseconds_per_row,
        }
        return {f"gate_{name}": float(value) for name, value in found.items() if value is not None}


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
    cost: CandidateCost,
    is_forced: bool = False,
    obstacle: str | None = None,
    is_champion_comparable: bool = True,
) -> Decision:
    """Judges a candidate by its fold forecasts.

    Args:
        rows: Fold forecasts with quantiles and `strongest_simple`, as `shelfcast.training.evaluation` leaves them;
            `champion` is NaN if there is none.
        rules: The model's rules.
        strongest_simple: Name of the simple method in `rows`.
        cost: What the candidate costs to serve.
        is_forced: Release it all the same, and say so.
        obstacle: Why it is held even then.
        is_champion_comparable: Whether a champion that serves could be measured on these rows.
    """
    opponent, other = _opponent(rows, strongest_simple)
    measured = measure(rows, other, rules, cost)
    broken = broken_rules(rules, measured, opponent=opponent)
    outcome, reasons = _outcome(broken, measured, opponent=opponent, is_forced=is_forced)
    if obstacle:
        outcome, reasons = Outcome.HOLD, [obstacle, *broken]
    if not is_champion_comparable:
        reasons = [
            *reasons,
            f"the champion is not comparable, for it was trained on other features: {opponent} stands in",
        ]
    return Decision(
        outcome=outcome,
        reasons=reasons,
        opponent=opponent,
        is_forced=is_forced,
        rules=rules.model_dump(mode="json"),
        **vars(measured),
    )


def _opponent(rows: pd.DataFrame, strongest_simple: str) -> tuple[str, Floats]:
    """Name and forecasts of what the candidate must beat."""
    if rows["champion"].isna().all():
        return strongest_simple, column(rows, "strongest_simple")
    return "champion", column(rows, "champion")


def _outcome(broken: list[str], measured: Measured, *, opponent: str, is_forced: bool) -> tuple[Outcome, list[str]]:
    if not broken:
        gain = f"{measured.gain:.1%}, at least by {measured.gain_low:.1%}"
        return Outcome.RELEASE, [f"better than {opponent} by {gain}, and every other rule is met"]
    if is_forced:
        return Outcome.RELEASE, ["released by force", *broken]
    return Outcome.HOLD, broken
