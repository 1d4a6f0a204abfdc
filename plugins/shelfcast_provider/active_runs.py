"""Makes room for a DAG's next run when one of its runs ends, whoever had started that one.

Airflow marks a DAG that is at its `max_active_runs`, and makes no scheduled run of a marked one. When a run ends its
scheduler counts anew, but not for a run that an operator started, nor for one that materialises an asset: where such a
run is the last, the mark stays until the DAG file is parsed again. docs/decisions/0012 has what was tried. With an
Airflow whose own scheduler counts after each run, this module can go.
"""

from typing import TYPE_CHECKING

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun


@hookimpl
def on_dag_run_success(dag_run: "DagRun") -> None:
    """Counts anew, in the process and the transaction that end the run."""
    count_anew(dag_run)


@hookimpl
def on_dag_run_failed(dag_run: "DagRun") -> None:
    """Counts anew, in the process and the transaction that end the run."""
    count_anew(dag_run)


def count_anew(dag_run: "DagRun") -> None:
    """Marks the run's DAG as full if, and only if, as many runs of it as may be are queued or running."""
    from sqlalchemy.orm import object_session

    session, dag = object_session(dag_run), dag_run.dag_model
    if session is None or dag is None:
        return
    session.flush()  # the scheduler's session does not by itself, and this run would count as active
    active = type(dag_run).active_runs_of_dags(dag_ids=[dag_run.dag_id], exclude_backfill=True, session=session)
    dag.exceeds_max_non_backfill = active.get(dag_run.dag_id, 0) >= (dag.max_active_runs or 0)
