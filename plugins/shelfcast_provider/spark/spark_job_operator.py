"""Runs a Spark job where a connection says."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, ResumableJobMixin
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from shelfcast import storage
from shelfcast.errors import ConfigurationError, PostConditionFailed
from shelfcast.spark_job import SparkJob
from shelfcast_provider.connections import SPARK

if TYPE_CHECKING:
    from airflow.sdk import Context

    from shelfcast_provider.spark.cluster import SparkCluster

MINUTE = 60


class SparkJobOperator(ResumableJobMixin, BaseOperator):
    """Submits a job and waits for its end; a retry goes on with the job that an earlier try has left.

    A connection of type `spark` names a master that spark-submit reaches (`local[2]`, `spark://…`, `yarn`), one of type
    `aws` an application of EMR Serverless or an EMR cluster on EC2. The job may take as long as the task.

    Args:
        job: What runs; its arguments and URIs are templated.
        conf: Spark settings on top of the profile's own (templated).
        connection_id: Where to run.
    """

    template_fields: Sequence[str] = ("arguments", "inputs", "outputs", "written_last", "conf")

    def __init__(
        self, *, job: SparkJob, conf: Mapping[str, str] | None = None, connection_id: str = SPARK, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.entry_point = job.entry_point
        self.arguments, self.inputs, self.outputs = job.arguments, job.inputs, job.outputs
        self.written_last = job.written_last
        self.conf = dict(conf or {})
        self.connection_id = connection_id
        self._cluster: SparkCluster | None = None
        self._job_id: str | None = None

    def execute(self, context: "Context") -> None:
        """Runs the job to its end and sees that its result is there; a cleared task runs it anew."""
        from shelfcast_provider.spark.cluster import cluster_of

        try:
            self._cluster = cluster_of(self.connection_id)
            self._check_reach(self._cluster)
            self.execute_resumable(context)
        except ConfigurationError as error:
            raise AirflowFailException(str(error)) from error
        self.log.info(
            "%s ended well on %s; what it wrote is whole: %s.", self.entry_point, self.connection_id, self.written_last
        )
        states: Any = context.get("task_state_store")
        if states is not None:
            states.delete(self.external_id_key)

    def on_kill(self) -> None:
        """Ends the job with the task."""
        if self._cluster is not None:
            self._cluster.cancel(self._job_id)

    def submit_job(self, context: "Context") -> str | None:
        """Submits the job, unless one of its name is active: that one's id was not kept before its task was killed."""
        from shelfcast_provider.spark.cluster import Application

        name = f"shelfcast.{self.dag_id}.{self.task_id}.{context['run_id']}"
        limit = self.execution_timeout
        self._job_id = self._connected.find(name)
        if self._job_id is not None:
            self.log.info("%s of an earlier try is taken up.", self._job_id)
            return self._job_id
        self._job_id = self._connected.submit(
            Application(
                name=name,
                entry_point=self.entry_point,
                arguments=tuple(self.arguments),
                conf=self.conf,
                limit_minutes=int(limit.total_seconds()) // MINUTE if limit else None,
            )
        )
        return self._job_id

    def get_job_status(self, external_id: Any, context: "Context") -> str:
        """Returns what became of the job of an earlier try; one without its result counts as failed."""
        from shelfcast_provider.spark.cluster import JobState

        self._job_id = str(external_id)
        state = self._connected.state(self._job_id)
        return str(JobState.FAILED if state is JobState.SUCCEEDED and not self._has_result() else state)

    def is_job_active(self, status: str) -> bool:
        """Whether it has not ended."""
        from shelfcast_provider.spark.cluster import JobState

        return status == JobState.ACTIVE

    def is_job_succeeded(self, status: str) -> bool:
        """Whether it has ended as it should."""
        from shelfcast_provider.spark.cluster import JobState

        return status == JobState.SUCCEEDED

    def poll_until_complete(self, external_id: Any, context: "Context") -> None:
        """Waits for the end of the job, as long as the task may take; raises when it failed."""
        from shelfcast_provider.spark.cluster import JobState

        if external_id is not None:
            self._job_id = str(external_id)
            self.log.info("Waiting for the end of %s.", self._job_id)
            while (state := self._connected.state(self._job_id)) is JobState.ACTIVE:
                time.sleep(self._connected.poll_seconds)
            if state is JobState.FAILED:
                raise AirflowException(self._connected.failure(self._job_id))
        self._check_result()

    def get_job_result(self, external_id: Any, context: "Context") -> None:
        """Nothing: what the job wrote lies where it was told."""

    @property
    def _connected(self) -> "SparkCluster":
        if self._cluster is None:
            raise RuntimeError("The task is not executed yet.")
        return self._cluster

    def _check_reach(self, cluster: "SparkCluster") -> None:
        local = sorted({uri for uri in (*self.inputs, *self.outputs) if not storage.is_in_bucket(uri)})
        if local and not cluster.shares_disk:
            raise ConfigurationError(
                f"{self.entry_point} reads and writes {', '.join(local)}: the machines of connection {self.connection_id} "
                "do not see this one's disks. Set SHELFCAST_ARTIFACTS and SHELFCAST_LANDING to s3://bucket/prefix, or give "
                "a connection of type spark."
            )

    def _has_result(self) -> bool:
        return storage.location(self.written_last).exists()

    def _check_result(self) -> None:
        if not self._has_result():
            raise PostConditionFailed(
                f"The job succeeded and left no {self.written_last}: there is nothing to go on with. Read its log, and see "
                "that its role may write there."
            )
