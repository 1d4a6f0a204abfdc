"""A Spark entry point as a job run of EMR Serverless."""

from datetime import datetime
from typing import Any

from airflow.providers.amazon.aws.hooks.emr import EmrServerlessHook
from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator
from airflow.providers.amazon.aws.utils.waiter_with_logging import wait

from shelfcast_provider.emr_target import LONGEST_MINUTES, POLL_SECONDS, EmrTarget, SparkSubmission

DONE = EmrServerlessHook.JOB_SUCCESS_STATES
UNFINISHED = EmrServerlessHook.JOB_INTERMEDIATE_STATES | {"QUEUED"}
"""The provider's set does not know the queue of an application that has a limit of concurrent job runs."""


class EmrServerlessJobRun(EmrServerlessStartJobOperator):
    """One job run: `execute` starts it and waits for its end, `on_kill` cancels it.

    Args:
        target: Where it runs.
        submission: What runs.
        name: Of the job run; one task of one DAG run.
    """

    def __init__(self, *, target: EmrTarget, submission: SparkSubmission, name: str, **kwargs: Any) -> None:
        spark_submit = {
            "entryPoint": submission.entry_point,
            "entryPointArguments": submission.arguments,
            "sparkSubmitParameters": submission.parameters,
        }
        super().__init__(
            application_id=target.application_id,
            execution_role_arn=target.execution_role_arn,
            job_driver={"sparkSubmit": spark_submit},
            config={"executionTimeoutMinutes": LONGEST_MINUTES},
            name=name,
            aws_conn_id=target.connection_id,
            waiter_delay=POLL_SECONDS,
            waiter_max_attempts=LONGEST_MINUTES * 60 // POLL_SECONDS,
            deferrable=False,
            **kwargs,
        )

    def take_up(self, done_since: datetime | None) -> str | None:
        """Finds the job run of this name that an earlier try left, unfinished or successful since then; answers its id."""
        pages = self.hook.conn.get_paginator("list_job_runs").paginate(
            applicationId=self.application_id, states=sorted(UNFINISHED | DONE)
        )
        runs = [run for page in pages for run in page["jobRuns"] if run.get("name") == self.name]
        left = [run for run in runs if run["state"] not in DONE or (done_since and run["createdAt"] >= done_since)]
        self.job_id = max(left, key=lambda run: run["createdAt"])["id"] if left else None
        return self.job_id

    def wait(self) -> None:
        """Waits for the end of the job run that was taken up; raises when it failed."""
        wait(
            waiter=self.hook.get_waiter("serverless_job_completed"),
            waiter_delay=self.waiter_delay,
            waiter_max_attempts=self.waiter_max_attempts,
            args={"applicationId": self.application_id, "jobRunId": self.job_id},
            failure_message="The job run failed",
            status_message="The job run is",
            status_args=["jobRun.state", "jobRun.stateDetails"],
        )
