"""The gate: whether a candidate becomes the champion. One decision with all its numbers and its reasons.

It asks one of three questions, and never mixes them. *First*: is the candidate better than the strongest simple method?
*Recipe*: is its recipe better than the champion's, fitted anew on the same folds? *Refresh*, the champion's recipe on newer
days: is it sound? The gain must be shown by both tests of `panel_test` to lie above the minimum effect, every segment must
be shown not to suffer, and bias, coverage, size and time of prediction must be within their limits. A refresh must be shown
besides not to be worse than what served (see `refresh`). Nobody is measured on days that it has learned from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import pandas as pd

from shelfcast.errors import first_offenders
from shelfcast.model.candidate import Question, TrainingRecord
from shelfcast.model.declaration import GateRules, ModelDeclaration
from shelfcast.model.metrics import Floats
from shelfcast.registry.candidate_cost import CandidateCost
from shelfcast.registry.gate_metrics import GateMetrics, measure
from shelfcast.registry.panel_test import FEWEST_BLOCKS
from shelfcast.registry.refresh import SERVED, Comparison, Nearness, Verdict, compare
from shelfcast.registry.rule_violations import Limits, limits_of, rule_violations
from shelfcast.registry.store_breaks import LASTING_WEEKS, StoreBreak, store_breaks
from shelfcast.training.evaluation import column, telling

CHAMPION, SERVING = "the champion's own forecasts since its cutoff", "what was served at the folds' origins"
MOSTLY_NOTHING = (
    "judged by squared errors: on most days nothing was sold, and absolute ones are smallest for a forecast of nothing"
)
ASKED = {Question.RECIPE: "better than the champion's", Question.REFRESH: "sound"}


class Outcome(StrEnum):
    """What the gate says."""

    RELEASE = "release"
    HOLD = "hold"


@dataclass(frozen=True, kw_only=True)
class Decision(GateMetrics):
    """The gate's decision with all its numbers.

    Attributes:
        outcome: `release` or `hold`.
        reasons: Why, one sentence each; a hold names every rule that was not met.
        question: What was asked.
        reference: Whom the candidate had to beat on its folds: the champion's recipe, what was served, or the name of the
            strongest simple method.
        changes: In what its recipe differs from the champion's.
        since_champion: Beside the champion's own forecasts since its cutoff; `None` without any.
        served: Beside what was served at the folds' origins; `None` without any.
        nearness: What the two make of today's vectors; `None` where that was not asked.
        store_breaks: Stores whose newest days are not to be learned from.
        is_forced: Whether a person asked to release it whatever the rules say.
        rules: What was asked for.
    """

    outcome: Outcome
    reasons: list[str]
    question: Question
    reference: str
    changes: list[str]
    since_champion: Comparison | None
    served: Comparison | None
    nearness: Nearness | None
    store_breaks: list[StoreBreak]
    is_forced: bool
    rules: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def figures(self) -> dict[str, float]:
        """The numbers that fit on one line, by name."""
        found: dict[str, float | None] = {
            "gain": self.gain,
            "gain_low": self.gain_low,
            "diebold_mariano_p_value": self.diebold_mariano.p_value,
            "textbook_t_p_value": self.textbook_t.p_value,
            "worst_segment_loss": self.worst_segment_loss,
            "model_bytes": self.cost.model_bytes,
            "microseconds_per_row": self.cost.microseconds_per_row,
            "change_of_todays_forecasts": self.nearness.total_change if self.nearness else None,
        }
        for name, compared in (("since_champion", self.since_champion), ("on_served", self.served)):
            if compared:
                found |= {f"gain_{name}": compared.gain, f"days_{name}": compared.days}
        return {f"gate_{name}": float(value) for name, value in found.items() if value is not None}


def obstacle_of(record: TrainingRecord, declaration: ModelDeclaration) -> str | None:
    """Why nobody may release a candidate, not even by force; `None` if nothing is in the way.

    Args:
        record: What the candidate was made of.
        declaration: The model.
    """
    trained = record.horizon_days
    if trained >= declaration.horizon:
        return None
    return (
        f"trained for {trained} of {declaration.horizon} days ahead: it would answer for days that it never saw, and no "
        "force changes that"
    )


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of a candidate beside its champion.

    Attributes:
        question: What is to be decided.
        changes: In what the recipes differ.
        since_champion: Forecasts of fold models from origins after the champion's cutoff, with what the champion said
            itself as `served`; `None` without any.
        nearness: What both make of today's vectors; `None` where nothing serves.
        is_older: Whether the champion has learned from later days than the candidate.
    """

    question: Question = Question.FIRST
    changes: Sequence[str] = ()
    since_champion: pd.DataFrame | None = None
    nearness: Nearness | None = None
    is_older: bool = False


