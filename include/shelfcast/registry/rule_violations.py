"""The rules that a candidate violates, each in a sentence with what was found and what is allowed."""

from collections.abc import Mapping
from dataclasses import dataclass

from shelfcast.model.declaration import GateRules
from shelfcast.registry.candidate_cost import CandidateCost
from shelfcast.registry.gate_metrics import GateMetrics
from shelfcast.registry.segment_test import PROMISED, Segment

SMALLEST = 1e-9
"""Excess of what lies on a limit that it has to pass."""

CANNOT_TELL = 1.0
"""Excess where a test has too little to go by."""

SAME = 0.01
"""A point: by so much limits of one recipe may differ on the same rows, for each side is calibrated on other folds."""


@dataclass(frozen=True, kw_only=True)
class RuleViolations:
    """Rules that were not met, each in a sentence.

    Attributes:
        rules: Those that hold a candidate back.
        shared: Limits that what was served violated as far on the same rows, so that holding would mend nothing.
    """

    rules: list[str]
    shared: list[str]


def rule_violations(
    rules: GateRules, metrics: GateMetrics, *, reference: str, served: "Limits | None" = None
) -> RuleViolations:
    """What was not met.

    Args:
        rules: Of the model.
        metrics: Of the candidate's fold forecasts.
        reference: Whom the candidate was to beat.
        served: How far a refresh and what was served lie beyond the limits, on rows that both forecast; `None` of another
            candidate, or where the two share no rows.
    """
    limits = limits_of(rules, metrics, reference=reference)
    shared = [name for name, limit in limits.items() if limit.excess > 0 and served and served.is_shared(name)]
    return RuleViolations(
        rules=[
            *(limit.text for name, limit in limits.items() if limit.excess > 0 and name not in shared),
            *_costs(rules, metrics.cost),
        ],
        shared=[limits[name].text for name in shared],
    )


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How far a figure lies beyond what is allowed, 0 within it, and the sentence that says so."""

    excess: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The same limits of a refresh and of what was served, on the rows that both forecast.

    Attributes:
        own: Of the refresh, by name.
        served: Of what was served.
    """

    own: Mapping[str, Limit]
    served: Mapping[str, Limit]

    def is_shared(self, name: str) -> bool:
        """Whether what was served lay beyond the limit as far as the refresh does."""
        if name not in self.own or name not in self.served:
            return False
        return self.served[name].excess > 0 and self.own[name].excess <= self.served[name].excess + SAME


def limits_of(rules: GateRules, metrics: GateMetrics, *, reference: str) -> dict[str, Limit]:
    """Gain, bias and coverage over all, loss and coverage in each segment, by name; the worst segment first."""
    low, high = rules.coverage_range
    margin, covered = rules.segment_coverage_margin, metrics.coverage_90
    found = {
        "gain": _gain(rules, metrics, reference=reference),
        "gain from day to day": _gain_from_day_to_day(rules, metrics, reference=reference),
        "bias": Limit(
            excess=abs(metrics.bias_shown) - rules.bias_limit,
            text=f"bias {metrics.bias:+.1%}, {metrics.bias_shown:+.1%} at the least, is beyond ±{rules.bias_limit:.0%}",
        ),
        "coverage": Limit(
            excess=max(low - covered, covered - high),
            text=f"90 % intervals cover {covered:.1%}, outside {low:.0%} to {high:.0%}",
        ),
    }
    for segment in sorted(metrics.segments, key=lambda segment: -segment.rise):
        found[f"loss of {segment.name}"] = Limit(
            excess=max(segment.judged_rise - rules.segment_margin, 0.0),
            text=f"not surely within {rules.segment_margin:.0%} of {reference}'s loss in segment {_rise(segment)}",
        )
        found[f"coverage of {segment.name}"] = Limit(
            excess=0.0 if segment.is_covered else abs(segment.coverage_90 - PROMISED) - margin,
            text=f"90 % intervals cover {segment.coverage_90:.1%} in segment {segment.name}, more than {100 * margin:.0f} "
            "points too little or too much",
        )
    return found


def _gain(rules: GateRules, metrics: GateMetrics, *, reference: str) -> Limit:
    """The cluster bootstrap must show a gain above the minimum effect."""
    low = metrics.gain_low
    if low is None:
        return Limit(
            excess=CANNOT_TELL,
            text=f"not surely better than {reference}: {metrics.clusters} values of {metrics.cluster} and "
            f"{metrics.blocks} stretches of days cannot tell, two of each are the least; train with more folds",
        )
    return Limit(
        excess=0.0 if low > rules.minimum_effect else max(rules.minimum_effect - low, SMALLEST),
        text=f"not surely better than {reference}: the gain is {metrics.gain:.2%} and by stores and origins drawn anew "
        f"{low:.2%} at the least, {rules.minimum_effect:.2%} is asked for",
    )


def _gain_from_day_to_day(rules: GateRules, metrics: GateMetrics, *, reference: str) -> Limit:
    """Diebold and Mariano's test must show it too."""
    test = metrics.diebold_mariano
    if test.p_value is None:
        return Limit(
            excess=CANNOT_TELL,
            text=f"not surely better than {reference} from day to day: {test.observations} days cannot tell with a lag of "
            f"{test.lag}; train with more folds",
        )
    return Limit(
        excess=test.p_value - rules.alpha,
        text=f"not surely better than {reference} from day to day: p = {test.p_value:.3f} by Diebold and Mariano "
        f"({test.observations} days, lag {test.lag}), {rules.alpha:g} is allowed; {rules.minimum_effect:.2%} is asked for",
    )


def _rise(segment: Segment) -> str:
    if segment.rise_low is None or segment.rise_high is None:
        return f"{segment.name} ({segment.rise:+.1%})"
    return f"{segment.name} ({segment.rise:+.1%}, {segment.rise_low:+.1%} at the least, {segment.rise_high:+.1%} at the most)"


def _costs(rules: GateRules, cost: CandidateCost) -> list[str]:
    violations = []
    if cost.model_bytes > rules.size_limit_bytes:
        violations.append(f"the model has {cost.model_bytes:,} bytes, {rules.size_limit_bytes:,} are allowed")
    if cost.microseconds_per_row is None:
        violations.append(
            "the model could not be run to take its time, so its file is damaged or too large; train again"
        )
    elif cost.microseconds_per_row > rules.prediction_limit_microseconds:
        violations.append(
            f"a prediction takes {cost.microseconds_per_row:,.0f} µs a row, {rules.prediction_limit_microseconds:,.0f} are "
            "allowed"
        )
    return violations
