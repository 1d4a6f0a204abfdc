"""The rules that a candidate has broken, each in a sentence with what was found and what is allowed."""

from shelfcast.errors import first_offenders
from shelfcast.registry.candidate_cost import CandidateCost
from shelfcast.registry.measured import Measured
from shelfcast.registry.segments import Segment
from shelfcast.training.declaration import GateRules


def broken_rules(rules: GateRules, measured: Measured, *, opponent: str) -> list[str]:
    """A sentence for each rule that was not met; none if all were."""
    return [
        *_tests(rules, measured, opponent=opponent),
        *_limits(rules, measured),
        *_segments(rules, measured.segments, opponent=opponent),
        *_costs(rules, measured.cost),
    ]


def _tests(rules: GateRules, measured: Measured, *, opponent: str) -> list[str]:
    """Both tests must show a gain above the minimum effect."""
    low, test, asked = measured.gain_low, measured.diebold_mariano, f"{rules.minimum_effect:.2%} is asked for"
    broken = []
    if low is None:
        broken.append(
            f"not surely better than {opponent}: {measured.clusters} values of {measured.cluster} and {measured.blocks} "
            "stretches of days cannot tell, two of each are the least; train with more folds"
        )
    elif low <= rules.minimum_effect:
        broken.append(
            f"not surely better than {opponent}: the gain is {measured.gain:.2%} and by stores and origins drawn anew "
            f"{low:.2%} at the least, {asked}"
        )
    if test.p_value is None:
        broken.append(
            f"not surely better than {opponent} from day to day: {test.observations} days cannot tell with a lag of "
            f"{test.lag}; train with more folds"
        )
    elif test.p_value > rules.alpha:
        broken.append(
            f"not surely better than {opponent} from day to day: p = {test.p_value:.3f} by Diebold and Mariano "
            f"({test.observations} days, lag {test.lag}), {rules.alpha:g} is allowed; {asked}"
        )
    return broken


def _limits(rules: GateRules, measured: Measured) -> list[str]:
    low, high = rules.coverage_range
    checks = [
        (abs(measured.bias) <= rules.bias_limit, f"bias {measured.bias:+.1%} is beyond ±{rules.bias_limit:.0%}"),
        (
            low <= measured.coverage_90 <= high,
            f"90 % intervals cover {measured.coverage_90:.1%}, outside {low:.0%} to {high:.0%}",
        ),
    ]
    return [text for is_met, text in checks if not is_met]


def _segments(rules: GateRules, segments: list[Segment], *, opponent: str) -> list[str]:
    worst_first = sorted(segments, key=lambda segment: -segment.rise)
    worse = [_rise(segment) for segment in worst_first if not segment.is_no_worse]
    uncovered = [f"{segment.name} ({segment.coverage_90:.1%})" for segment in segments if not segment.is_covered]
    margin = rules.segment_coverage_margin
    checks = [
        (
            worse,
            f"not surely within {rules.segment_margin:.0%} of {opponent}'s loss in segment {first_offenders(worse)}",
        ),
        (
            uncovered,
            f"90 % intervals cover more than {100 * margin:.0f} points too little or too much in segment "
            f"{first_offenders(uncovered)}",
        ),
    ]
    return [text for offenders, text in checks if offenders]


def _rise(segment: Segment) -> str:
    most = "" if segment.rise_high is None else f", {segment.rise_high:+.1%} at the most"
    return f"{segment.name} ({segment.rise:+.1%}{most})"


def _costs(rules: GateRules, cost: CandidateCost) -> list[str]:
    broken = []
    if cost.model_bytes > rules.size_limit_bytes:
        broken.append(f"the model has {cost.model_bytes:,} bytes, {rules.size_limit_bytes:,} are allowed")
    if cost.microseconds_per_row is None:
        broken.append("the model could not be run to take its time, so its file is damaged or too large; train again")
    elif cost.microseconds_per_row > rules.prediction_limit_microseconds:
        broken.append(
            f"a prediction takes {cost.microseconds_per_row:,.0f} µs a row, {rules.prediction_limit_microseconds:,.0f} are "
            "allowed"
        )
    return broken
