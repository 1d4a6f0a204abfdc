"""A Spark master that `spark-submit` reaches from this machine: `local[2]`, `spark://…`, `yarn`."""

import os
from pathlib import Path

from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook

import shelfcast
from shelfcast.settings import Settings
from shelfcast_provider import java
from shelfcast_provider.spark.cluster import Application, JobState

LAPTOP = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.driver.extraJavaOptions": " ".join(java.FOR_SECONDS),
    "spark.log.level": "WARN",
    "spark.sql.shuffle.partitions": "2",
    "spark.sql.adaptive.enabled": "false",  # of two partitions no plan gets better between its stages
    "spark.databricks.delta.snapshotPartitions": "2",
}
"""Keeps Spark small and on loopback where it shares one machine with everything else."""

DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}
S3 = {"spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem"}
"""The name that EMR gives its own file system, for Hadoop's; its jars (`hadoop-aws`) are the deployment's to bring."""


class SparkSubmit:
    """Submits and waits: the driver, or what watches it, is a child of the task.

    Args:
        connection_id: Of type `spark`.
    """

    shares_disk = True
    poll_seconds = 0.0

    def __init__(self, connection_id: str) -> None:
        self._connection_id = connection_id
        self._hook: SparkSubmitHook | None = None

    def find(self, name: str) -> str | None:
        """Nothing: a job that a killed task has left holds the lock of what it writes, and the next one waits for it."""
        return None

    def submit(self, application: Application) -> None:
        """Runs the job to its end; raises when it failed."""
        self._hook = SparkSubmitHook(
            conn_id=self._connection_id,
            application_args=list(application.arguments),
            conf={**settings(), **application.conf},
            name=application.name,
            verbose=False,
        )
        self._hook.submit(str(Path(shelfcast.__file__).parent / application.entry_point))

    def state(self, job_id: str) -> JobState:
        """Raises: there are no ids to ask for."""
        raise NotImplementedError(job_id)

    def failure(self, job_id: str) -> str:
        """Raises: `submit` has told."""
        raise NotImplementedError(job_id)

    def cancel(self, job_id: str | None) -> None:
        """Ends what was submitted."""
        if self._hook is not None:
            self._hook.on_kill()


def settings() -> dict[str, str]:
    """Spark settings of the profile."""
    laptop = LAPTOP if Settings.from_environment().profile == "laptop" else {}
    jars = os.environ.get("SHELFCAST_SPARK_JARS", "")
    return {**laptop, **DELTA, **s3_settings(), **({"spark.jars": jars} if jars else {})}


def s3_settings() -> dict[str, str]:
    """How Hadoop finds S3: as the AWS SDK does, another server's buckets by their paths."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    if not endpoint:
        return S3
    return {**S3, "spark.hadoop.fs.s3a.endpoint": endpoint, "spark.hadoop.fs.s3a.path.style.access": "true"}
