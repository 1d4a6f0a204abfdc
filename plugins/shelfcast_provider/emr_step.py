"""A Spark entry point as a step of a running EMR cluster on EC2."""

import logging
import shlex
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.exceptions import WaiterMaxAttemptsError, WaiterTerminalFailure
from airflow.providers.amazon.aws.hooks.emr import EmrHook
from airflow.providers.amazon.aws.utils.waiter_with_logging import wait
from airflow.providers.common.compat.sdk import AirflowException
from botocore.exceptions import ClientError

from shelfcast.errors import ConfigurationError
from shelfcast_provider.emr_target import LONGEST_MINUTES, POLL_SECONDS, EmrTarget, SparkSubmission

if TYPE_CHECKING:
    from airflow.sdk import Context

LOGGER = logging.getLogger(__name__)
TAKES_STEPS = frozenset({"STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"})
UNFINISHED, DONE = ("PENDING", "RUNNING"), "COMPLETED"


class EmrStep:
    """One step: `execute` adds it and waits for its end, `on_kill` cancels it.

    Args:
        target: Where it runs.
        submission: What runs.
        name: Of the step; one task of one DAG run.
    """

    def __init__(self, *, target: EmrTarget, submission: SparkSubmission, name: str) -> None:
        self.target, self.submission, self.name = target, submission, name
        self.cluster_id = target.cluster_id
        self.hook = EmrHook(aws_conn_id=target.connection_id, emr_conn_id=None)
        self.step_id: str | None = None

    def take_up(self, done_since: datetime | None) -> str | None:
        """Finds the step of this name that an earlier try left, unfinished or completed since then; answers its id."""
        steps = [step for step in self._steps() if step["Name"] == self.name]
        left = [step for step in steps if step["Status"]["State"] != DONE or (done_since and added(step) >= done_since)]
        self.step_id = max(left, key=added)["Id"] if left else None
        return self.step_id

    def execute(self, context: "Context") -> str:
        """Adds the step and waits for its end; answers its id."""
        self._check_cluster()
        (self.step_id,) = self.hook.add_job_flow_steps(
            self.cluster_id, steps=[self._definition()], execution_role_arn=self.target.execution_role_arn or None
        )
        self.wait()
        return self.step_id

    def wait(self) -> None:
        """Waits for the end of the step; raises when it failed, cancels it when it takes too long."""
        try:
            wait(
                waiter=self.hook.get_waiter("step_wait_for_terminal"),
                waiter_delay=POLL_SECONDS,
                waiter_max_attempts=LONGEST_MINUTES * 60 // POLL_SECONDS,
                args={"ClusterId": self.cluster_id, "StepId": self.step_id},
                failure_message="The step failed",
                status_message="The step is",
                status_args=["Step.Status.State", "Step.Status.StateChangeReason.Message"],
            )
        except WaiterTerminalFailure as failure:
            raise AirflowException(self._why(failure.last_response["Step"])) from None
        except WaiterMaxAttemptsError:
            self.on_kill()
            raise AirflowException(
                f"Step {self.step_id} of cluster {self.cluster_id} had not ended after {LONGEST_MINUTES} minutes and was "
                "cancelled. See in the cluster's list of steps whether it waited for others or lacked executors."
            ) from None

    def on_kill(self) -> None:
        """Asks EMR to cancel the step: one that waits does not start, of one that runs spark-submit is interrupted."""
        if self.step_id is None:
            return
        answer = self.hook.get_conn().cancel_steps(
            ClusterId=self.cluster_id, StepIds=[self.step_id], StepCancellationOption="SEND_INTERRUPT"
        )
        for refused in (info for info in answer["CancelStepsInfoList"] if info["Status"] == "FAILED"):
            LOGGER.error("EMR does not cancel step %s: %s", self.step_id, refused.get("Reason"))

    def _steps(self) -> list[dict[str, Any]]:
        pages = self.hook.get_conn().get_paginator("list_steps")
        try:
            found = pages.paginate(ClusterId=self.cluster_id, StepStates=[*UNFINISHED, DONE])
            return [step for page in found for step in page["Steps"]]
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidRequestException":
                raise
            raise ConfigurationError(
                f"EMR knows no cluster {self.cluster_id}: {error.response['Error']['Message']} Correct cluster_id or "
                f"region_name of connection {self.target.connection_id}."
            ) from error

    def _check_cluster(self) -> None:
        cluster = self.hook.get_conn().describe_cluster(ClusterId=self.cluster_id)["Cluster"]
        if cluster["Status"]["State"] not in TAKES_STEPS:
            raise ConfigurationError(
                f"Cluster {self.cluster_id} is {cluster['Status']['State']} and takes no steps. Start one, put its id into "
                f"cluster_id of connection {self.target.connection_id}, then clear the task."
            )

    def _definition(self) -> dict[str, Any]:
        submit = ["spark-submit", "--deploy-mode", "cluster", *shlex.split(self.submission.parameters)]
        return {
            "Name": self.name,
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {
                "Jar": "command-runner.jar",
                "Args": [*submit, self.submission.entry_point, *self.submission.arguments],
            },
        }

    def _why(self, step: dict[str, Any]) -> str:
        status = step["Status"]
        details, changed = status.get("FailureDetails", {}), status.get("StateChangeReason", {})
        reasons = [details.get("Reason"), details.get("Message") or changed.get("Message")]
        said = "; ".join(reason for reason in reasons if reason) or "EMR gives no reason"
        log = details.get("LogFile") or f"steps/{self.step_id}/ below the log URI of the cluster"
        return (
            f"Step {self.step_id} of cluster {self.cluster_id} ended as {status['State']}: {said}. Its log: {log}; the "
            "driver's is that of its YARN application. Mend what they name and clear the task; it adds a new step."
        )


def added(step: dict[str, Any]) -> datetime:
    """When EMR was given the step."""
    return step["Status"]["Timeline"]["CreationDateTime"]  # type: ignore[no-any-return]
