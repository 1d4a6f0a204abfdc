"""How a business date is judged, and against what error."""

from datetime import date, timedelta

import numpy as np
import pytest

from shelfcast.retraining.windows import ErrorRules, Observation, WindowState, error_reference, judge

START = date(2025, 7, 1)


def seen(day, *, drifted=(), bias=0.0, wape=0.4, judged=5, **more):
    return Observation(
        business_date=START + timedelta(days=day), features_judged=judged, drifted=tuple(drifted), bias=bias, wape=wape,
        **more,
    )  # fmt: skip


UNSCORED = {"bias": None, "wape": None}


@pytest.mark.parametrize(
    ("found", "state"),
    [
        ({}, "quiet"),
        ({"drifted": ["a"]}, "drift_only"),
        ({"bias": -0.4}, "error_only"),
        ({"drifted": ["a"], "bias": -0.4}, "confirmed"),
        ({"drifted": ["a"], "bias": 0.4}, "confirmed"),
        ({"drifted": ["a"], "wape": 0.6, "expected_wape": 0.4}, "confirmed"),
        ({"drifted": ["a"], "wape": 0.5, "expected_wape": 0.4}, "drift_only"),
        ({"drifted": ["a"], "bias": -0.4, "expected_bias": -0.4}, "drift_only"),
        ({"drifted": ["a"], "bias": 0.0, "expected_bias": -0.4}, "confirmed"),
        ({"judged": 0, "is_checked": False}, "not_checked"),
        ({"judged": 0}, "no_reference"),
        ({"judged": 0, "bias": -0.9}, "no_reference"),
        ({"score_state": "no_forecasts", **UNSCORED}, "quiet"),
        ({"drifted": ["a"], "score_state": "no_forecasts", **UNSCORED}, "no_forecasts"),
        ({"drifted": ["a"], "score_state": "not_scored", **UNSCORED}, "no_forecasts"),
        ({"drifted": ["a"], "score_state": "no_sales", **UNSCORED}, "nothing_sold"),
        ({"drifted": ["a"], "score_state": "nothing_countable", **UNSCORED}, "nothing_sold"),
    ],
)
def test_a_window_is_confirmed_by_inputs_and_errors_together(found, state):
    [window] = judge([seen(0, **found)])
    assert window.state.value == state


def test_before_there_are_scores_the_usual_spread_holds():
    reference = error_reference(seen(0), [], ErrorRules())
    assert (reference.bias, reference.bias_limit, reference.wape_limit, reference.scores) == (0.0, 0.15, None, 0)


def test_the_release_says_what_is_expected_and_the_scores_how_it_spreads():
    rng = np.random.default_rng(0)
    past = [seen(day, bias=b, wape=0.4) for day, b in enumerate(rng.normal(0.05, 0.1, 40))]
    with_release = error_reference(seen(40, expected_bias=0.01, expected_wape=0.3), past, ErrorRules())
    without = error_reference(seen(40), past, ErrorRules())
    assert with_release.bias == 0.01
    assert with_release.wape_limit == pytest.approx(0.39)
    assert without.bias == pytest.approx(0.05, abs=0.04)
    assert without.wape == 0.4
    assert without.bias_limit == with_release.bias_limit == pytest.approx(0.2, abs=0.08)
    assert without.scores == 37


def test_a_shift_of_three_days_does_not_change_its_own_reference():
    past = [seen(day, bias=0.01 * (-1) ** day) for day in range(20)]
    shifted = [seen(20 + day, bias=-0.45) for day in range(2)]
    before = error_reference(seen(20), past, ErrorRules(recent_windows=3))
    during = error_reference(seen(22), past + shifted, ErrorRules(recent_windows=3))
    assert during.bias_limit == before.bias_limit == 0.15
    assert abs(during.bias - before.bias) <= 0.02


def test_unscored_days_do_not_count_as_scores():
    past = [seen(day, score_state="no_forecasts", **UNSCORED) for day in range(40)]
    assert error_reference(seen(40), past, ErrorRules()).scores == 0


def test_later_days_do_not_change_how_a_day_was_judged():
    days = [seen(day, bias=b) for day, b in enumerate(np.random.default_rng(1).normal(0, 0.2, 30))]
    assert judge(days)[:15] == judge(days[:15])


def test_a_window_can_be_written_as_json():
    import json

    [window] = judge([seen(0, drifted=["a"], bias=-0.4)])
    written = json.loads(json.dumps(window.as_dict()))
    assert written["state"] == "confirmed"
    assert written["business_date"] == "2025-07-01"
    assert written["reference"]["bias_limit"] == 0.15
    assert judge([seen(0, judged=0, score_state="no_sales", **UNSCORED)])[0].as_dict()["reference"] is None
    assert window.state is WindowState.CONFIRMED
