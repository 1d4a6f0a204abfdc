"""The gate's own errors: how often it promotes an equal candidate, a better one, and one that is worse in a segment."""

import sys

import pytest

from shelfcast.registry import gate_simulation
from shelfcast.registry.gate import Outcome
from shelfcast.registry.gate_simulation import (
    DEMO,
    RULES,
    SHAKEN,
    SimulatedPanel,
    decided,
    main,
    refreshes,
    refusals,
    shares,
    simulate,
)

TINY = SimulatedPanel(stores=6, items=2, origins=3, horizon_days=28)
THOUSAND_STORES = SimulatedPanel(stores=1115, horizon_days=42)


def test_equal_candidates_are_promoted_at_most_as_often_as_the_error_rate_says():
    """With no minimum effect, which alone would keep them out; either one of the other tests lets them through."""
    rules = RULES.model_copy(update={"minimum_effect": 0.0})
    found = shares(SHAKEN, decisions=60, rules=rules, first_seed=5000)
    assert found.bootstrap <= RULES.alpha
    assert found.both <= RULES.alpha
    assert found.released <= RULES.alpha
    assert found.diebold_mariano > RULES.alpha
    assert found.textbook > 0.25


def test_a_candidate_that_is_three_percent_better_is_promoted_at_rossmanns_size():
    found = shares(THOUSAND_STORES, decisions=5, gain=0.03, first_seed=300)
    assert found.released >= 0.8


def test_a_candidate_that_is_better_but_worse_in_one_segment_is_held_with_the_segment_named():
    assert refusals(SimulatedPanel(stores=40, items=5), decisions=4) == 1.0
    without_it = simulate(SimulatedPanel(stores=40, items=5), seed=0, gain=0.08)
    assert decided(without_it).outcome is Outcome.RELEASE


def test_a_sound_refresh_is_released_and_one_that_falls_behind_is_held():
    assert refreshes(decisions=20) >= 0.95
    assert refreshes(decisions=20, origins=4) >= 0.95
    assert refreshes(decisions=20, loss=0.05) <= 0.1


def test_the_two_forecasts_of_a_panel_are_as_good_as_each_other_or_as_good_as_asked():
    equal, better = (simulate(DEMO, seed=1, gain=gain) for gain in (0.0, 0.5))
    error = [(rows["mean"] - rows["actual"]).abs().sum() for rows in (equal, better)]
    assert error[1] == pytest.approx(error[0] / 2)
    assert (equal["champion"] == better["champion"]).all()
    assert not (equal["champion"] == equal["mean"]).any()


def test_the_shares_are_printed_and_drawn(monkeypatch, tmp_path, capsys):
    for name in ("ROSSMANN", "MIDDLE"):
        monkeypatch.setattr(gate_simulation, name, TINY)
    monkeypatch.setattr(gate_simulation, "PANELS", {"8 stores": TINY, "Rossmann's 1,115": TINY})
    arguments = ["gate_simulation", "--decisions", "1", "--of-rossmann", "1", "--out", str(tmp_path / "new")]
    monkeypatch.setattr(sys, "argv", arguments)
    main()
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2 + len(gate_simulation.GAINS) + 1 + len(gate_simulation.LOSSES)
    assert (tmp_path / "new" / "gate_errors.png").stat().st_size > 10_000
