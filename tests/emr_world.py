"""A frame to train on, an exchange on moto's S3, and the connection that says where on EMR; for the tests of both."""

import json

import boto3
import pytest

from shelfcast_provider.spark_job_operator import Exchange, SparkJobOperator

BUCKET, PREFIX, REGION = "shelfcast-exchange", "staging", "eu-central-1"
RUN = "training/demand/weekly"
ROLE = "arn:aws:iam::123456789012:role/training"
STEP_WAIT, JOB_RUN_WAIT = "shelfcast_provider.emr_step.wait", "airflow.providers.amazon.aws.operators.emr.wait"


def make_bucket():
    boto3.client("s3", REGION).create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})


def connect(monkeypatch, *, connection_id="emr", **extras):
    extras = {
        "region_name": REGION,
        "entry_points": "s3://code/shelfcast/",
        "exchange": f"s3://{BUCKET}/{PREFIX}/",
        "spark_submit_parameters": "--conf spark.executor.instances=2",
        **extras,
    }
    given = {"conn_type": "aws", "login": "key", "password": "secret", "extra": extras}
    monkeypatch.setenv(f"AIRFLOW_CONN_{connection_id.upper()}", json.dumps(given))


@pytest.fixture
def artifacts(tmp_path, monkeypatch):
    monkeypatch.setenv("SHELFCAST_ARTIFACTS", str(tmp_path))
    for name in (f"{RUN}/frame.parquet", f"{RUN}/frame.json", f"{RUN}/plots/other.png", "releases/demand/3/model.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.fixture
def train(artifacts):
    return task(artifacts)


def task(artifacts, *, connection_id="emr", has_exchange=True):
    folder = artifacts / RUN
    exchange = Exchange(
        reads=(
            f"{folder}/frame.*",
            f"{artifacts}/releases/demand/current.json",
            f"{artifacts}/releases/demand/*/model.txt",
        ),
        writes=f"{folder}/candidate",
        last="training.json",
    )
    return SparkJobOperator(
        task_id="train",
        job="training/training_job",
        arguments=["--frame", str(folder), "--out", f"{folder}/candidate"],
        connection_id=connection_id,
        exchange=exchange if has_exchange else None,
    )


def candidate_in_bucket(*names):
    for name in names:
        boto3.client("s3", REGION).put_object(
            Bucket=BUCKET, Key=f"{PREFIX}/{RUN}/candidate/{name}", Body=f"trained {name}".encode()
        )


def keys():
    return {item["Key"] for item in boto3.client("s3", REGION).list_objects_v2(Bucket=BUCKET).get("Contents", [])}


def killed(operator, *, waits=JOB_RUN_WAIT):
    """A task whose worker is gone the moment that its job runs: nobody waits, nobody cancels."""

    def gone(*_, **__):
        raise SystemExit

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(waits, gone)
        with pytest.raises(SystemExit):
            operator.execute({"run_id": "weekly"})