NOTHING_SERVES = Evidence()


def decide(
    rows: pd.DataFrame,
    rules: GateRules,
    *,
    strongest_simple: str,
    cost: CandidateCost,
    evidence: Evidence = NOTHING_SERVES,
    is_forced: bool = False,
    obstacle: str | None = None,
) -> Decision:
    """Judges a candidate.

    Args:
        rows: Fold forecasts with quantiles and `strongest_simple`, as `shelfcast.training.evaluation` leaves them;
            `champion` is what the champion's recipe says that was fitted on the same folds, NaN if it was not; `served`
            and its quantiles what was served, NaN or not there where nothing was (see `refresh.beside_served`).
        rules: The model's rules.
        strongest_simple: Name of the simple method in `rows`.
        cost: What the candidate costs to serve.
        evidence: What is known of it beside the champion.
        is_forced: Release it all the same, and say so.
        obstacle: Why it is held even then.
    """
    declared, rules = rules, telling(rules, column(rows, "actual"))
    since = None if evidence.since_champion is None else compare(evidence.since_champion, rules, reference=CHAMPION)
    served = (
        compare(rows, rules, reference=SERVING)
        if "served" in rows and evidence.question is not Question.FIRST
        else None
    )
    judged, reference, other = _reference(rows, evidence, served, strongest_simple)
    metrics, breaks = measure(judged, other, rules, cost), store_breaks(rows, rules)
    violations = rule_violations(
        rules, metrics, reference=reference, served=_limits_of_both(rows, rules, cost, evidence, served)
    )
    against = [*violations.rules, *_breaks(breaks), *_age(evidence), *_unsound(since, served, evidence, rules)]
    told = [
        *([MOSTLY_NOTHING] if rules.loss != declared.loss else []),
        *([f"told, for what was served is no better: {'; '.join(violations.shared)}"] if violations.shared else []),
        *_rests_on(evidence, since, served, reference, strongest_simple),
    ]
    won = since is not None and since.verdict is Verdict.BETTER
    outcome, reasons = _outcome(against, metrics, since if won else None, reference=reference, is_forced=is_forced)
    if obstacle:
        outcome, reasons = Outcome.HOLD, [obstacle, *against]
    return Decision(
        outcome=outcome,
        reasons=[*reasons, *told],
        question=evidence.question,
        reference=reference,
        changes=list(evidence.changes),
        since_champion=since,
        served=served,
        nearness=evidence.nearness,
        store_breaks=breaks,
        is_forced=is_forced,
        rules=rules.model_dump(mode="json"),
        **vars(metrics),
    )


def _reference(
    rows: pd.DataFrame, evidence: Evidence, served: Comparison | None, strongest_simple: str
) -> tuple[pd.DataFrame, str, Floats]:
    """The rows to judge by, and the name and forecasts of what the candidate must beat on them."""
    if evidence.question is Question.RECIPE:
        if not rows["champion"].isna().all():
            return rows, "the champion's recipe", column(rows, "champion")
        if served and served.verdict is not Verdict.TOO_FEW:
            judged = rows[rows["served"].notna()]
            return judged, SERVING, column(judged, "served")
    return rows, strongest_simple, column(rows, "strongest_simple")


