"""A refresh beside what was said before its days came: what proves it, what holds it, and what is too little to tell."""

import numpy as np
import pandas as pd
import pytest

from shelfcast.model.candidate import Question
from shelfcast.registry import gate
from shelfcast.registry.gate import Evidence, Outcome
from shelfcast.registry.gate_simulation import COST, RULES, SimulatedPanel, simulate
from shelfcast.registry.refresh import Nearness, Verdict, beside_served, compare, nearness

PANEL = SimulatedPanel(stores=12, items=8, shared=0.98, store_spread=0.01, day_spread=0.01)
SERVED = {"served": "champion", "served_q05": "q05", "served_q95": "q95"}


def near(change, store_change):
    """Two models of which nothing was scored yet."""
    return Nearness(
        business_date="2025-06-29",
        entities=96,
        total_change=change,
        missed=None,
        unexplained=change,
        furthest_store="1",
        furthest_unexplained=store_change,
    )


NEAR, FAR = near(0.01, 0.04), near(0.4, 0.5)


def with_served(rows):
    """Fold forecasts whose origins were served by what the simulation calls the champion."""
    return rows.assign(**{name: rows[column] for name, column in SERVED.items()}, champion=np.nan)


def decide(rows, *, since=None, near=NEAR, **about):
    evidence = Evidence(question=Question.REFRESH, since_champion=since, nearness=near, **about)
    return gate.decide(rows, RULES, strongest_simple="x", cost=COST, evidence=evidence)


def refresh(*, seed=1, **simulated):
    return with_served(simulate(PANEL, seed=seed, **simulated))


def newest(rows, origins):
    """The rows of so many newest origins."""
    return rows[rows["fold"] < origins]


def test_a_refresh_as_good_as_what_served_is_released_and_says_what_it_rests_on():
    decision = decide(refresh())
    assert decision.outcome is Outcome.RELEASE
    assert decision.question is Question.REFRESH
    assert decision.served.verdict is Verdict.NO_WORSE
    said = "; ".join(decision.reasons)
    assert "asked whether the refresh is sound" in said
    assert "which neither side had seen" in said
    assert "0 days since the champion's cutoff are too few" in said


def test_a_refresh_that_falls_behind_what_served_is_held_with_the_number():
    decision = decide(refresh(gain=-0.08))
    assert decision.outcome is Outcome.HOLD
    assert decision.served.gain == pytest.approx(-0.08, abs=0.03)
    assert decision.reasons[0].startswith("not shown to be within 2% of what was served at the folds' origins: error ")


def test_without_a_ledger_it_rests_on_the_folds_and_on_todays_vectors():
    rows = simulate(PANEL, seed=1).assign(champion=np.nan)
    close, far = (decide(rows, near=found) for found in (NEAR, FAR))
    assert close.outcome is Outcome.RELEASE
    assert far.outcome is Outcome.HOLD
    assert "+40.0% and +50.0% in store 1 are unexplained, beyond ±15% in all" in far.reasons[0]


def test_a_champion_that_a_shift_has_made_worse_loses_by_the_number_and_may_be_far():
    since = refresh(gain=0.2, seed=4)
    decision = decide(refresh(), since=since, near=FAR)
    assert decision.outcome is Outcome.RELEASE
    assert decision.since_champion.verdict is Verdict.BETTER
    assert decision.reasons[0].startswith("better than the champion since its cutoff, by 2")


def test_one_week_since_the_cutoff_neither_proves_nor_holds():
    since = newest(refresh(gain=-0.05, seed=4), 1)
    decision = decide(refresh(), since=since)
    assert decision.since_champion.verdict is Verdict.TOO_FEW
    assert decision.outcome is Outcome.RELEASE
    assert "28 days since the champion's cutoff are too few" in "; ".join(decision.reasons)


def test_eight_weeks_of_being_worse_since_the_cutoff_hold_it():
    since = newest(refresh(gain=-0.1, seed=4), 4)
    assert decide(refresh(), since=since).outcome is Outcome.HOLD


def test_a_limit_that_what_served_broke_as_well_is_told_and_does_not_hold_it():
    rows = refresh()
    rows["q95"] = rows["mean"] + (rows["q95"] - rows["mean"]) * 0.7
    alone = decide(rows)
    assert alone.outcome is Outcome.HOLD
    assert "intervals cover" in alone.reasons[0]
    shared = decide(rows.assign(served_q95=rows["q95"]))
    assert shared.outcome is Outcome.RELEASE
    assert any(reason.startswith("told, for what was served is no better: 90 % intervals") for reason in shared.reasons)


