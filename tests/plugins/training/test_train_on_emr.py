"""Training on EMR Serverless, held against moto's: sent, waited for, taken up again, cancelled, brought back."""

import json

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk.exceptions import AirflowFailException
from moto import mock_aws
from moto.emrserverless import models as moto_emr

from shelfcast.errors import PostConditionFailed
from shelfcast_provider import emr_job
from shelfcast_provider.spark_job_operator import Exchange, SparkJobOperator

BUCKET, PREFIX, REGION = "shelfcast-exchange", "staging", "eu-central-1"
RUN = "training/demand/weekly"
ROLE = "arn:aws:iam::123456789012:role/training"


@pytest.fixture
def aws():
    with mock_aws():
        boto3.client("s3", REGION).create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield boto3.client("emr-serverless", REGION)


@pytest.fixture
def application(aws, monkeypatch):
    made = aws.create_application(name="training", releaseLabel="emr-7.9.0", type="SPARK")["applicationId"]
    # moto knows an application's job runs from its first one on
    aws.start_job_run(applicationId=made, clientToken="t", executionRoleArn=ROLE, name="another's")
    connect(monkeypatch, application_id=made, execution_role_arn=ROLE)
    return made


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


def jobs(aws, application):
    return [run for run in aws.list_job_runs(applicationId=application)["jobRuns"] if run["name"] != "another's"]


def keys():
    return {item["Key"] for item in boto3.client("s3", REGION).list_objects_v2(Bucket=BUCKET).get("Contents", [])}


def test_the_job_finds_its_frame_in_the_exchange_and_its_candidate_comes_back(aws, application, train, artifacts):
    candidate_in_bucket("", "training.json", "model.txt")
    train.execute({"run_id": "weekly"})
    (run,) = jobs(aws, application)
    asked = aws.get_job_run(applicationId=application, jobRunId=run["id"])["jobRun"]["jobDriver"]["sparkSubmit"]
    assert asked == {
        "entryPoint": "s3://code/shelfcast/training/training_job.py",
        "entryPointArguments": [
            "--frame",
            f"s3://{BUCKET}/{PREFIX}/{RUN}",
            "--out",
            f"s3://{BUCKET}/{PREFIX}/{RUN}/candidate",
        ],
        "sparkSubmitParameters": "--conf spark.executor.instances=2 --conf spark.dynamicAllocation.enabled=false",
    }
    sent = {f"{PREFIX}/{RUN}/frame.json", f"{PREFIX}/{RUN}/frame.parquet", f"{PREFIX}/releases/demand/3/model.txt"}
    assert {key for key in keys() if "/candidate/" not in key} == sent
    assert (artifacts / RUN / "candidate" / "model.txt").read_text() == "trained model.txt"
    assert (artifacts / RUN / "candidate" / "training.json").exists()


def test_another_connection_is_all_that_is_used(aws, application, artifacts, monkeypatch):
    connect(monkeypatch, connection_id="big_cluster", application_id=application, execution_role_arn=ROLE)
    monkeypatch.delenv("AIRFLOW_CONN_EMR")
    candidate_in_bucket("training.json")
    asked = []
    for hook in (emr_job.EmrServerlessHook, emr_job.S3Hook):
        opened = hook.__init__

        def noted(self, *args, opened=opened, **kwargs):
            asked.append(kwargs["aws_conn_id"])
            opened(self, *args, **kwargs)

        monkeypatch.setattr(hook, "__init__", noted)
    task(artifacts, connection_id="big_cluster").execute({"run_id": "weekly"})
    assert set(asked) == {"big_cluster"}
    assert len(jobs(aws, application)) == 1


def test_a_retry_takes_up_the_job_that_a_killed_task_left_running(aws, application, train, artifacts, monkeypatch):
    monkeypatch.setattr(moto_emr, "JOB_STATUS", "RUNNING")
    killed(train)
    (left,) = jobs(aws, application)
    candidate_in_bucket("training.json")
    waited_for = []
    monkeypatch.setattr(emr_job, "wait", lambda **asked: waited_for.append(asked["args"]["jobRunId"]))
    task(artifacts).execute({"run_id": "weekly"})
    assert waited_for == [left["id"]]
    assert len(jobs(aws, application)) == 1
    monkeypatch.setattr(moto_emr, "JOB_STATUS", "SUCCESS")
    task(artifacts).execute({"run_id": "another week"})
    assert len(jobs(aws, application)) == 2, "another run's job is not this one's"


def killed(operator):
    """A task whose worker is gone the moment that its job runs: nobody waits, nobody cancels."""

    def gone(*_, **__):
        raise SystemExit

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("airflow.providers.amazon.aws.operators.emr.wait", gone)
        with pytest.raises(SystemExit):
            operator.execute({"run_id": "weekly"})


def test_a_killed_task_cancels_its_job(aws, application, train, monkeypatch):
    monkeypatch.setattr(moto_emr, "JOB_STATUS", "RUNNING")
    killed(train)
    train.on_kill()
    assert [run["state"] for run in jobs(aws, application)] == ["CANCELLED"]


def test_a_job_that_fails_fails_the_task_and_brings_nothing_back(aws, application, train, artifacts, monkeypatch):
    monkeypatch.setattr(moto_emr, "JOB_STATUS", "FAILED")
    candidate_in_bucket("training.json")
    with pytest.raises(AirflowException, match="Job failed"):
        train.execute({"run_id": "weekly"})
    assert not (artifacts / RUN / "candidate").exists()


def test_a_job_that_wrote_no_whole_candidate_is_no_success(application, train, artifacts):
    candidate_in_bucket("model.txt")
    with pytest.raises(PostConditionFailed, match=r"left no training\.json in s3://shelfcast-exchange/staging"):
        train.execute({"run_id": "weekly"})
    assert not (artifacts / RUN / "candidate").exists()


@pytest.mark.parametrize("missing", ["application_id", "execution_role_arn", "entry_points", "exchange"])
def test_a_connection_that_lacks_an_extra_is_named_and_nothing_is_retried(aws, train, monkeypatch, missing):
    connect(monkeypatch, **{"application_id": "a", "execution_role_arn": ROLE, missing: ""})
    with pytest.raises(AirflowFailException, match=rf"Connection emr lacks the extras {missing}\. Add them"):
        train.execute({"run_id": "weekly"})


def test_a_job_of_this_machines_folders_is_not_sent(aws, application, artifacts):
    with pytest.raises(AirflowFailException, match="does not run on EMR"):
        task(artifacts, has_exchange=False).execute({"run_id": "weekly"})
    assert jobs(aws, application) == []