def _limits_of_both(
    rows: pd.DataFrame, rules: GateRules, cost: CandidateCost, evidence: Evidence, served: Comparison | None
) -> Limits | None:
    """How far a refresh and what was served lie beyond the limits on the rows of both; `None` if that says nothing."""
    if evidence.question is not Question.REFRESH or served is None or served.origins < FEWEST_BLOCKS:
        return None
    both = rows[rows["served"].notna()]
    as_served = both.assign(**{name: both[other] for name, other in SERVED.items()})
    own, other = (
        limits_of(rules, measure(part, column(part, "strongest_simple"), rules, cost), reference=SERVING)
        for part in (both, as_served)
    )
    return Limits(own=own, served=other)


def _unsound(since: Comparison | None, served: Comparison | None, evidence: Evidence, rules: GateRules) -> list[str]:
    """What speaks against a refresh beside its folds; nothing against any other candidate."""
    if evidence.question is not Question.REFRESH:
        return []
    near = evidence.nearness
    against = []
    for found in (since, served):
        if found and found.verdict is Verdict.NOT_SHOWN:
            segments = f" and in segment {first_offenders(found.worse_segments)}" if found.worse_segments else ""
            against.append(f"not shown to be within {rules.refresh_margin:.0%} of {found.text()}{segments}")
    is_proved = since is not None and since.verdict in (Verdict.BETTER, Verdict.NO_WORSE)
    if near and not is_proved and not near.is_within(rules):
        against.append(
            f"{near.text()}, beyond ±{rules.refresh_total_limit:.0%} in all or ±{rules.refresh_store_limit:.0%} of a store, "
            "and too few days have passed since the champion's cutoff to show which one is right"
        )
    return against


def _breaks(breaks: list[StoreBreak]) -> list[str]:
    if not breaks:
        return []
    return [
        f"the newest days are not to be learned from: stores that left their forecast alone, "
        f"{first_offenders([one.text() for one in breaks])}; see whether their rows are missing or doubled. A change that "
        f"lasts {LASTING_WEEKS} weeks is learned"
    ]


def _age(evidence: Evidence) -> list[str]:
    return ["the champion has learned from later days than this candidate"] if evidence.is_older else []


def _rests_on(
    evidence: Evidence,
    since: Comparison | None,
    served: Comparison | None,
    reference: str,
    strongest_simple: str,
) -> list[str]:
    """What the decision rests on, for whoever reads it."""
    if evidence.question is Question.FIRST:
        return []
    changed = f" ({'; '.join(evidence.changes)})" if evidence.changes else ""
    told = [f"asked whether the {evidence.question.value} is {ASKED[evidence.question]}{changed}"]
    told += [f"beside {found.text()}" for found in (since, served) if found]
    if evidence.question is Question.RECIPE and reference == strongest_simple:
        told.append(
            f"the champion's recipe cannot be fitted by today's code and too little of what it said is scored: {reference} "
            "stands in"
        )
    if evidence.question is Question.REFRESH and (since is None or since.verdict is Verdict.TOO_FEW):
        days = since.days if since else 0
        near = evidence.nearness.text() if evidence.nearness else "there are no vectors of its cutoff"
        told.append(
            f"{days} days since the champion's cutoff are too few to compare the two on, so it rests on the recipe's folds "
            f"and on today's vectors: {near}"
        )
    return told


def _outcome(
    violations: list[str], metrics: GateMetrics, won: Comparison | None, *, reference: str, is_forced: bool
) -> tuple[Outcome, list[str]]:
    if not violations:
        gain = f"{metrics.gain:.1%}, at least by {metrics.gain_low:.1%}"
        better = [f"better than the champion since its cutoff, by {won.gain:.1%}"] if won else []
        return Outcome.RELEASE, [*better, f"better than {reference} by {gain}, and every other rule is met"]
    if is_forced:
        return Outcome.RELEASE, ["released by force", *violations]
    return Outcome.HOLD, violations
