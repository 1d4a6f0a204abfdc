"""Training on EMR Serverless, held against moto's: sent, waited for, taken up again, cancelled, brought back."""

import os
import time

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk.exceptions import AirflowFailException
from emr_world import (
    BUCKET,
    PREFIX,
    REGION,
    ROLE,
    RUN,
    artifacts,
    candidate_in_bucket,
    connect,
    keys,
    killed,
    make_bucket,
    task,
    train,
)
from moto import mock_aws
from moto.emrserverless import models as moto_emr

from shelfcast.errors import PostConditionFailed
from shelfcast_provider import emr_job, emr_serverless_job_run

__all__ = ["artifacts", "train"]

DAY = 86_400


@pytest.fixture
def aws():
    with mock_aws():
        make_bucket()
        yield boto3.client("emr-serverless", REGION)


@pytest.fixture
def application(aws, monkeypatch):
    made = aws.create_application(name="training", releaseLabel="emr-7.9.0", type="SPARK")["applicationId"]
    # moto knows an application's job runs from its first one on
    aws.start_job_run(applicationId=made, clientToken="t", executionRoleArn=ROLE, name="another's")
    connect(monkeypatch, application_id=made, execution_role_arn=ROLE)
    return made


def jobs(aws, application):
    return [run for run in aws.list_job_runs(applicationId=application)["jobRuns"] if run["name"] != "another's"]


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
    for hook in (emr_serverless_job_run.EmrServerlessHook, emr_job.S3Hook):
        opened = hook.__init__

        def noted(self, *args, opened=opened, **kwargs):
            asked.append(kwargs["aws_conn_id"])
            opened(self, *args, **kwargs)

        monkeypatch.setattr(hook, "__init__", noted)
    task(artifacts, connection_id="big_cluster").execute({"run_id": "weekly"})
    assert set(asked) == {"big_cluster"}
    assert len(jobs(aws, application)) == 1


@pytest.mark.parametrize("state", ["RUNNING", "QUEUED"])
def test_a_retry_takes_up_the_job_that_a_killed_task_left(aws, application, train, artifacts, monkeypatch, state):
    monkeypatch.setattr(moto_emr, "JOB_STATUS", state)
    killed(train)
    (left,) = jobs(aws, application)
    candidate_in_bucket("training.json")
    waited_for = []
    monkeypatch.setattr(emr_serverless_job_run, "wait", lambda **asked: waited_for.append(asked["args"]["jobRunId"]))
    task(artifacts).execute({"run_id": "weekly"})
    assert waited_for == [left["id"]]
    assert len(jobs(aws, application)) == 1
    monkeypatch.setattr(moto_emr, "JOB_STATUS", "SUCCESS")
    task(artifacts).execute({"run_id": "another week"})
    assert len(jobs(aws, application)) == 2, "another run's job is not this one's"


def test_a_candidate_that_is_ready_is_brought_back_and_not_trained_again(aws, application, train, artifacts):
    for path in artifacts.rglob("*.*"):
        os.utime(path, (time.time() - 2 * DAY,) * 2)  # moto's job runs are of midnight, and succeed at once
    killed(train)
    candidate_in_bucket("training.json")
    task(artifacts).execute({"run_id": "weekly"})
    assert len(jobs(aws, application)) == 1
    assert (artifacts / RUN / "candidate" / "training.json").exists()
    os.utime(artifacts / RUN / "frame.json", (time.time() + 60,) * 2)
    task(artifacts).execute({"run_id": "weekly"})
    assert len(jobs(aws, application)) == 2, "what it was trained on is no longer what is asked for"


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


@pytest.mark.parametrize("missing", ["execution_role_arn", "entry_points", "exchange"])
def test_a_connection_that_lacks_an_extra_is_named_and_nothing_is_retried(aws, train, monkeypatch, missing):
    connect(monkeypatch, **{"application_id": "a", "execution_role_arn": ROLE, missing: ""})
    with pytest.raises(AirflowFailException, match=rf"Connection emr lacks the extras {missing}\. Add them"):
        train.execute({"run_id": "weekly"})


def test_a_job_of_this_machines_folders_is_not_sent(aws, application, artifacts):
    with pytest.raises(AirflowFailException, match="does not run on EMR"):
        task(artifacts, has_exchange=False).execute({"run_id": "weekly"})
    assert jobs(aws, application) == []
