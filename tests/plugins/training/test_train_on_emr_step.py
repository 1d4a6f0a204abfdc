"""Training as a step of an EMR cluster, held against moto's: added, waited for, taken up, cancelled, brought back."""

import os
import time
from types import SimpleNamespace

import boto3
import pytest
from airflow.providers.common.compat.sdk import AirflowException
from airflow.sdk.exceptions import AirflowFailException
from botocore.exceptions import ClientError
from emr_world import (
    BUCKET,
    PREFIX,
    REGION,
    ROLE,
    RUN,
    STEP_WAIT,
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
from moto.core.responses import ActionResult
from moto.emr import models as moto_emr
from moto.emr import responses as moto_responses

from shelfcast_provider import emr_step

__all__ = ["artifacts", "train"]

URI = f"s3://{BUCKET}/{PREFIX}/{RUN}"
NAME = "shelfcast.adhoc_airflow.train.weekly"
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED"}


@pytest.fixture
def cluster(monkeypatch, artifacts):
    """moto's steps stay as they were added; here each begins in the state `becomes`, and can be cancelled."""
    world = SimpleNamespace(becomes="COMPLETED", cancelled=[], roles=[], refusal=None, details=None)

    def begin(self, state, _begin=moto_emr.Step.__init__, **given):
        _begin(self, state=world.becomes, **given)

    def cancel_steps(self):
        asked = [self._get_param(name) for name in ("StepIds", "StepCancellationOption")]
        world.cancelled.append(asked)
        for step in self.backend.clusters[self._get_param("ClusterId")].steps:
            step.state = "CANCELLED" if step.id in asked[0] and step.state not in ENDED else step.state
        status = {"Status": "FAILED", "Reason": world.refusal} if world.refusal else {"Status": "SUBMITTED"}
        return ActionResult({"CancelStepsInfoList": [{"StepId": step, **status} for step in asked[0]]})

    def describe_step(self, _describe=moto_responses.ElasticMapReduceResponse.describe_step):
        found = self.backend.describe_step(self._get_param("ClusterId"), self._get_param("StepId"))
        status = {**found.status, **({"FailureDetails": world.details} if world.details else {})}
        return ActionResult({"Step": {"Id": found.id, "Name": found.name, "Status": status}})

    def add_job_flow_steps(self, _add=moto_responses.ElasticMapReduceResponse.add_job_flow_steps):
        world.roles.append(self._get_param("ExecutionRoleArn"))
        return _add(self)

    monkeypatch.setattr(moto_emr.Step, "__init__", begin)
    for action in (cancel_steps, describe_step, add_job_flow_steps):
        monkeypatch.setattr(moto_responses.ElasticMapReduceResponse, action.__name__, action, raising=False)
    for path in artifacts.rglob("*.*"):
        os.utime(path, (time.time() - 60,) * 2)
    with mock_aws():
        make_bucket()
        world.emr = boto3.client("emr", REGION)
        instances = {"InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
        world.id = world.emr.run_job_flow(
            Name="training", ReleaseLabel="emr-7.9.0", Instances={**instances, "MasterInstanceType": "m5.xlarge"}
        )["JobFlowId"]
        connect(monkeypatch, cluster_id=world.id)
        yield world


def steps(cluster):
    return cluster.emr.list_steps(ClusterId=cluster.id)["Steps"]


def test_the_connections_cluster_gets_spark_submit_and_the_candidate_comes_back(cluster, train, artifacts):
    candidate_in_bucket("", "training.json", "model.txt")
    train.execute({"run_id": "weekly"})
    (step,) = steps(cluster)
    assert (step["Name"], step["ActionOnFailure"], step["Config"]["Jar"]) == (NAME, "CONTINUE", "command-runner.jar")
    assert step["Config"]["Args"] == [
        *("spark-submit", "--deploy-mode", "cluster", "--conf", "spark.executor.instances=2"),
        *("--conf", "spark.dynamicAllocation.enabled=false", "s3://code/shelfcast/training/training_job.py"),
        *("--frame", URI, "--out", f"{URI}/candidate"),
    ]
    assert cluster.roles == [None], "the cluster's own"
    sent = {f"{PREFIX}/{RUN}/frame.json", f"{PREFIX}/{RUN}/frame.parquet", f"{PREFIX}/releases/demand/3/model.txt"}
    assert {key for key in keys() if "/candidate/" not in key} == sent
    assert (artifacts / RUN / "candidate" / "model.txt").read_text() == "trained model.txt"


def test_parameters_are_split_as_a_shell_would_and_a_runtime_role_is_passed_on(cluster, train, monkeypatch):
    given = "--conf 'spark.driver.extraJavaOptions=-Da=1 -Db=2' --py-files s3://code/a.zip"
    connect(monkeypatch, cluster_id=cluster.id, execution_role_arn=ROLE, spark_submit_parameters=given)
    candidate_in_bucket("training.json")
    train.execute({"run_id": "weekly"})
    wanted = ["--conf", "spark.driver.extraJavaOptions=-Da=1 -Db=2", "--py-files", "s3://code/a.zip"]
    assert steps(cluster)[0]["Config"]["Args"][3:7] == wanted
    assert cluster.roles == [ROLE]


@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
def test_a_retry_takes_up_the_step_that_a_killed_task_left(cluster, train, artifacts, monkeypatch, state):
    cluster.becomes = state
    killed(train, waits=STEP_WAIT)
    (left,) = steps(cluster)
    candidate_in_bucket("training.json")
    waited_for = []
    monkeypatch.setattr(emr_step, "wait", lambda **asked: waited_for.append(asked["args"]["StepId"]))
    task(artifacts).execute({"run_id": "weekly"})
    assert waited_for == [left["Id"]]
    assert len(steps(cluster)) == 1
    (artifacts / RUN / "candidate" / "training.json").unlink()
    task(artifacts).execute({"run_id": "another week"})
    assert len(steps(cluster)) == 2, "another run's step is not this one's"


def test_a_step_that_completed_while_nobody_waited_is_brought_back_once(cluster, train, artifacts):
    killed(train, waits=STEP_WAIT)
    candidate_in_bucket("training.json")
    task(artifacts).execute({"run_id": "weekly"})
    assert len(steps(cluster)) == 1
    os.utime(artifacts / RUN / "candidate" / "training.json", (time.time() + 60,) * 2)
    task(artifacts).execute({"run_id": "weekly"})
    assert len(steps(cluster)) == 2, "a task that is cleared after its success trains again"


@pytest.mark.parametrize("hindrance", ["newer frame", "no candidate"])
def test_a_completed_step_that_has_nothing_to_give_is_not_taken_up(cluster, train, artifacts, monkeypatch, hindrance):
    killed(train, waits=STEP_WAIT)
    monkeypatch.setattr(emr_step, "wait", lambda **_: candidate_in_bucket("training.json"))
    if hindrance == "newer frame":
        candidate_in_bucket("training.json")
        os.utime(artifacts / RUN / "frame.json", (time.time() + 60,) * 2)
    task(artifacts).execute({"run_id": "weekly"})
    assert len(steps(cluster)) == 2


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_a_retry_adds_a_step_after_one_that_failed(cluster, train, artifacts, state):
    cluster.becomes = state
    candidate_in_bucket("training.json")
    with pytest.raises(AirflowException):
        train.execute({"run_id": "weekly"})
    cluster.becomes = "COMPLETED"
    task(artifacts).execute({"run_id": "weekly"})
    assert sorted(step["Status"]["State"] for step in steps(cluster)) == sorted([state, "COMPLETED"])


def test_a_killed_task_cancels_its_step_and_no_other(cluster, train):
    cluster.becomes = "RUNNING"
    other = {"Name": "another's", "HadoopJarStep": {"Jar": "command-runner.jar"}}
    cluster.emr.add_job_flow_steps(JobFlowId=cluster.id, Steps=[other])
    train.on_kill()
    assert cluster.cancelled == [], "there was nothing to cancel"
    killed(train, waits=STEP_WAIT)
    train.on_kill()
    assert {step["Name"]: step["Status"]["State"] for step in steps(cluster)} == {
        "another's": "RUNNING",
        NAME: "CANCELLED",
    }
    assert [option for _, option in cluster.cancelled] == ["SEND_INTERRUPT"]


def test_a_cancellation_that_emr_refuses_is_told(cluster, train, monkeypatch):
    cluster.becomes, cluster.refusal = "RUNNING", "the release is too old"
    killed(train, waits=STEP_WAIT)
    told = []
    monkeypatch.setattr(emr_step.LOGGER, "error", lambda _, *about: told.append(about[-1]))
    train.on_kill()
    assert told == ["the release is too old"]


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "INTERRUPTED"])
def test_a_step_that_fails_says_why_and_brings_nothing_back(cluster, train, artifacts, state):
    cluster.becomes = state
    cluster.details = {"Reason": "Unknown Error.", "Message": "no slots", "LogFile": "s3://logs/stderr.gz"}
    candidate_in_bucket("training.json")
    said = rf"ended as {state}: Unknown Error\.; no slots\. Its log: s3://logs/stderr\.gz; .* clear the task"
    with pytest.raises(AirflowException, match=said):
        train.execute({"run_id": "weekly"})
    assert not (artifacts / RUN / "candidate").exists()


