"""When the governor asks, and how often."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfcast.retraining.governor import Cause, GovernorRules, Outcome, Request, decide
from shelfcast.retraining.windows import Observation, Window, WindowState, judge

START = date(2025, 7, 1)
LETTERS = {
    "C": WindowState.CONFIRMED,
    "q": WindowState.QUIET,
    "d": WindowState.DRIFT_ONLY,
    "e": WindowState.ERROR_ONLY,
    "n": WindowState.NO_FORECASTS,
    "r": WindowState.NO_REFERENCE,
    "s": WindowState.NOTHING_SOLD,
    "k": WindowState.NOT_CHECKED,
}


def day(number):
    return START + timedelta(days=number)


def windows(letters):
    """A window a day; `-` is a day without one."""
    return [
        Window(observation=Observation(business_date=day(at), features_judged=5), state=LETTERS[letter], reference=None)
        for at, letter in enumerate(letters)
        if letter != "-"
    ]


def decided(letters, *, on=None, **more):
    on = len(letters) - 1 if on is None else on
    return decide(windows(letters), business_date=day(on), model="demand", **more)


@pytest.mark.parametrize(
    ("letters", "cause"),
    [
        ("", Cause.CANNOT_JUDGE),
        ("q", Cause.NO_SHIFT),
        ("C", Cause.NOT_YET_CONFIRMED),
        ("CC", Cause.NOT_YET_CONFIRMED),
        ("CCC", Cause.THIRD_CONFIRMED_WINDOW),
        ("qqCCC", Cause.THIRD_CONFIRMED_WINDOW),
        ("CqCC", Cause.NOT_YET_CONFIRMED),
        ("CdCC", Cause.NOT_YET_CONFIRMED),
        ("CeCC", Cause.NOT_YET_CONFIRMED),
        ("CCq", Cause.NO_SHIFT),
        ("CsCC", Cause.THIRD_CONFIRMED_WINDOW),
        ("CnkrnC-C", Cause.NOT_YET_CONFIRMED),
        ("CnkC-C", Cause.THIRD_CONFIRMED_WINDOW),
        ("C----CC", Cause.NOT_YET_CONFIRMED),
        ("CCn", Cause.CANNOT_JUDGE),
        ("CC-", Cause.CANNOT_JUDGE),
        ("CCs", Cause.CANNOT_JUDGE),
        ("nnnrrk", Cause.CANNOT_JUDGE),
        ("rrrr", Cause.NO_REFERENCE),
        ("CCr", Cause.NO_REFERENCE),
        ("CCr-", Cause.CANNOT_JUDGE),
        ("eeee", Cause.NO_SHIFT),
        ("dddd", Cause.NO_SHIFT),
    ],
)
def test_three_confirmed_windows_in_a_row_are_needed(letters, cause):
    decision = decided(letters, on=len(letters) - 1 if letters else 0)
    assert decision.cause is cause
    assert (decision.outcome is Outcome.REQUEST) == (cause is Cause.THIRD_CONFIRMED_WINDOW)
    assert decision.reason


def test_the_id_names_the_first_day_of_the_shift():
    assert decided("qCCC").decision_id == "demand_shift_since_2025-07-02"
    assert decided("qC").decision_id == "demand_hold_2025-07-02"


def asked(letters, rules=None, in_flight_days=0):
    """Runs the governor day by day; returns the days on which it asked, and the requests."""
    requests = []
    for on in range(len(letters)):
        in_flight = any((day(on) - one.business_date).days <= in_flight_days for one in requests)
        decision = decided(letters, on=on, requests=requests, is_retraining_in_flight=in_flight, rules=rules)
        if decision.outcome is Outcome.REQUEST:
            requests.append(Request(decision_id=decision.decision_id, business_date=day(on), reason=decision.reason))
    return [(one.business_date - START).days for one in requests], requests


def test_a_lasting_shift_asks_again_only_after_the_cool_down():
    days, requests = asked("C" * 40)
    assert days == [2, 17, 32]
    assert len({request.decision_id for request in requests}) == 3


def test_a_retraining_that_takes_longer_than_the_cool_down_is_waited_for():
    assert asked("C" * 30, in_flight_days=20)[0] == [2, 23]


def test_a_retraining_in_flight_holds_and_the_cause_keeps_its_day():
    held = decided("CCC", is_retraining_in_flight=True)
    assert held.cause is Cause.RETRAINING_IN_FLIGHT
    assert decided("CCCC").decision_id == decided("CCC").decision_id == "demand_shift_since_2025-07-01"


def test_a_rerun_gives_the_same_request_whatever_happened_since():
    first = decided("CCC")
    kept = [Request(decision_id=first.decision_id, business_date=day(2), reason=first.reason)]
    for letters in ("CCC", "CCCCCC", "qqq", "CqC"):
        again = decided(letters, on=2, requests=kept, is_retraining_in_flight=True)
        assert (again.decision_id, again.outcome, again.reason) == (first.decision_id, Outcome.REQUEST, first.reason)


def test_an_older_date_that_is_run_again_does_not_ask_a_second_time():
    request = Request(decision_id="demand_shift_since_2025-07-02", business_date=day(3))
    assert decided("CCCC", on=2, requests=[request]).cause is Cause.COOLING_DOWN


def test_without_the_memory_of_requests_every_day_asks():
    """Negative control."""
    assert [decided("C" * 6, on=on).outcome for on in range(6)].count(Outcome.REQUEST) == 4


def test_later_windows_do_not_change_a_decision():
    assert decided("qCCC", on=3) == decided("qCCCqqCC", on=3)


@settings(max_examples=200, deadline=None)
@given(st.text("CCCqdens-", max_size=60), st.integers(1, 4), st.integers(0, 20))
def test_no_two_requests_lie_within_the_cool_down_and_each_ends_a_row(letters, needed, cool_down):
    rules = GovernorRules(confirmed_windows=needed, cool_down_days=cool_down)
    days, requests = asked(letters, rules)
    assert all(later - earlier > cool_down for earlier, later in pairwise(days))
    assert len({request.decision_id for request in requests}) == len(requests)
    for on in days:
        judged = [letter for letter in letters[: on + 1] if letter in "Cqde"]
        assert judged[-needed:] == ["C"] * needed


def test_the_reason_has_the_numbers():
    found = [
        Observation(
            business_date=day(at), features_judged=5, drifted=("demand_level",), bias=-0.44, wape=0.61,
            expected_bias=0.01, expected_wape=0.4,
        )
        for at in range(3)
    ]  # fmt: skip
    decision = decide(judge(found), business_date=day(2), model="demand")
    assert "3 confirmed windows in a row" in decision.reason
    assert "demand_level" in decision.reason
    assert "bias -44.0%, expected +1.0% ± 15.0%" in decision.reason
    assert "WAPE 61.0%, expected at most 52.0%" in decision.reason
    assert decision.details["confirmed_in_a_row"] == 3
    assert len(decision.details["windows"]) == 3


@pytest.mark.parametrize(
    ("letters", "more", "said"),
    [
        ("q", {}, "No shift is confirmed"),
        ("CC", {}, "2 of 3"),
        ("CCn", {}, "cannot be judged"),
        ("rrr", {}, "No input has a reference of enough weeks"),
        ("CCC", {"is_retraining_in_flight": True}, "waits or runs already"),
        ("C" * 8, {"requests": [Request(decision_id="earlier", business_date=day(2))]}, "earlier asked"),
    ],
)
def test_a_hold_says_why(letters, more, said):
    decision = decided(letters, **more)
    assert decision.outcome is Outcome.HOLD
    assert said in decision.reason


def test_a_date_that_nobody_checked_is_held():
    decision = decide([], business_date=START, model="demand")
    assert decision.cause is Cause.CANNOT_JUDGE
    assert "No business date was checked yet" in decision.reason


def test_what_is_not_known_is_said_to_be_unknown():
    [window] = judge([Observation(business_date=START, features_judged=5, bias=0.0, wape=0.4)])
    assert "expected unknown" in decide([window], business_date=START, model="demand").reason
