"""What a user sees of the governor in the weeks around a shift, day by day on the tables of a cold store."""

from dataclasses import dataclass
from datetime import date, timedelta

import pytest

from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.monitoring.drift import DriftReport, FeatureDrift, FeatureState
from shelfcast.monitoring.drift_inputs import write_report
from shelfcast.retraining import governor
from shelfcast.retraining.decisions import decide_and_keep
from shelfcast.retraining.governor import GovernorRules

START = date(2025, 6, 2)
COOL_DOWN_DAYS = GovernorRules().cool_down_days
PROMISED = {"expected_wape": 0.4, "expected_bias": 0.0}


def day(number):
    return START + timedelta(days=number)


@dataclass(frozen=True, kw_only=True)
class Day:
    """What monitoring sees of a day: whether the inputs drift, how far the forecasts are off, and who made them."""

    is_drifting: bool = False
    bias: float = 0.0
    trained_until: int = -1


QUIET = Day()


def shifted(*, bias=-0.4, trained_until=-1):
    return Day(is_drifting=True, bias=bias, trained_until=trained_until)


def watch(store, number, seen):
    """Leaves what monitoring leaves of a day."""
    state = FeatureState.DRIFTED if seen.is_drifting else FeatureState.STEADY
    write_report(store, DriftReport(business_date=day(number), features=(FeatureDrift(feature="x", state=state),)))
    row = {
        "business_date": day(number - 1), "scored_on": day(number), "horizon_from": 1, "horizon_to": 1,
        "state": "scored", "release_id": f"demand-{day(seen.trained_until):%Y%m%d}-0123456789",
        "wape": 0.4, "bias": seen.bias, "coverage_90": None, "series_count": 9, "row_count": 9,
        "strongest_simple_wape": None, **PROMISED,
    }  # fmt: skip
    store.run("monitoring/insert_score", row)


def decisions(days):
    """The governor's decisions while a shop lives through some days; no retraining runs when it is asked."""
    store = DuckDBStore(num_threads=1)
    for table in ("registry/create_decisions", "monitoring/create_drift_checks", "monitoring/create_scores"):
        store.run(table)
    made = []
    for number, seen in enumerate(days):
        watch(store, number, seen)
        made.append(
            decide_and_keep(store, model="demand", business_date=day(number), is_retraining_in_flight=lambda: False)
        )
    return made


def asked_on(days):
    return [number for number, decision in enumerate(decisions(days)) if decision.outcome.value == "request"]


BEFORE = [QUIET] * 10
SHIFT = [shifted()] * 3
THIRD_DAY = 12


def test_a_shift_is_asked_for_once_although_the_inputs_go_on_drifting_after_the_release():
    coped = [shifted(bias=0.05, trained_until=THIRD_DAY)] * 50
    assert asked_on([*BEFORE, *SHIFT, *coped]) == [THIRD_DAY]


@pytest.mark.parametrize("days_until_release", [0, 1, 6, 13])
def test_a_shift_is_asked_for_once_although_the_release_does_not_cope_with_it(days_until_release):
    waiting = [shifted()] * days_until_release
    not_coped = [shifted(trained_until=THIRD_DAY)] * 50
    assert asked_on([*BEFORE, *SHIFT, *waiting, *not_coped]) == [THIRD_DAY]
    last = decisions([*BEFORE, *SHIFT, *waiting, *not_coped])[-1]
    assert last.cause.value == "answered"
    assert "demand_shift_since_2025-06-12 asked for goes on; what serves was trained on its days" in last.reason


def test_a_shift_is_asked_for_once_although_some_days_after_the_release_are_good_ones():
    good, bad = shifted(bias=0.0, trained_until=THIRD_DAY), shifted(trained_until=THIRD_DAY)
    assert asked_on([*BEFORE, *SHIFT, *([good, good, bad, bad, bad, bad] * 4)]) == [THIRD_DAY]


def test_weekly_releases_after_the_one_that_was_asked_for_change_nothing():
    weeks = [shifted(trained_until=THIRD_DAY + week * 7) for week in range(7) for _ in range(7)]
    assert asked_on([*BEFORE, *SHIFT, *weeks]) == [THIRD_DAY]


@pytest.mark.parametrize("between", [shifted(bias=0.05, trained_until=THIRD_DAY), Day(trained_until=THIRD_DAY)])
def test_a_second_later_shift_is_asked_for_again(between):
    """Also when the inputs have not stopped drifting from the first one."""
    second = [shifted(bias=-0.5, trained_until=THIRD_DAY)] * 10
    days = [*BEFORE, *SHIFT, *[between] * 20, *second]
    third_day_of_second = len(BEFORE) + len(SHIFT) + 20 + 2
    assert asked_on(days) == [THIRD_DAY, third_day_of_second]
    requests = {one.decision_id for one in decisions(days) if one.outcome.value == "request"}
    assert requests == {"demand_shift_since_2025-06-12", "demand_shift_since_2025-07-05"}


def test_a_second_shift_soon_after_the_first_is_asked_for_when_the_cool_down_is_over():
    coped = [shifted(bias=0.0, trained_until=THIRD_DAY)] * 4
    second = [shifted(bias=-0.5, trained_until=THIRD_DAY)] * 30
    assert asked_on([*BEFORE, *SHIFT, *coped, *second])[:2] == [THIRD_DAY, THIRD_DAY + COOL_DOWN_DAYS + 1]


def test_a_retraining_that_was_held_is_asked_for_once_a_cool_down_and_not_daily():
    held = [shifted()] * 40
    step = COOL_DOWN_DAYS + 1
    assert asked_on([*BEFORE, *SHIFT, *held]) == [THIRD_DAY, THIRD_DAY + step, THIRD_DAY + 2 * step]


def test_a_release_that_was_trained_before_the_shift_is_no_answer_to_it():
    older = [shifted(trained_until=THIRD_DAY - 1)] * 20
    assert asked_on([*BEFORE, *SHIFT, *older]) == [THIRD_DAY, THIRD_DAY + COOL_DOWN_DAYS + 1]


def test_a_release_that_was_rolled_back_is_no_answer_any_more():
    released, back = [shifted(trained_until=THIRD_DAY)] * 5, [shifted()] * 15
    assert asked_on([*BEFORE, *SHIFT, *released, *back]) == [THIRD_DAY, THIRD_DAY + COOL_DOWN_DAYS + 1]


def test_without_looking_at_what_the_release_has_learned_the_same_shift_is_asked_for_again(monkeypatch):
    """Negative control."""
    monkeypatch.setattr(governor, "_is_answered", lambda *_: False)
    assert len(asked_on([*BEFORE, *SHIFT, *[shifted(trained_until=THIRD_DAY)] * 50])) > 1


def test_without_an_end_of_the_cause_a_second_shift_would_never_be_asked_for(monkeypatch):
    """Negative control."""
    monkeypatch.setattr(governor, "_is_over", lambda *_: False)
    coped, second = [Day(trained_until=THIRD_DAY)] * 20, [shifted(bias=-0.5, trained_until=THIRD_DAY)] * 20
    assert asked_on([*BEFORE, *SHIFT, *coped, *second]) == [THIRD_DAY]
