"""What the gate measures of a candidate beside its reference."""

from dataclasses import dataclass

import pandas as pd

from shelfcast.model.declaration import GateRules
from shelfcast.model.metrics import Floats, bias, coverage, losses, wape
from shelfcast.registry.candidate_cost import CandidateCost
from shelfcast.registry.panel_test import Panel, TestOfMeans, diebold_mariano, draw_gains, textbook_t
from shelfcast.registry.segment_test import Segment, judge
from shelfcast.training.evaluation import column


@dataclass(frozen=True, kw_only=True)
class GateMetrics:
    """What the gate measured.

    Attributes:
        wape: Of the candidate.
        reference_wape: Of the reference on the same rows.
        gain: 1 - candidate's loss / reference's loss, in the rules' kind of loss; above 0 is better.
        gain_low: The least that the gain may be at the rules' error rate, by the cluster bootstrap; `None` if it
            cannot tell.
        cluster: Column whose values the bootstrap drew.
        clusters: How many of them there are.
        blocks: How many stretches of days it drew from.
        diebold_mariano: Test of the days' totals for a gain above the minimum effect.
        textbook_t: The plain paired t-test over all rows. It is reported, no rule reads it.
        bias: Of the candidate.
        bias_shown: As much of it as is shown at the rules' `segment_alpha`: the bound that is nearer to 0, or 0; the bias
            itself where no test can tell.
        coverage_90: Of the candidate.
        segments: What was found in each that has enough rows.
        worst_segment: Segment with the largest relative loss against the reference; `all` where there is none.
        worst_segment_loss: That loss, above 0 is worse.
        cost: Size of the model and time of a prediction.
    """

    wape: float
    reference_wape: float
    gain: float
    gain_low: float | None
    cluster: str
    clusters: int
    blocks: int
    diebold_mariano: TestOfMeans
    textbook_t: TestOfMeans
    bias: float
    bias_shown: float
    coverage_90: float
    segments: list[Segment]
    worst_segment: str
    worst_segment_loss: float
    cost: CandidateCost


def measure(rows: pd.DataFrame, other: Floats, rules: GateRules, cost: CandidateCost) -> GateMetrics:
    """Measures fold forecasts beside the reference's, `other`, on the same rows."""
    actual, mean = column(rows, "actual"), column(rows, "mean")
    panel = Panel.of(rows, own=losses(actual - mean, rules.loss), other=losses(actual - other, rules.loss))
    drawn, segments = draw_gains(panel), judge(rows, panel, rules)
    worst_loss, worst = max(((segment.rise, segment.name) for segment in segments), default=(-panel.gain, "all"))
    return GateMetrics(
        wape=wape(actual, mean),
        reference_wape=wape(actual, other),
        gain=panel.gain,
        gain_low=drawn.bound(rules.alpha),
        cluster=drawn.cluster,
        clusters=drawn.clusters,
        blocks=drawn.blocks,
        diebold_mariano=diebold_mariano(panel, minimum_effect=rules.minimum_effect),
        textbook_t=textbook_t(panel),
        bias=bias(actual, mean),
        bias_shown=_shown(Panel.of(rows, own=mean, other=actual), rules),
        coverage_90=coverage(actual, column(rows, "q05"), column(rows, "q95")),
        segments=segments,
        worst_segment=worst,
        worst_segment_loss=worst_loss,
        cost=cost,
    )


def _shown(totals: Panel, rules: GateRules) -> float:
    """What is shown of a bias, from the forecasts as `own` and the actuals as `other`: the gain of such a panel is -bias."""
    drawn = draw_gains(totals)
    between = drawn.between(rules.segment_alpha)
    return -max(between[0], 0.0) - min(between[1], 0.0) if between else -drawn.gain
