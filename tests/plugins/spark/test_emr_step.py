"""A Spark job as a step of an EMR cluster, held against moto's: added, waited for, resumed, cancelled."""

from types import SimpleNamespace

import boto3
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from botocore.exceptions import ClientError
from emr_world import FRAME, NAME, REGION, ROLE, TaskStates, connect, context, killed, task, write_candidate
from moto.core.responses import ActionResult
from moto.emr import models as moto_emr
from moto.emr import responses as moto_responses
from s3_world import BUCKET

from shelfcast_provider.spark import emr_step, spark_job_operator

ENDED = {"COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED"}


@pytest.fixture
def cluster(monkeypatch, bucket):
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
    monkeypatch.setattr(emr_step.EmrSteps, "poll_seconds", 0.05)
    world.emr = boto3.client("emr", REGION)
    instances = {"InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
    world.id = world.emr.run_job_flow(
        Name="training", ReleaseLabel="emr-7.9.0", Instances={**instances, "MasterInstanceType": "m5.xlarge"}
    )["JobFlowId"]
    connect(monkeypatch, cluster_id=world.id)
    return world


def steps(cluster):
    return cluster.emr.list_steps(ClusterId=cluster.id)["Steps"]


def test_the_connections_cluster_gets_spark_submit(cluster):
    write_candidate()
    task().execute(context())
    (step,) = steps(cluster)
    assert (step["Name"], step["ActionOnFailure"], step["Config"]["Jar"]) == (NAME, "CONTINUE", "command-runner.jar")
    assert step["Config"]["Args"] == [
        *("spark-submit", "--deploy-mode", "cluster", "--conf", "spark.executor.instances=2"),
        *("--conf", "spark.dynamicAllocation.enabled=false", "s3://code/shelfcast/training/training_job.py"),
        *("--frame", FRAME, "--out", f"{FRAME}/candidate"),
        *("--releases", f"s3://{BUCKET}/artifacts/releases/demand"),
        *("--code-version", "abc123"),
    ]
    assert cluster.roles == [None], "the cluster's own"


def test_parameters_are_split_as_a_shell_would_and_a_runtime_role_is_passed_on(cluster, monkeypatch):
    given = "--conf 'spark.driver.extraJavaOptions=-Da=1 -Db=2' --py-files s3://code/a.zip"
    connect(monkeypatch, cluster_id=cluster.id, execution_role_arn=ROLE, spark_submit_parameters=given)
    write_candidate()
    task().execute(context())
    wanted = ["--conf", "spark.driver.extraJavaOptions=-Da=1 -Db=2", "--py-files", "s3://code/a.zip"]
    assert steps(cluster)[0]["Config"]["Args"][3:7] == wanted
    assert cluster.roles == [ROLE]


@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
@pytest.mark.parametrize("is_kept", [True, False], ids=["id kept", "killed before its id was kept"])
def test_a_retry_goes_on_with_the_step_that_a_killed_task_left(cluster, monkeypatch, state, is_kept):
    cluster.becomes = state
    states = TaskStates()
    killed(task(), context(states))
    (left,) = steps(cluster)
    assert states == {"remote_job_id": left["Id"]}
    write_candidate()

    def complete(_):
        for step in moto_emr.emr_backends["123456789012"][REGION].clusters[cluster.id].steps:
            step.state = "COMPLETED"

    monkeypatch.setattr(spark_job_operator, "time", SimpleNamespace(sleep=complete))
    task().execute(context(states if is_kept else None))
    assert [step["Id"] for step in steps(cluster)] == [left["Id"]]


def test_another_runs_step_is_not_this_ones(cluster):
    cluster.becomes = "RUNNING"
    killed(task(), context())
    cluster.becomes = "COMPLETED"
    write_candidate()
    task().execute(context(run_id="another week"))
    assert len(steps(cluster)) == 2


def test_a_step_that_completed_while_nobody_waited_is_not_added_again_unless_the_task_is_cleared(cluster):
    states = TaskStates()
    killed(task(), context(states))
    write_candidate()
    task().execute(context(states))
    assert len(steps(cluster)) == 1
    task().execute(context(states))
    assert len(steps(cluster)) == 2


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_a_retry_adds_a_step_after_one_that_failed(cluster, state):
    cluster.becomes = state
    states = TaskStates()
    write_candidate()
    with pytest.raises(AirflowException):
        task().execute(context(states))
    cluster.becomes = "COMPLETED"
    task().execute(context(states))
    assert sorted(step["Status"]["State"] for step in steps(cluster)) == sorted([state, "COMPLETED"])


def test_a_killed_task_cancels_its_step_and_no_other(cluster):
    cluster.becomes = "RUNNING"
    other = {"Name": "another's", "HadoopJarStep": {"Jar": "command-runner.jar"}}
    cluster.emr.add_job_flow_steps(JobFlowId=cluster.id, Steps=[other])
    operator = task()
    operator.on_kill()
    assert cluster.cancelled == [], "there was nothing to cancel"
    killed(operator, context())
    operator.on_kill()
    assert {step["Name"]: step["Status"]["State"] for step in steps(cluster)} == {
        "another's": "RUNNING",
        NAME: "CANCELLED",
    }
    assert [option for _, option in cluster.cancelled] == ["SEND_INTERRUPT"]


def test_a_cancellation_that_emr_refuses_is_told(cluster, monkeypatch):
    cluster.becomes, cluster.refusal = "RUNNING", "the release is too old"
    operator = task()
    killed(operator, context())
    told = []
    monkeypatch.setattr(emr_step.LOGGER, "error", lambda _, *about: told.append(about[-1]))
    operator.on_kill()
    assert told == ["the release is too old"]


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "INTERRUPTED", "CANCEL_PENDING"])
def test_a_step_that_fails_says_why(cluster, state):
    cluster.becomes = state
    cluster.details = {"Reason": "Unknown Error.", "Message": "no slots", "LogFile": "s3://logs/stderr.gz"}
    write_candidate()
    said = rf"ended as {state}: Unknown Error\.; no slots\. Its log: s3://logs/stderr\.gz; .* clear the task"
    with pytest.raises(AirflowException, match=said):
        task().execute(context())


