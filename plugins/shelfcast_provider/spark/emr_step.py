"""A running EMR cluster on EC2, whose jobs are steps."""

import logging
import shlex
from enum import StrEnum
from typing import Any

from airflow.providers.amazon.aws.hooks.emr import EmrHook
from botocore.exceptions import ClientError

from shelfcast.errors import ConfigurationError
from shelfcast_provider.spark.cluster import Application, JobState
from shelfcast_provider.spark.emr_target import POLL_SECONDS, EmrTarget, known_state

LOGGER = logging.getLogger(__name__)
TAKES_STEPS = frozenset({"STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"})


class StepState(StrEnum):
    """As EMR calls them."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    CANCEL_PENDING = "CANCEL_PENDING"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    INTERRUPTED = "INTERRUPTED"


ACTIVE = frozenset({StepState.PENDING, StepState.RUNNING})


class EmrSteps:
    """Steps of a cluster.

    Args:
        target: Which one, and how its jobs run.
    """

    shares_disk = False
    poll_seconds = POLL_SECONDS

    def __init__(self, target: EmrTarget) -> None:
        self._target = target
        self._hook = EmrHook(aws_conn_id=target.connection_id, emr_conn_id=None)
        self._client: Any = self._hook.get_conn()

    def find(self, name: str) -> str | None:
        """Returns the newest active step of that name."""
        pages = self._client.get_paginator("list_steps")
        try:
            found = pages.paginate(ClusterId=self._target.cluster_id, StepStates=sorted(ACTIVE))
            steps = [step for page in found for step in page["Steps"] if step["Name"] == name]
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidRequestException":
                raise
            raise ConfigurationError(
                f"EMR knows no cluster {self._target.cluster_id}: {error.response['Error']['Message']} Correct cluster_id "
                f"or region_name of connection {self._target.connection_id}."
            ) from error
        return max(steps, key=lambda step: step["Status"]["Timeline"]["CreationDateTime"])["Id"] if steps else None

    def submit(self, application: Application) -> str:
        """Adds a step."""
        self._check_cluster()
        submit = ["spark-submit", "--deploy-mode", "cluster", *shlex.split(self._target.parameters(application))]
        step = {
            "Name": application.name,
            "ActionOnFailure": "CONTINUE",
            "HadoopJarStep": {
                "Jar": "command-runner.jar",
                "Args": [*submit, self._target.entry_point(application), *application.arguments],
            },
        }
        (step_id,) = self._hook.add_job_flow_steps(
            self._target.cluster_id, steps=[step], execution_role_arn=self._target.execution_role_arn or None
        )
        return str(step_id)

    def state(self, job_id: str) -> JobState:
        """Returns what became of a step."""
        state = known_state(StepState, self._step(job_id)["Status"]["State"], f"step {job_id}")
        if state in ACTIVE:
            return JobState.ACTIVE
        return JobState.SUCCEEDED if state is StepState.COMPLETED else JobState.FAILED

    def failure(self, job_id: str) -> str:
        """Returns what EMR says of it."""
        status = self._step(job_id)["Status"]
        details, changed = status.get("FailureDetails", {}), status.get("StateChangeReason", {})
        reasons = [details.get("Reason"), details.get("Message") or changed.get("Message")]
        said = "; ".join(reason for reason in reasons if reason) or "EMR gives no reason"
        log = details.get("LogFile") or f"steps/{job_id}/ below the log URI of the cluster"
        return (
            f"Step {job_id} of cluster {self._target.cluster_id} ended as {status['State']}: {said}. Its log: {log}; the "
            "driver's is that of its YARN application. Mend what they name and clear the task; it adds a new step."
        )

    def cancel(self, job_id: str | None) -> None:
        """Asks EMR to cancel a step: one that waits does not start, of one that runs spark-submit is interrupted."""
        if job_id is None:
            return
        answer = self._client.cancel_steps(
            ClusterId=self._target.cluster_id, StepIds=[job_id], StepCancellationOption="SEND_INTERRUPT"
        )
        for refused in (info for info in answer["CancelStepsInfoList"] if info["Status"] == "FAILED"):
            LOGGER.error("EMR does not cancel step %s: %s", job_id, refused.get("Reason"))

    def _step(self, job_id: str) -> dict[str, Any]:
        return dict(self._client.describe_step(ClusterId=self._target.cluster_id, StepId=job_id)["Step"])

    def _check_cluster(self) -> None:
        cluster = self._client.describe_cluster(ClusterId=self._target.cluster_id)["Cluster"]
        if cluster["Status"]["State"] not in TAKES_STEPS:
            raise ConfigurationError(
                f"Cluster {self._target.cluster_id} is {cluster['Status']['State']} and takes no steps. Start one, put its "
                f"id into cluster_id of connection {self._target.connection_id}, then clear the task."
            )
