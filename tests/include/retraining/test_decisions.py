"""The governor on a cold store in DuckDB: from the tables of monitoring to one row a business date."""

import json
from datetime import date, timedelta

import pytest

from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.errors import PostConditionFailed
from shelfcast.monitoring.drift import DriftReport, FeatureDrift, FeatureState
from shelfcast.monitoring.drift_inputs import write_report
from shelfcast.registry.decisions import Entry, record
from shelfcast.retraining import decisions
from shelfcast.retraining.decisions import decide_and_keep, read_observations, read_requests

START = date(2025, 7, 1)


def day(number):
    return START + timedelta(days=number)


@pytest.fixture
def store():
    made = DuckDBStore(num_threads=1)
    for table in ("registry/create_decisions", "monitoring/create_drift_checks", "monitoring/create_scores"):
        made.run(table)
    return made


def checked(store, number, *states):
    names = ("demand_level", "zero_share", "price_level")
    features = tuple(FeatureDrift(feature=name, state=state) for name, state in zip(names, states, strict=False))
    write_report(store, DriftReport(business_date=day(number), features=features))


def scored(store, number, *, bias=0.0, state="scored"):
    values = {"bias": bias, "wape": 0.4} if state == "scored" else {"bias": None, "wape": None}
    for horizon in (1, 7):
        row = {
            "business_date": day(number - horizon), "scored_on": day(number), "horizon_from": 1, "horizon_to": horizon,
            "state": state, "release_id": "demand-1", "coverage_90": None, "series_count": 9, "row_count": 9,
            "strongest_simple_wape": None, "expected_wape": 0.4, "expected_bias": 0.0 if horizon == 1 else 9.0, **values,
        }  # fmt: skip
        store.run("monitoring/insert_score", row)


def shifted(store, numbers):
    for number in numbers:
        checked(store, number, FeatureState.DRIFTED, FeatureState.CONSTANT, FeatureState.DRIFTED)
        scored(store, number, bias=-0.4)


def decided(store, number, *, in_flight=False):
    return decide_and_keep(store, model="demand", business_date=day(number), is_retraining_in_flight=lambda: in_flight)


def kept(store):
    return store.connection.execute(
        "SELECT decision_id, outcome FROM OPERATIONS.DECISIONS WHERE kind = 'governor' ORDER BY business_date, model"
    ).fetchall()


def test_what_monitoring_left_is_read_by_date(store):
    checked(store, 0, FeatureState.DRIFTED, FeatureState.CONSTANT, FeatureState.NO_REFERENCE)
    scored(store, 0, bias=-0.4)
    checked(store, 1, FeatureState.TOO_FEW_ROWS, FeatureState.ALL_MISSING)
    scored(store, 2, state="no_sales")
    checked(store, 3, FeatureState.STEADY)
    scored(store, 9)
    both, only_inputs, only_score, quiet = read_observations(store, day(5))
    assert (both.business_date, both.drifted, both.features_judged) == (day(0), ("demand_level",), 2)
    assert (both.bias, both.expected_bias, both.expected_wape, both.release_id) == (-0.4, 0.0, 0.4, "demand-1")
    assert (only_inputs.is_checked, only_inputs.features_judged, only_inputs.score_state) == (True, 0, "not_scored")
    assert (only_score.is_checked, only_score.score_state, only_score.bias) == (False, "no_sales", None)
    assert (quiet.drifted, quiet.features_judged, quiet.release_id) == ((), 1, None)


def test_three_shifted_dates_give_one_request_and_reruns_change_nothing(store):
    shifted(store, range(3))
    outcomes = [decided(store, number).outcome.value for number in range(3)]
    assert outcomes == ["hold", "hold", "request"]
    expected = [
        ("demand_hold_2025-07-01", "hold"),
        ("demand_hold_2025-07-02", "hold"),
        ("demand_shift_since_2025-07-01", "request"),
    ]
    assert kept(store) == expected
    first = store.connection.execute("SELECT * FROM OPERATIONS.DECISIONS WHERE outcome = 'request'").fetchall()
    again = decided(store, 2, in_flight=True)
    assert (again.outcome.value, again.decision_id) == ("request", "demand_shift_since_2025-07-01")
    assert store.connection.execute("SELECT * FROM OPERATIONS.DECISIONS WHERE outcome = 'request'").fetchall() == first
    for number in (0, 1, 1, 0):
        decided(store, number)
    assert kept(store) == expected


def test_the_details_hold_all_numbers(store):
    shifted(store, range(3))
    decided(store, 2)
    [(text,)] = store.connection.execute("SELECT details_json FROM OPERATIONS.DECISIONS").fetchall()
    details = json.loads(text)
    assert [window["state"] for window in details["windows"]] == ["confirmed"] * 3
    assert details["windows"][0]["drifted"] == ["demand_level", "price_level"]
    assert details["rules"]["confirmed_windows"] == 3


def test_a_corrected_date_replaces_its_own_hold(store):
    shifted(store, range(3))
    assert decided(store, 2, in_flight=True).cause.value == "retraining_in_flight"
    assert decided(store, 2).outcome.value == "request"
    assert kept(store) == [("demand_shift_since_2025-07-01", "request")]


def test_other_models_and_the_gate_keep_their_rows(store):
    shifted(store, range(3))
    about = {"business_date": day(2), "outcome": "request", "reason": "r", "details": {}}
    record(store, Entry(decision_id="order_value_shift", kind="governor", model="order_value", **about))
    record(store, Entry(decision_id="demand-1", kind="gate", model="demand", **about))
    assert decided(store, 2).outcome.value == "request"
    assert read_requests(store, "order_value", day(2))[0].decision_id == "order_value_shift"
    assert store.connection.execute("SELECT COUNT(*) FROM OPERATIONS.DECISIONS").fetchone() == (3,)


def test_before_anything_was_watched_the_governor_holds(store):
    decision = decided(store, 0)
    assert (decision.outcome.value, decision.cause.value) == ("hold", "cannot_judge")
    assert kept(store) == [("demand_hold_2025-07-01", "hold")]


def test_a_decision_that_was_not_kept_is_noticed(store, monkeypatch):
    monkeypatch.setattr(decisions, "write", lambda *_, **__: None)
    with pytest.raises(PostConditionFailed, match="holds 0 decisions of the governor for demand on 2025-07-01"):
        decided(store, 0)