def test_a_failure_without_details_says_where_the_log_lies(cluster):
    cluster.becomes = "FAILED"
    with pytest.raises(AirflowException, match=r"EMR gives no reason\. Its log: steps/s-\w+/ below the log URI"):
        task().execute(context())


def test_a_state_that_nobody_knows_is_an_error_and_not_a_step_at_work(cluster):
    cluster.becomes = "HIBERNATING"
    with pytest.raises(AirflowException, match=r"is HIBERNATING, which is none of PENDING, "):
        task().execute(context())


@pytest.mark.parametrize(
    ("extras", "said"),
    [
        (
            {"application_id": "a", "execution_role_arn": ROLE, "cluster_id": "j-1"},
            "both application_id and cluster_id",
        ),
        ({}, "neither application_id nor cluster_id"),
        ({"cluster_id": "j-1", "entry_points": ""}, "lacks the extras entry_points"),
        ({"cluster_id": "j-1", "exchange": "s3://b/x"}, "extras that are not allowed: exchange"),
    ],
)
def test_a_connection_says_one_place(cluster, monkeypatch, extras, said):
    connect(monkeypatch, **extras)
    with pytest.raises(AirflowFailException, match=rf"Connection emr .*{said}"):
        task().execute(context())
    assert steps(cluster) == []


def test_a_cluster_that_has_ended_is_named_and_nothing_is_retried(cluster):
    cluster.emr.terminate_job_flows(JobFlowIds=[cluster.id])
    with pytest.raises(AirflowFailException, match=rf"Cluster {cluster.id} is TERMINATED and takes no steps"):
        task().execute(context())
    assert steps(cluster) == []


@pytest.mark.parametrize(
    ("code", "error"), [("InvalidRequestException", AirflowFailException), ("InternalServerException", ClientError)]
)
def test_an_unknown_cluster_is_named_and_any_other_fault_may_be_retried(cluster, monkeypatch, code, error):
    def refuse(*_, **__):
        raise ClientError({"Error": {"Code": code, "Message": "Cluster id 'j-0' is not valid."}}, "ListSteps")

    with monkeypatch.context() as patched:
        patched.setattr("botocore.paginate.PageIterator.__iter__", refuse)
        with pytest.raises(error, match="is not valid"):
            task().execute(context())