def test_a_failure_without_details_says_where_the_log_lies(cluster, train):
    cluster.becomes = "FAILED"
    with pytest.raises(AirflowException, match=r"EMR gives no reason\. Its log: steps/s-\w+/ below the log URI"):
        train.execute({"run_id": "weekly"})


def test_a_step_that_does_not_end_is_cancelled_after_a_bounded_number_of_looks(cluster, train, monkeypatch):
    cluster.becomes = "PENDING"
    slept = []
    clock = SimpleNamespace(sleep=slept.append)  # in place of that module's `time`: other threads sleep on
    monkeypatch.setattr("airflow.providers.amazon.aws.utils.waiter_with_logging.time", clock)
    monkeypatch.setattr(emr_step, "LONGEST_MINUTES", 2)
    with pytest.raises(AirflowException, match=r"had not ended after 2 minutes and was cancelled"):
        train.execute({"run_id": "weekly"})
    assert slept == [30, 30, 30]
    assert [step["Status"]["State"] for step in steps(cluster)] == ["CANCELLED"]


@pytest.mark.parametrize(
    ("extras", "said"),
    [
        (
            {"application_id": "a", "execution_role_arn": ROLE, "cluster_id": "j-1"},
            "both application_id and cluster_id",
        ),
        ({}, "neither application_id nor cluster_id"),
        ({"cluster_id": "j-1", "exchange": ""}, "lacks the extras exchange"),
    ],
)
def test_a_connection_says_one_place(cluster, train, monkeypatch, extras, said):
    connect(monkeypatch, **extras)
    with pytest.raises(AirflowFailException, match=rf"Connection emr .*{said}"):
        train.execute({"run_id": "weekly"})
    assert steps(cluster) == []


def test_a_cluster_that_has_ended_is_named_and_nothing_is_retried(cluster, train):
    cluster.emr.terminate_job_flows(JobFlowIds=[cluster.id])
    with pytest.raises(AirflowFailException, match=rf"Cluster {cluster.id} is TERMINATED and takes no steps"):
        train.execute({"run_id": "weekly"})
    assert steps(cluster) == []


@pytest.mark.parametrize(
    ("code", "error"), [("InvalidRequestException", AirflowFailException), ("InternalServerException", ClientError)]
)
def test_an_unknown_cluster_is_named_and_any_other_fault_may_be_retried(cluster, train, monkeypatch, code, error):
    def refuse(*_, **__):
        raise ClientError({"Error": {"Code": code, "Message": "Cluster id 'j-0' is not valid."}}, "ListSteps")

    monkeypatch.setattr("botocore.paginate.PageIterator.__iter__", refuse)
    with pytest.raises(error, match="is not valid"):
        train.execute({"run_id": "weekly"})
