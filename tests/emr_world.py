"""A training job with its artifacts on moto's S3, and the connection that says where on EMR; for the tests of both."""

import json

import boto3
import pytest
from s3_world import BUCKET

from shelfcast.spark_job import SparkJob
from shelfcast.training.spark_job import training_job
from shelfcast_provider.spark import spark_job_operator
from shelfcast_provider.spark.spark_job_operator import SparkJobOperator

REGION, ROLE = "us-east-1", "arn:aws:iam::123456789012:role/training"
FRAME = f"s3://{BUCKET}/artifacts/training/demand/weekly"
JOB = training_job(frame=FRAME, releases=f"s3://{BUCKET}/artifacts/releases/demand", code_version="abc123")
NAME = "shelfcast.adhoc_airflow.train.weekly"


class TaskStates(dict):
    """Airflow's store of a task's states, which its tries share."""

    def set(self, key, value):
        self[key] = value

    def delete(self, key):
        self.pop(key, None)


def connect(monkeypatch, *, connection_id="emr", **extras):
    extras = {
        "region_name": REGION,
        "entry_points": "s3://code/shelfcast/",
        "spark_submit_parameters": "--conf spark.executor.instances=2",
        **extras,
    }
    given = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extras}
    monkeypatch.setenv(f"AIRFLOW_CONN_{connection_id.upper()}", json.dumps(given))


def task(*, connection_id="emr", job: SparkJob = JOB, **given):
    return SparkJobOperator(task_id="train", job=job, connection_id=connection_id, **given)


def context(states=None, *, run_id="weekly"):
    return {"run_id": run_id, "task_state_store": TaskStates() if states is None else states}


def write_candidate(*names):
    for name in names or ("training.json",):
        key = f"artifacts/training/demand/weekly/candidate/{name}"
        boto3.client("s3", REGION).put_object(Bucket=BUCKET, Key=key, Body=b"{}")


def killed(operator, given):
    """A task whose worker is gone while its job runs: nobody waits, nobody cancels."""

    def gone(*_):
        raise SystemExit

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(spark_job_operator.SparkJobOperator, "poll_until_complete", gone)
        with pytest.raises(SystemExit):
            operator.execute(given)