def test_a_candidate_of_older_days_than_the_champion_is_held():
    decision = decide(refresh(), is_older=True)
    assert decision.outcome is Outcome.HOLD
    assert "the champion has learned from later days than this candidate" in decision.reasons


def test_a_champion_of_other_features_is_compared_by_what_it_said():
    recipe = Evidence(question=Question.RECIPE, changes=["features (+price_gap)"])

    def decided(gain):
        rows = refresh(gain=gain, seed=2)
        return gate.decide(rows, RULES, strongest_simple="x", cost=COST, evidence=recipe)

    assert decided(0.08).outcome is Outcome.RELEASE
    assert decided(0.08).reference == "what was served at the folds' origins"
    assert decided(0.0).outcome is Outcome.HOLD


def test_where_it_said_too_little_the_strongest_simple_method_stands_in_and_that_is_said():
    rows = refresh(gain=0.08, seed=2)
    rows.loc[rows["fold"] > 0, "served"] = np.nan
    recipe = Evidence(question=Question.RECIPE, changes=["features (+price_gap)"])
    decision = gate.decide(rows, RULES, strongest_simple="x", cost=COST, evidence=recipe)
    assert decision.reference == "x"
    assert "x stands in" in decision.reasons[-1]


def test_the_ledger_is_laid_beside_the_same_origin_series_and_day_only():
    rows = pd.DataFrame({"series_id": ["a", "a", "b"], "business_date": [np.datetime64("2025-01-05")] * 3})
    rows = rows.assign(horizon_days=[1, 2, 1], mean=[1.0, 2.0, 3.0])
    ledger = rows.assign(mean=[10.0, 20.0, 30.0], q05=0.0, q95=99.0, release_id="r")
    later = ledger.assign(business_date=np.datetime64("2025-01-12"), mean=-1.0)
    found = beside_served(rows, pd.concat([ledger.iloc[[2, 0]], later]))
    assert found["served"].tolist()[:1] == [10.0]
    assert np.isnan(found["served"].iloc[1])
    assert found["mean"].tolist() == [1.0, 2.0, 3.0]
    assert beside_served(pd.DataFrame({"customer_id": [1]}), ledger)["served"].isna().all()


def test_rows_without_a_sale_compare_nothing():
    assert compare(refresh().assign(actual=0.0), RULES, reference="x") is None


def test_how_near_two_models_are_is_told_by_total_and_by_the_furthest_store():
    totals = {"A": (np.array([10.0, 5.0]), np.array([10.0, 5.0])), "B": (np.array([6.0]), np.array([5.0]))}
    found = nearness(totals, business_date="2025-06-29", has_stores=True)
    assert (found.total_change, found.furthest_store) == (pytest.approx(0.05), "B")
    assert found.furthest_unexplained == pytest.approx(0.2)
    assert found.is_within(RULES)
    nothing = nearness({"A": (np.array([1.0]), np.array([0.0]))}, business_date="d", has_stores=True)
    assert not nothing.is_within(RULES), "a change that has no number is not near"
    assert nearness({}, business_date="d", has_stores=True) is None


def test_a_refresh_that_is_as_good_over_all_but_harms_a_segment_is_held_with_the_segment_named():
    def promoted(rows):
        return rows["on_promotion"] > 0

    harmed = with_served(simulate(PANEL, seed=1, gain=0.06, worse_by=0.25, where=promoted))
    decision = decide(harmed)
    assert decision.outcome is Outcome.HOLD
    assert "and in segment on promotion (+1" in decision.reasons[0]


def test_a_change_towards_what_the_champion_missed_is_no_distance():
    totals = {"A": (np.array([130.0]), np.array([100.0])), "B": (np.array([104.0]), np.array([80.0]))}
    sold = {"A": (14.0, 10.0), "B": (13.0, 10.0)}
    found = nearness(totals, business_date="2025-06-29", has_stores=True, sold=sold)
    assert (found.total_change, found.missed) == (pytest.approx(0.3), pytest.approx(0.35))
    assert found.unexplained == pytest.approx(1.3 / 1.35 - 1)
    assert found.is_within(RULES)
    assert not nearness(totals, business_date="d", has_stores=True).is_within(RULES)
    away = {"A": (7.0, 10.0), "B": (7.0, 10.0)}
    assert not nearness(totals, business_date="d", has_stores=True, sold=away).is_within(RULES)
