"""The gate: better passes, equal and worse do not, and every hold names its rules."""

import numpy as np
import pandas as pd
import pytest

from shelfcast.registry.gate import Outcome, decide
from shelfcast.training.declaration import GateRules

RULES = GateRules(minimum_effect=0.005, segment_margin=0.05, bias_limit=0.05, coverage_range=(0.86, 0.94), alpha=0.05)


def fold_forecasts(*, skill, seed=1, champion=None, stores=20, rows=4000):
    """Rows of a candidate whose errors are `skill` times those of its opponent."""
    rng = np.random.default_rng(seed)
    actual = rng.gamma(5, 4, rows)
    error = rng.normal(0, 4, rows)
    other = actual + rng.normal(0, 4, rows)
    mean = actual + error * skill
    return pd.DataFrame(
        {
            "store_id": rng.integers(0, stores, rows),
            "on_promotion": rng.integers(0, 2, rows),
            "horizon_days": rng.integers(1, 29, rows),
            "actual": actual,
            "mean": mean,
            "strongest_simple": other,
            "champion": np.nan if champion is None else actual + rng.normal(0, 4 * champion, rows),
            "q05": mean - 1.645 * 4 * skill,
            "q95": mean + 1.645 * 4 * skill,
        }
    )


def test_a_clearly_better_first_candidate_is_released():
    decision = decide(fold_forecasts(skill=0.8), RULES, strongest_simple="weekday_mean_56")
    assert decision.outcome is Outcome.RELEASE
    assert decision.opponent == "weekday_mean_56"
    assert decision.gain == pytest.approx(0.2, abs=0.03)
    assert decision.gain_low < decision.gain


def test_a_first_candidate_that_does_not_beat_the_simple_method_is_held_back():
    decision = decide(fold_forecasts(skill=1.1), RULES, strongest_simple="weekday_mean_56")
    assert decision.outcome is Outcome.HOLD
    assert "not surely better than weekday_mean_56" in decision.reasons[0]


def test_with_a_champion_the_champion_is_the_opponent():
    decision = decide(fold_forecasts(skill=0.8, champion=0.7), RULES, strongest_simple="weekday_mean_56")
    assert decision.opponent == "champion"
    assert decision.outcome is Outcome.HOLD


def test_equal_models_are_promoted_at_most_as_often_as_the_error_rate_says():
    promoted = sum(
        decide(fold_forecasts(skill=1.0, seed=seed, rows=800), RULES, strongest_simple="x").outcome is Outcome.RELEASE
        for seed in range(60)
    )
    assert promoted <= 6


def test_a_forced_release_says_so_and_keeps_the_broken_rules():
    decision = decide(fold_forecasts(skill=1.2), RULES, strongest_simple="x", is_forced=True)
    assert decision.outcome is Outcome.RELEASE
    assert decision.reasons[0] == "released by force"
    assert len(decision.reasons) > 1


def test_bias_and_coverage_are_named():
    rows = fold_forecasts(skill=0.5)
    rows["mean"] *= 1.1
    rows["q05"], rows["q95"] = rows["mean"] - 0.1, rows["mean"] + 0.1
    text = "; ".join(decide(rows, RULES, strongest_simple="x").reasons)
    assert "bias +" in text
    assert "intervals cover" in text


def test_a_candidate_that_is_worse_in_one_segment_is_refused_with_the_segment_named():
    rows = fold_forecasts(skill=0.6)
    promoted = rows["on_promotion"] == 1
    rows.loc[promoted, "mean"] = (
        rows.loc[promoted, "actual"] + 1.3 * (rows["strongest_simple"] - rows["actual"])[promoted]
    )
    decision = decide(rows, RULES, strongest_simple="x")
    assert decision.outcome is Outcome.HOLD
    assert decision.worst_segment == "on promotion"
    assert decision.worst_segment_loss == pytest.approx(0.3, abs=0.02)


def test_rows_without_stores_are_clustered_by_customer_or_one_by_one():
    rows = fold_forecasts(skill=0.7).drop(columns=["store_id", "on_promotion", "horizon_days"])
    assert decide(rows, RULES, strongest_simple="x").outcome is Outcome.RELEASE
    by_customer = decide(rows.assign(customer_id=np.arange(len(rows)) % 50), RULES, strongest_simple="x")
    assert by_customer.worst_segment == "all"
    assert by_customer.as_dict()["outcome"] == "release"


def test_a_mean_is_judged_by_squared_errors():
    """A forecast of the median has the smaller absolute errors and the larger squared ones."""
    rng = np.random.default_rng(3)
    actual = rng.lognormal(3, 1, 8000)
    rows = pd.DataFrame({"customer_id": np.arange(8000) % 200, "actual": actual, "champion": np.nan})
    rows = rows.assign(mean=np.exp(3.5), strongest_simple=np.exp(3), q05=0.0, q95=np.quantile(actual, 0.9))
    assert decide(rows, RULES, strongest_simple="median").outcome is Outcome.HOLD
    squared = RULES.model_copy(update={"loss": "squared"})
    assert decide(rows, squared, strongest_simple="median").outcome is Outcome.RELEASE
