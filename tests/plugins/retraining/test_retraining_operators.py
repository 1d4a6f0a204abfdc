"""The governor's operators: the decision, and the run that it starts."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, DagRunTriggerException

from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.monitoring.drift import DriftReport, FeatureDrift, FeatureState
from shelfcast.monitoring.drift_inputs import write_report
from shelfcast_provider.cold_store import cold_store_hook
from shelfcast_provider.retraining.governor_operator import GovernorOperator
from shelfcast_provider.retraining.retraining_trigger_operator import RetrainingTriggerOperator

START = date(2025, 7, 1)


class DuckDBHook(DuckDBStore):
    """The cold store's hook as the operators use it."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """One store serves all tasks of a test."""


class Runs:
    """A task instance that knows how many runs of a DAG wait or run."""

    def __init__(self, **in_flight):
        self.in_flight = in_flight

    def get_dr_count(self, *, dag_id, states):
        assert states == ["queued", "running"]
        return self.in_flight.get(dag_id, 0)


@pytest.fixture
def store(monkeypatch):
    """Three business dates of a shift that inputs and forecasts show."""
    made = DuckDBHook(num_threads=1)
    made.run("monitoring/create_scores")
    for number in range(3):
        day = START + timedelta(days=number)
        feature = FeatureDrift(feature="demand_level", state=FeatureState.DRIFTED)
        write_report(made, DriftReport(business_date=day, features=(feature,)))
        nothing = dict.fromkeys(("coverage_90", "strongest_simple_wape", "expected_wape", "expected_bias"))
        made.run(
            "monitoring/insert_score",
            {
                "business_date": day - timedelta(days=1), "scored_on": day, "horizon_from": 1, "horizon_to": 1,
                "state": "scored", "release_id": "r", "wape": 0.6, "bias": -0.4, "series_count": 9, "row_count": 9,
                **nothing,
            },
        )  # fmt: skip
    monkeypatch.setattr(cold_store_hook, "ColdStoreHook", lambda *_: made)
    return made


def govern(day, **in_flight):
    operator = GovernorOperator(task_id="governor", model="demand", business_date=str(day))
    return operator.execute({"ti": Runs(**in_flight)})


def trigger(decision):
    operator = RetrainingTriggerOperator(task_id="request_retraining", decision=decision)
    operator.execute({"ti": SimpleNamespace(xcom_push=lambda **_: None)})


def test_the_third_shifted_date_asks_for_one_run_named_by_its_cause(store):
    answers = [govern(START + timedelta(days=number)) for number in range(3)]
    assert [answer["outcome"] for answer in answers] == ["hold", "hold", "request"]
    assert answers[2] | {"reason": ""} == {
        "outcome": "request", "decision_id": "demand_shift_since_2025-07-01", "cause": "third_confirmed_window",
        "reason": "", "model": "demand", "business_date": "2025-07-03",
    }  # fmt: skip
    with pytest.raises(DagRunTriggerException) as started:
        trigger(answers[2])
    asked = started.value
    assert asked.trigger_dag_id == "weekly_retraining_demand"
    assert asked.dag_run_id == "retraining_request__demand_shift_since_2025-07-01"
    assert asked.skip_when_already_exists is True
    assert asked.logical_date is None
    assert asked.reset_dag_run is False
    assert asked.conf["reason"].startswith("demand_shift_since_2025-07-01: 3 confirmed windows in a row")


def test_a_hold_is_a_skip_with_the_governors_reason(store):
    with pytest.raises(AirflowSkipException, match="Confirmed windows in a row: 1 of 3"):
        trigger(govern(START))


def test_a_retraining_of_this_model_in_flight_holds_and_one_of_another_does_not(store):
    third = START + timedelta(days=2)
    assert govern(third, weekly_retraining_demand=1)["cause"] == "retraining_in_flight"
    assert govern(third, weekly_retraining_order_value=1)["outcome"] == "request"


def test_a_rerun_while_its_own_retraining_runs_asks_for_the_same_run(store):
    third = START + timedelta(days=2)
    assert govern(third) == govern(third, weekly_retraining_demand=1)


def test_a_hold_leaves_no_link_to_a_run():
    operator = RetrainingTriggerOperator(task_id="request_retraining", decision=None)
    [link] = operator.operator_extra_links
    assert link.get_link(operator, ti_key=None) == ""


@pytest.mark.parametrize("decision", [None, "request", {}, {"outcome": "request"}, ["request"]])
def test_what_is_no_decision_starts_nothing(decision):
    with pytest.raises(AirflowFailException, match="no decision of the governor"):
        trigger(decision)


def test_a_long_reason_fits_the_form():
    decision = {"outcome": "request", "decision_id": "d", "reason": "x" * 900, "model": "demand"}
    with pytest.raises(DagRunTriggerException) as started:
        trigger(decision)
    assert len(started.value.conf["reason"]) == 500


def test_a_run_without_a_business_date_decides_nothing():
    with pytest.raises(AirflowFailException, match="partition key"):
        govern(None)


def test_the_decision_travels_by_xcom_and_orders_the_tasks():
    with DAG("d", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC)):
        governor = GovernorOperator(task_id="governor", model="demand", business_date="{{ dag_run.partition_key }}")
        asked = RetrainingTriggerOperator(task_id="request_retraining", decision=governor.output)
    assert asked.upstream_task_ids == {"governor"}
