"""A Spark job on EMR Serverless, held against moto's: submitted, waited for, resumed, cancelled."""

from datetime import timedelta
from types import SimpleNamespace

import boto3
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from emr_world import FRAME, JOB, NAME, REGION, ROLE, TaskStates, connect, context, killed, task, write_candidate
from moto.emrserverless import models as moto_emr
from s3_world import BUCKET

from shelfcast.errors import PostConditionFailed
from shelfcast.training.spark_job import training_job
from shelfcast_provider.spark import emr_serverless, spark_job_operator


@pytest.fixture
def aws(bucket):
    return boto3.client("emr-serverless", REGION)


@pytest.fixture
def application(aws, monkeypatch):
    made = aws.create_application(name="training", releaseLabel="emr-7.9.0", type="SPARK")["applicationId"]
    # moto knows an application's job runs from its first one on
    aws.start_job_run(applicationId=made, clientToken="t", executionRoleArn=ROLE, name="another's")
    connect(monkeypatch, application_id=made, execution_role_arn=ROLE)
    monkeypatch.setattr(emr_serverless.EmrServerless, "poll_seconds", 0.05)
    return made


def jobs(aws, application):
    return [run for run in aws.list_job_runs(applicationId=application)["jobRuns"] if run["name"] != "another's"]


def succeed_while_waited_for(monkeypatch, application):
    def succeed(_):
        for run in moto_emr.emrserverless_backends["123456789012"][REGION].job_runs[application]:
            run.state = "SUCCESS"

    monkeypatch.setattr(spark_job_operator, "time", SimpleNamespace(sleep=succeed))


def test_the_job_is_told_where_its_frame_is_and_where_its_candidate_goes(aws, application):
    write_candidate()
    task(execution_timeout=timedelta(hours=3)).execute(context())
    (run,) = jobs(aws, application)
    found = aws.get_job_run(applicationId=application, jobRunId=run["id"])["jobRun"]
    assert run["name"] == NAME
    assert found["executionTimeoutMinutes"] == 180
    assert found["jobDriver"]["sparkSubmit"] == {
        "entryPoint": "s3://code/shelfcast/training/training_job.py",
        "entryPointArguments": [
            *("--frame", FRAME, "--out", f"{FRAME}/candidate"),
            *("--releases", f"s3://{BUCKET}/artifacts/releases/demand"),
            *("--code-version", "abc123"),
        ],
        "sparkSubmitParameters": "--conf spark.executor.instances=2 --conf spark.dynamicAllocation.enabled=false",
    }


def test_settings_of_the_task_come_after_those_of_the_connection(aws, application):
    write_candidate()
    task(conf={"spark.executor.instances": "4", "spark.driver.extraJavaOptions": "-Da=1 -Db=2"}).execute(context())
    (run,) = jobs(aws, application)
    driver = aws.get_job_run(applicationId=application, jobRunId=run["id"])["jobRun"]["jobDriver"]
    assert driver["sparkSubmit"]["sparkSubmitParameters"].endswith(
        "--conf spark.executor.instances=4 --conf 'spark.driver.extraJavaOptions=-Da=1 -Db=2'"
    )


@pytest.mark.parametrize("state", ["SUBMITTED", "PENDING", "SCHEDULED", "QUEUED", "RUNNING"])
@pytest.mark.parametrize("is_kept", [True, False], ids=["id kept", "killed before its id was kept"])
def test_a_retry_goes_on_with_the_job_that_a_killed_task_left(aws, application, monkeypatch, state, is_kept):
    monkeypatch.setattr(moto_emr, "JOB_STATUS", state)
    states = TaskStates()
    killed(task(), context(states))
    (left,) = jobs(aws, application)
    assert states == {"remote_job_id": left["id"]}
    write_candidate()
    succeed_while_waited_for(monkeypatch, application)
    task().execute(context(states if is_kept else None))
    assert [run["id"] for run in jobs(aws, application)] == [left["id"]]


