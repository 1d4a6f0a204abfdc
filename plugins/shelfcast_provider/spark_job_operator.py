"""Runs one of Shelfcast's Spark entry points: where, its connection says."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook, BaseOperator
from airflow.sdk.exceptions import AirflowFailException

import shelfcast
from shelfcast.errors import ConfigurationError
from shelfcast.settings import Settings
from shelfcast_provider.connections import SPARK
from shelfcast_provider.nested_operator import execute_nested

if TYPE_CHECKING:
    from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
    from airflow.sdk import Context

    from shelfcast_provider.emr_job import EmrJob

LAPTOP = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "2g",
    # jobs of seconds: what the second compiler and a parallel collector cost they never earn back
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    "spark.log.level": "WARN",
    "spark.sql.shuffle.partitions": "2",
    "spark.databricks.delta.snapshotPartitions": "2",
}
"""Keeps Spark small and on loopback where it shares one machine with everything else."""

DELTA = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What a job reads and writes, for machines that share no disk with Airflow's.

    Attributes:
        reads: Glob patterns of files in the artifacts folder.
        writes: Folder in the artifacts folder.
        last: The file in `writes` that says that it is whole.
    """

    reads: tuple[str, ...]
    writes: str
    last: str


class SparkJobOperator(BaseOperator):
    """Submits `include/shelfcast/<job>.py`.

    A connection of type `spark` names a master (`local[2]`, `spark://…`, `yarn`) for the stock SparkSubmitOperator, one
    of type `aws` an application of EMR Serverless or an EMR cluster on EC2. The stock operators take seconds to import
    (they bring both Kubernetes clients, or boto), and every task process of a DAG file pays for the file's imports: here
    they are imported when the task runs.

    Args:
        job: Path of the entry point below `include/shelfcast`, without its ending (`ingestion/landing_job`).
        arguments: The entry point's command line (templated).
        conf: Spark settings on top of the profile's own (templated); of a `spark` connection.
        connection_id: Where to run.
        exchange: What is copied to and fro (templated); without it the job cannot run on EMR.
    """

    template_fields: Sequence[str] = ("arguments", "conf", "reads", "writes")

    def __init__(
        self,
        *,
        job: str,
        arguments: Sequence[str],
        conf: Mapping[str, str] | None = None,
        connection_id: str = SPARK,
        exchange: Exchange | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.arguments = arguments
        self.conf = conf
        self.connection_id = connection_id
        self.exchange = exchange
        self.reads = exchange.reads if exchange else ()
        self.writes = exchange.writes if exchange else ""
        self._submission: SparkSubmitOperator | EmrJob | None = None

    def execute(self, context: "Context") -> None:
        """Submits the job and waits for its end; raises when it failed."""
        connection = BaseHook.get_connection(self.connection_id)
        try:
            is_emr = connection.conn_type == "aws"
            self._submission = self._on_emr(connection.extra_dejson, context) if is_emr else self._on_spark()
            execute_nested(self._submission, context)
        except ConfigurationError as error:
            raise AirflowFailException(str(error)) from error

    def on_kill(self) -> None:
        """Stops the submitted job with the task."""
        if self._submission is not None:
            self._submission.on_kill()

    def _on_spark(self) -> "SparkSubmitOperator":
        from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator

        return SparkSubmitOperator(
            task_id=self.task_id,
            conn_id=self.connection_id,
            application=str(Path(shelfcast.__file__).parent / f"{self.job}.py"),
            application_args=list(self.arguments),
            conf=self._settings(),
            name=f"shelfcast.{self.dag_id}.{self.task_id}",
            verbose=False,
        )

    def _on_emr(self, extras: Mapping[str, Any], context: "Context") -> "EmrJob":
        from shelfcast_provider.emr_job import EmrJob
        from shelfcast_provider.emr_target import EmrTarget

        if self.exchange is None:
            raise ConfigurationError(
                f"{self.job} does not run on EMR: it reads and writes folders of this machine. Give connection "
                f"{self.connection_id} the type spark."
            )
        target, artifacts = EmrTarget.of(extras, self.connection_id), Settings.from_environment().artifacts
        return EmrJob(
            task_id=self.task_id,
            target=target,
            submission=target.submission(f"{self.job}.py", self.arguments, artifacts),
            artifacts=artifacts,
            files=replace(self.exchange, reads=tuple(self.reads), writes=self.writes),
            name=f"shelfcast.{self.dag_id}.{self.task_id}.{context['run_id']}",
        )

    def _settings(self) -> dict[str, str]:
        laptop = LAPTOP if Settings.from_environment().profile == "laptop" else {}
        jars = os.environ.get("SHELFCAST_SPARK_JARS", "")
        return {**laptop, **DELTA, **({"spark.jars": jars} if jars else {}), **(self.conf or {})}
