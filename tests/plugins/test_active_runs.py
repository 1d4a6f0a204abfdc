"""A DAG is full as long as its runs are, and no longer."""

import pytest
from airflow.listeners.listener import get_listener_manager
from airflow.models import import_all_models
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

DAG_ID = "weekly_retraining_demand"


@pytest.fixture
def session():
    """As the scheduler's: it writes what was changed only when it is told to."""
    import_all_models()
    engine = create_engine("sqlite://")
    DagModel.metadata.create_all(engine)
    with Session(engine, autoflush=False) as made:
        made.add(DagModel(dag_id=DAG_ID, bundle_name="dags", max_active_runs=1, exceeds_max_non_backfill=True))
        made.flush()
        yield made


def run(session, number, state, run_type="manual"):
    made = DagRun(dag_id=DAG_ID, run_id=f"run_{number}", run_type=run_type, state=state)
    session.add(made)
    session.flush()
    return made


def end(ended, state):
    """Ends a run as the scheduler does: its listeners hear of it before it is written."""
    ended.set_state(state)
    ended.notify_dagrun_state_changed(msg="ended")


def is_full(session):
    return session.get(DagModel, DAG_ID).exceeds_max_non_backfill


@pytest.mark.parametrize("state", ["success", "failed"])
@pytest.mark.parametrize("run_type", ["operator_triggered", "asset_materialization", "scheduled"])
def test_the_last_run_makes_room_whoever_started_it(session, run_type, state):
    end(run(session, 1, "running", run_type), state)
    assert not is_full(session)


@pytest.mark.parametrize(("other", "run_type", "expected"), [
    ("queued", "operator_triggered", True),
    ("running", "manual", True),
    ("success", "manual", False),
    ("running", "backfill", False),
])  # fmt: skip
def test_a_dag_stays_full_while_another_run_waits_or_runs(session, other, run_type, expected):
    run(session, 2, other, run_type)
    end(run(session, 1, "running", "operator_triggered"), "success")
    assert is_full(session) is expected


def test_without_the_listener_the_mark_would_stay(session):
    from shelfcast_provider import active_runs

    listeners = get_listener_manager()
    listeners.pm.unregister(active_runs)
    try:
        end(run(session, 1, "running", "operator_triggered"), "success")
        assert is_full(session)
    finally:
        listeners.add_listener(active_runs)
