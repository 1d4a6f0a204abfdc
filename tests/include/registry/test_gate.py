"""The gate: better passes, equal and worse do not, and every hold names its rules."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import poisson

from shelfcast.model.candidate import Question
from shelfcast.model.declaration import GateRules
from shelfcast.registry import gate
from shelfcast.registry.candidate_cost import CandidateCost
from shelfcast.registry.gate import MOSTLY_NOTHING, Evidence, Outcome

RULES = GateRules(minimum_effect=0.005, segment_margin=0.05, bias_limit=0.05, coverage_range=(0.86, 0.94), alpha=0.05)
COST = CandidateCost(model_bytes=1_000_000, microseconds_per_row=9.0)
FIRST = np.datetime64("2025-01-13")


def decide(rows, rules, *, strongest_simple, cost=COST, **options):
    return gate.decide(rows, rules, strongest_simple=strongest_simple, cost=cost, **options)


def fold_forecasts(*, skill, seed=1, champion=None, stores=20, rows=4000):
    """Rows of a candidate whose errors are `skill` times those of its reference."""
    rng = np.random.default_rng(seed)
    actual = rng.gamma(5, 4, rows)
    error = rng.normal(0, 4, rows)
    other = actual + rng.normal(0, 4, rows)
    mean = actual + error * skill
    fold, horizon = rng.integers(0, 6, rows), rng.integers(1, 29, rows)
    return pd.DataFrame(
        {
            "store_id": rng.integers(0, stores, rows),
            "on_promotion": rng.integers(0, 2, rows),
            "horizon_days": horizon,
            "fold": fold,
            "sales_date": FIRST + 28 * (5 - fold) + horizon,
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
    assert decision.reference == "weekday_mean_56"
    assert decision.gain == pytest.approx(0.2, abs=0.03)
    assert decision.gain_low < decision.gain


def test_a_first_candidate_that_does_not_beat_the_simple_method_is_held_back():
    decision = decide(fold_forecasts(skill=1.1), RULES, strongest_simple="weekday_mean_56")
    assert decision.outcome is Outcome.HOLD
    assert "not surely better than weekday_mean_56" in decision.reasons[0]


def test_a_recipe_has_to_beat_the_champions_recipe():
    recipe = Evidence(question=Question.RECIPE, changes=["fit.num_leaves 31 → 63"])
    decision = decide(fold_forecasts(skill=0.8, champion=0.7), RULES, strongest_simple="x", evidence=recipe)
    assert (decision.reference, decision.question) == ("the champion's recipe", Question.RECIPE)
    assert decision.outcome is Outcome.HOLD
    better = decide(fold_forecasts(skill=0.6, champion=0.8), RULES, strongest_simple="x", evidence=recipe)
    assert better.outcome is Outcome.RELEASE
    assert "asked whether the recipe is better than the champion's (fit.num_leaves 31 → 63)" in better.reasons


def test_a_forced_release_says_so_and_keeps_the_rule_violations():
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


def biased(*, by_origin):
    """Fold forecasts of a good candidate whose totals lie off by a share of each of the six origins."""
    rows = fold_forecasts(skill=0.3)
    return rows.assign(mean=rows["mean"] * (1 + np.asarray(by_origin))[rows["fold"]])


def test_a_bias_has_to_be_shown_for_months_are_good_and_bad_for_all_stores_alike():
    swings = decide(biased(by_origin=[-0.16, 0.02, -0.14, 0.02, -0.12, 0.02]), RULES, strongest_simple="x")
    lasts = decide(biased(by_origin=[-0.06] * 6), RULES, strongest_simple="x")
    assert swings.bias == pytest.approx(lasts.bias, abs=0.01)
    assert RULES.bias_limit < -swings.bias
    assert -0.05 < swings.bias_shown < 0
    assert swings.outcome is Outcome.RELEASE
    assert any(reason.startswith("bias -6") for reason in lasts.reasons)
    assert lasts.outcome is Outcome.HOLD


def rare_items(*, forecast, stores=8, series=25, seed=1):
    """Two days of three without a sale; `forecast` answers what is forecast of days of a known mean, and of the usual one."""
    rng = np.random.default_rng(seed)
    number, day = (part.ravel() for part in np.indices((stores * series, 6 * 28)))
    usual = 0.45 * rng.gamma(3, 1 / 3, stores * series)[number]
    mean = usual * np.exp(0.5 * rng.normal(size=len(day)) - 0.125)
    rows = pd.DataFrame(
        {"store_id": number % stores, "series_id": number, "fold": 5 - day // 28, "horizon_days": day % 28 + 1}
    )
    told = forecast(mean, usual)
    return rows.assign(
        sales_date=FIRST + day,
        actual=rng.poisson(mean).astype(float),
        mean=told,
        strongest_simple=usual,
        champion=np.nan,
        q05=0.0,
        q95=poisson.ppf(0.95, told),
    )


def test_a_better_mean_of_rare_items_is_released_and_a_forecast_of_nothing_is_not():
    """Absolute errors call nothing the best forecast of a day that more often than not sells nothing."""
    good, nothing = (rare_items(forecast=forecast) for forecast in (lambda mean, _: mean, lambda mean, _: mean / 100))
    assert (good["actual"] == 0).mean() > 0.6
    absolute = {
        name: (rows["actual"] - rows["mean"]).abs().mean() for name, rows in (("good", good), ("nothing", nothing))
    }
    assert absolute["nothing"] < 0.9 * absolute["good"]
    released = decide(good, RULES.model_copy(update={"coverage_range": (0.8, 1.0)}), strongest_simple="x")
    assert released.outcome is Outcome.RELEASE
    assert released.rules["loss"] == "squared"
    assert MOSTLY_NOTHING in released.reasons
    held = decide(nothing, RULES, strongest_simple="x")
    assert held.outcome is Outcome.HOLD
    assert held.reasons[0].startswith("not surely better than x: the gain is -")


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
    assert "in segment on promotion (+30" in "; ".join(decision.reasons)


def test_rows_without_stores_are_drawn_by_customer_and_have_no_segments():
    rows = fold_forecasts(skill=0.7).drop(columns=["store_id", "on_promotion", "horizon_days"])
    decision = decide(rows.assign(customer_id=np.arange(len(rows)) % 50), RULES, strongest_simple="x")
    assert (decision.outcome, decision.cluster, decision.clusters) == (Outcome.RELEASE, "customer_id", 50)
    assert decision.worst_segment == "all"
    assert decision.worst_segment_loss == -decision.gain


def test_every_number_and_every_rule_is_in_the_record():
    decision = decide(fold_forecasts(skill=0.8), RULES, strongest_simple="x")
    record = json.loads(json.dumps(decision.as_dict(), allow_nan=False))
    assert record["outcome"] == "release"
    assert record["rules"] == RULES.model_dump(mode="json")
    assert record["diebold_mariano"]["p_value"] < 0.05
    assert record["textbook_t"]["observations"] == 4000
    assert {"on promotion", "week 4 ahead", "large stores"} <= {segment["name"] for segment in record["segments"]}
    assert record["cost"] == {"model_bytes": 1_000_000, "microseconds_per_row": 9.0}
    assert decision.figures()["gate_gain_low"] == decision.gain_low
    assert f"at least by {decision.gain_low:.1%}" in decision.reasons[0]


def test_a_single_origin_cannot_show_a_gain():
    rows = fold_forecasts(skill=0.5)
    decision = decide(rows[rows["fold"] == 0], RULES, strongest_simple="x")
    assert decision.outcome is Outcome.HOLD
    assert decision.gain_low is None
    assert "20 values of store_id and 1 stretches of days cannot tell" in decision.reasons[0]
    assert "28 days cannot tell with a lag of 27" in decision.reasons[1]
    assert "gate_gain_low" not in decision.figures()


def test_a_gain_that_comes_and_goes_from_day_to_day_is_not_enough():
    """The whole gain is that of two days, on which every store did better."""
    rows = fold_forecasts(skill=1.0, rows=20_000)
    rows["mean"] = rows["strongest_simple"]
    lucky = rows["sales_date"].isin([FIRST + 30, FIRST + 90])
    rows.loc[lucky, "mean"] = rows.loc[lucky, "actual"]
    decision = decide(rows, RULES, strongest_simple="x")
    assert decision.outcome is Outcome.HOLD
    assert decision.gain > RULES.minimum_effect
    assert decision.textbook_t.p_value < 0.001
    assert "by Diebold and Mariano (" in "; ".join(decision.reasons)


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        ({"model_bytes": 70_000_000}, "the model has 70,000,000 bytes, 67,108,864 are allowed"),
        ({"microseconds_per_row": 151.2}, "a prediction takes 151 µs a row, 150 are allowed"),
        ({"microseconds_per_row": None}, "could not be run to take its time"),
    ],
)
def test_a_model_too_large_or_too_slow_is_held(cost, said):
    decision = decide(fold_forecasts(skill=0.8), RULES, strongest_simple="x", cost=replace(COST, **cost))
    assert decision.outcome is Outcome.HOLD
    assert len(decision.reasons) == 1
    assert said in decision.reasons[0]


def test_intervals_that_fail_in_one_segment_are_named():
    rows = fold_forecasts(skill=0.8, rows=8000)
    ahead = rows["horizon_days"] > 21
    rows.loc[ahead, "q95"] = rows.loc[ahead, "mean"] + 4 * 0.8
    decision = decide(rows, RULES, strongest_simple="x")
    assert len(decision.reasons) == 1
    assert decision.reasons[0].startswith("90 % intervals cover 7")
    assert "in segment week 4 ahead, more than 5 points too little or too much" in decision.reasons[0]


def test_a_mean_is_judged_by_squared_errors():
    """A forecast of the median has the smaller absolute errors and the larger squared ones."""
    rng = np.random.default_rng(3)
    actual = rng.lognormal(3, 1, 8000)
    rows = pd.DataFrame({"customer_id": np.arange(8000) % 200, "actual": actual, "champion": np.nan})
    rows = rows.assign(fold=np.arange(8000) // 2000, ordered_at=FIRST + np.arange(8000) // 80)
    rows = rows.assign(mean=np.exp(3.5), strongest_simple=np.exp(3), q05=0.0, q95=np.quantile(actual, 0.9))
    assert decide(rows, RULES, strongest_simple="median").outcome is Outcome.HOLD
    squared = RULES.model_copy(update={"loss": "squared"})
    assert decide(rows, squared, strongest_simple="median").outcome is Outcome.RELEASE
