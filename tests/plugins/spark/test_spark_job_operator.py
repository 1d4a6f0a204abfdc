"""A Spark job as a task runs it by spark-submit: what is submitted, and what its log says."""

import contextvars

import pytest
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import ExecutorSafeguard
from airflow.sdk.exceptions import AirflowException
from emr_world import context, task

from shelfcast.errors import PostConditionFailed
from shelfcast.training.spark_job import training_job

NESTED = "cannot be called outside of the Task Runner"


@pytest.fixture
def job(tmp_path):
    return training_job(frame=str(tmp_path / "frame"), releases=str(tmp_path / "releases"), code_version="abc123")


@pytest.fixture
def submit(tmp_path, monkeypatch, job):
    """A `spark-submit` that notes its command line, writes the result and succeeds, for a connection of type spark."""
    monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", '{"conn_type": "spark", "host": "local[2]"}')
    program, told = tmp_path / "bin" / "spark-submit", tmp_path / "told"
    program.parent.mkdir()
    (tmp_path / "frame" / "candidate").mkdir(parents=True)
    program.write_text(f'#!/bin/sh\necho "$@" >> {told}\ntouch {job.written_last}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return told


@pytest.fixture
def warnings(monkeypatch):
    """What Airflow's guard against operators inside operators says from here on."""
    monkeypatch.setattr(ExecutorSafeguard, "test_mode", False)
    said = []

    class Log:
        def warning(self, text, *_):
            said.append(text)

        def __getattr__(self, _):
            return lambda *_, **__: None

    monkeypatch.setattr(BaseOperator, "log", Log())
    return said


def run_as_a_task(operator, given):
    """As the task runner does it."""
    own = contextvars.copy_context()
    own.run(ExecutorSafeguard.tracker.set, operator)
    own.run(operator.execute, given)


def test_a_job_is_submitted_by_its_task_and_no_operator_in_it(job, submit, warnings):
    run_as_a_task(task(connection_id="cluster", job=job, conf={"spark.driver.memory": "7g"}), context())
    (told,) = submit.read_text().splitlines()
    assert told.endswith(f"shelfcast/training/training_job.py {' '.join(job.arguments)}")
    assert "--conf spark.driver.memory=7g" in told
    assert "--conf spark.sql.extensions=io.delta.sql.DeltaSparkSessionExtension" in told
    assert "--name shelfcast.adhoc_airflow.train.weekly" in told
    assert warnings == []


def test_an_operator_that_is_executed_in_another_would_be_warned_of(submit, warnings):
    class Outer(BaseOperator):
        def execute(self, context):
            SparkSubmitOperator(task_id="inner", conn_id="cluster", application="job.py").execute(context)

    run_as_a_task(Outer(task_id="outer"), {"run_id": "weekly"})
    assert warnings == [f"SparkSubmitOperator.execute {NESTED}!"]


def test_each_try_submits_and_the_lock_of_the_job_keeps_them_apart(job, submit):
    given = context()
    for _ in range(2):
        task(connection_id="cluster", job=job).execute(given)
    assert len(submit.read_text().splitlines()) == 2


def test_a_submission_that_fails_fails_the_task(job, submit, tmp_path):
    (tmp_path / "bin" / "spark-submit").write_text("#!/bin/sh\nexit 3\n")
    with pytest.raises(AirflowException, match="Error code is: 3"):
        task(connection_id="cluster", job=job).execute(context())


def test_a_submission_that_leaves_no_result_fails_the_task(job, submit, tmp_path):
    (tmp_path / "bin" / "spark-submit").write_text("#!/bin/sh\nexit 0\n")
    with pytest.raises(PostConditionFailed, match=r"left no .*training\.json"):
        task(connection_id="cluster", job=job).execute(context())


def test_a_killed_task_ends_what_it_submitted(job, submit, monkeypatch):
    from shelfcast_provider.spark import spark_submit

    ended = []
    monkeypatch.setattr(spark_submit.SparkSubmitHook, "on_kill", lambda _: ended.append("killed"))
    operator = task(connection_id="cluster", job=job)
    operator.on_kill()
    assert ended == []
    operator.execute(context())
    operator.on_kill()
    assert ended == ["killed"]
