"""An application of EMR Serverless, whose jobs are job runs."""

from enum import StrEnum
from typing import Any

from airflow.providers.amazon.aws.hooks.emr import EmrServerlessHook

from shelfcast_provider.spark.cluster import Application, JobState
from shelfcast_provider.spark.emr_target import POLL_SECONDS, EmrTarget, known_state


class JobRunState(StrEnum):
    """As EMR Serverless calls them."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    SCHEDULED = "SCHEDULED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"


ACTIVE = frozenset({
    JobRunState.SUBMITTED, JobRunState.PENDING, JobRunState.SCHEDULED, JobRunState.QUEUED, JobRunState.RUNNING,
})  # fmt: skip


class EmrServerless:
    """Job runs of an application.

    Args:
        target: Which one, and how its jobs run.
    """

    shares_disk = False
    poll_seconds = POLL_SECONDS

    def __init__(self, target: EmrTarget) -> None:
        self._target = target
        self._client: Any = EmrServerlessHook(aws_conn_id=target.connection_id).conn

    def find(self, name: str) -> str | None:
        """Returns the newest active job run of that name."""
        pages = self._client.get_paginator("list_job_runs").paginate(
            applicationId=self._target.application_id, states=sorted(ACTIVE)
        )
        runs = [run for page in pages for run in page["jobRuns"] if run.get("name") == name]
        return max(runs, key=lambda run: run["createdAt"])["id"] if runs else None

    def submit(self, application: Application) -> str:
        """Starts a job run, and with it the application, which starts by itself unless it was told not to."""
        limit = {"executionTimeoutMinutes": application.limit_minutes} if application.limit_minutes else {}
        answer = self._client.start_job_run(
            applicationId=self._target.application_id,
            executionRoleArn=self._target.execution_role_arn,
            name=application.name,
            jobDriver={
                "sparkSubmit": {
                    "entryPoint": self._target.entry_point(application),
                    "entryPointArguments": list(application.arguments),
                    "sparkSubmitParameters": self._target.parameters(application),
                }
            },
            **limit,
        )
        return str(answer["jobRunId"])

    def state(self, job_id: str) -> JobState:
        """Returns what became of a job run."""
        try:
            found = self._job_run(job_id)
        except self._client.exceptions.ResourceNotFoundException:
            return JobState.FAILED
        state = known_state(JobRunState, found["state"], f"job run {job_id}")
        if state in ACTIVE:
            return JobState.ACTIVE
        return JobState.SUCCEEDED if state is JobRunState.SUCCESS else JobState.FAILED

    def failure(self, job_id: str) -> str:
        """Returns what EMR says of it."""
        found = self._job_run(job_id)
        said = found.get("stateDetails") or "EMR gives no reason"
        return (
            f"Job run {job_id} of application {self._target.application_id} ended as {found['state']}: {said}. Its driver's "
            "log is in the application's console, or where its monitoring configuration says. Mend what it names and clear "
            "the task; it starts another, which goes on behind the fits that were finished."
        )

    def cancel(self, job_id: str | None) -> None:
        """Asks EMR to cancel it."""
        if job_id is not None:
            self._client.cancel_job_run(applicationId=self._target.application_id, jobRunId=job_id)

    def _job_run(self, job_id: str) -> dict[str, Any]:
        return dict(self._client.get_job_run(applicationId=self._target.application_id, jobRunId=job_id)["jobRun"])