def test_another_runs_job_is_not_this_ones(aws, application, monkeypatch):
    monkeypatch.setattr(moto_emr, "JOB_STATUS", "RUNNING")
    killed(task(), context())
    monkeypatch.setattr(moto_emr, "JOB_STATUS", "SUCCESS")
    write_candidate()
    task().execute(context(run_id="another week"))
    assert len(jobs(aws, application)) == 2


def test_what_succeeded_while_nobody_waited_is_not_run_again(aws, application):
    states = TaskStates()
    killed(task(), context(states))
    write_candidate()
    task().execute(context(states))
    assert len(jobs(aws, application)) == 1


def test_what_succeeded_and_lost_its_result_is_run_again(aws, application):
    states = TaskStates()
    killed(task(), context(states))
    with pytest.raises(PostConditionFailed):
        task().execute(context(states))
    assert len(jobs(aws, application)) == 2


def test_a_task_that_is_cleared_after_its_success_runs_again(aws, application):
    states = TaskStates()
    write_candidate()
    for number in (1, 2):
        task().execute(context(states))
        assert len(jobs(aws, application)) == number


def test_a_job_that_is_forgotten_is_run_again(aws, application):
    write_candidate()
    task().execute(context(TaskStates(remote_job_id="00000000000000000000000000")))
    assert len(jobs(aws, application)) == 1


def test_a_killed_task_cancels_its_job(aws, application, monkeypatch):
    monkeypatch.setattr(moto_emr, "JOB_STATUS", "RUNNING")
    operator = task()
    operator.on_kill()
    killed(operator, context())
    operator.on_kill()
    assert [run["state"] for run in jobs(aws, application)] == ["CANCELLED"]


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "CANCELLING"])
def test_a_job_that_fails_fails_the_task_with_what_emr_says(application, monkeypatch, state):
    monkeypatch.setattr(moto_emr, "JOB_STATUS", state)
    write_candidate()
    with pytest.raises(AirflowException, match=rf"ended as {state}: .* clear the task"):
        task().execute(context())


def test_a_state_that_nobody_knows_is_an_error_and_not_a_job_at_work(application, monkeypatch):
    monkeypatch.setattr(moto_emr, "JOB_STATUS", "HIBERNATING")
    with pytest.raises(AirflowException, match=r"is HIBERNATING, which is none of SUBMITTED, "):
        task().execute(context())


def test_a_job_that_left_no_whole_result_is_no_success(application):
    write_candidate("model.txt")
    with pytest.raises(PostConditionFailed, match=rf"left no {FRAME}/candidate/training\.json"):
        task().execute(context())


def test_another_connection_is_all_that_is_used(aws, application, monkeypatch):
    connect(monkeypatch, connection_id="big_cluster", application_id=application, execution_role_arn=ROLE)
    monkeypatch.delenv("AIRFLOW_CONN_EMR")
    write_candidate()
    task(connection_id="big_cluster").execute(context())
    assert len(jobs(aws, application)) == 1


@pytest.mark.parametrize("missing", ["execution_role_arn", "entry_points"])
def test_a_connection_that_lacks_an_extra_is_named_and_nothing_is_retried(bucket, monkeypatch, missing):
    connect(monkeypatch, **{"application_id": "a", "execution_role_arn": ROLE, missing: ""})
    with pytest.raises(AirflowFailException, match=rf"Connection emr lacks the extras {missing}\. Add them"):
        task().execute(context())


def test_a_job_of_this_machines_folders_is_not_sent(aws, application):
    job = training_job(frame="/var/lib/shelfcast/frame", releases=JOB.inputs[1], code_version="abc123")
    with pytest.raises(AirflowFailException, match=r"writes /var/lib/shelfcast/frame, .* SHELFCAST_ARTIFACTS"):
        task(job=job).execute(context())
    assert jobs(aws, application) == []


def test_a_connection_of_another_type_is_refused(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_EMR", '{"conn_type": "livy", "host": "livy"}')
    with pytest.raises(AirflowFailException, match=r"has the type 'livy': Spark jobs run on one of type spark or aws"):
        task().execute(context())
