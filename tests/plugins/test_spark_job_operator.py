"""A Spark entry point as a task runs it: what is submitted, and what its log says."""

import contextvars

import boto3
import pytest
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import BaseOperator
from airflow.sdk.bases.operator import ExecutorSafeguard
from emr_world import REGION, ROLE, artifacts, candidate_in_bucket, connect, make_bucket, task
from moto import mock_aws

__all__ = ["artifacts"]

NESTED = "cannot be called outside of the Task Runner"


@pytest.fixture
def submit(tmp_path, monkeypatch):
    """A `spark-submit` that notes its command line and succeeds, for a connection of type spark."""
    monkeypatch.setenv("AIRFLOW_CONN_CLUSTER", '{"conn_type": "spark", "host": "local[2]"}')
    program, told = tmp_path / "bin" / "spark-submit", tmp_path / "told"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" > {told}\n')
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


def run_as_a_task(operator):
    """As the task runner does it."""
    context = contextvars.copy_context()
    context.run(ExecutorSafeguard.tracker.set, operator)
    context.run(operator.execute, {"run_id": "weekly"})


def test_a_submission_is_part_of_its_task_and_no_operator_of_its_own(artifacts, submit, warnings):
    run_as_a_task(task(artifacts, connection_id="cluster"))
    assert "shelfcast/training/training_job.py --frame" in submit.read_text()
    assert warnings == []


def test_a_job_run_of_emr_is_part_of_its_task_and_no_operator_of_its_own(artifacts, monkeypatch, warnings):
    with mock_aws():
        make_bucket()
        candidate_in_bucket("training.json")
        aws = boto3.client("emr-serverless", REGION)
        made = aws.create_application(name="training", releaseLabel="emr-7.9.0", type="SPARK")["applicationId"]
        aws.start_job_run(applicationId=made, clientToken="t", executionRoleArn=ROLE, name="another's")
        connect(monkeypatch, application_id=made, execution_role_arn=ROLE)
        run_as_a_task(task(artifacts))
        assert len(aws.list_job_runs(applicationId=made)["jobRuns"]) == 2
    assert warnings == []


def test_an_operator_that_is_executed_in_another_would_be_warned_of(submit, warnings):
    class Outer(BaseOperator):
        def execute(self, context):
            SparkSubmitOperator(task_id="inner", conn_id="cluster", application="job.py").execute(context)

    run_as_a_task(Outer(task_id="outer"))
    assert warnings == [f"SparkSubmitOperator.execute {NESTED}!"]
