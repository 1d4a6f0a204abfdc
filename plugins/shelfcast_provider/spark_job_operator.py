"""Runs one of Shelfcast's Spark entry points with the stock SparkSubmitOperator."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

import shelfcast
from shelfcast.settings import Settings
from shelfcast_provider.connections import SPARK

if TYPE_CHECKING:
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
    from airflow.sdk import Context

LAPTOP = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
}
"""Keeps Spark small and on loopback where it shares one machine with everything else."""

DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}


class SparkJobOperator(BaseOperator):
    """Submits `include/shelfcast/<job>.py`.

    The stock operator's module takes three CPU seconds to import (it brings both Kubernetes clients), and every task
    process of a DAG file pays for the file's imports: here it is imported when the task runs.

    Args:
        job: Path of the entry point below `include/shelfcast`, without its ending (`ingestion/landing_job`).
        arguments: The entry point's command line (templated).
        conf: Spark settings on top of the profile's own (templated).
    """

    template_fields: Sequence[str] = ("arguments", "conf")

    def __init__(
        self, *, job: str, arguments: Sequence[str], conf: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.arguments = arguments
        self.conf = conf
        self._submission: SparkSubmitOperator | None = None

    def execute(self, context: "Context") -> None:
        """Submits the job and waits for its end; raises when it failed."""
        from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

        self._submission = SparkSubmitOperator(
            task_id=self.task_id,
            conn_id=SPARK,
            application=str(Path(shelfcast.__file__).parent / f"{self.job}.py"),
            application_args=list(self.arguments),
            conf=self._settings(),
            name=f"shelfcast.{self.dag_id}.{self.task_id}",
            verbose=False,
        )
        self._submission.execute(context)

    def on_kill(self) -> None:
        """Stops the submitted job with the task."""
        if self._submission is not None:
            self._submission.on_kill()

    def _settings(self) -> dict[str, str]:
        laptop = LAPTOP if Settings.from_environment().profile == "laptop" else {}
        jars = os.environ.get("SHELFCAST_SPARK_JARS", "")
        return {**laptop, **DELTA, **({"spark.jars": jars} if jars else {}), **(self.conf or {})}
