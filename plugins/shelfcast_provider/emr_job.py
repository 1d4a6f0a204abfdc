"""A Spark entry point as a job run of EMR Serverless; what it reads and writes goes through S3.

EMR's workers share no disk with Airflow's. The artifacts folder is mirrored below the connection's `exchange`: what the
job reads is copied there before it starts, what it wrote is copied back when it has succeeded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.amazon.aws.hooks.emr import EmrServerlessHook
from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.operators.emr import EmrServerlessStartJobOperator
from airflow.providers.amazon.aws.utils.waiter_with_logging import wait

from shelfcast.errors import ConfigurationError, PostConditionFailed
from shelfcast_provider.connections import EMR, check_extras

if TYPE_CHECKING:
    from airflow.sdk import Context

    from shelfcast_provider.spark_job_operator import Exchange

POLL_SECONDS = 30
LONGEST_MINUTES = 120
BARRIER = "--conf spark.dynamicAllocation.enabled=false"
"""Spark refuses barrier stages where executors come and go."""


@dataclass(frozen=True, kw_only=True)
class EmrTarget:
    """Where a job runs: a connection and its extras.

    Attributes:
        connection_id: Of the AWS connection that all is done with.
        application_id: Of the EMR Serverless application.
        execution_role_arn: Role of the job; reads and writes below `exchange`.
        entry_points: Folder or URI that holds `shelfcast`'s own files where the job runs.
        exchange: `s3://bucket/prefix` that mirrors the artifacts folder.
        spark_submit_parameters: Cores, memory and Python of the job, as spark-submit takes them.
    """

    connection_id: str
    application_id: str
    execution_role_arn: str
    entry_points: str
    exchange: str
    spark_submit_parameters: str = ""

    @classmethod
    def of(cls, extras: Mapping[str, Any], connection_id: str = EMR) -> "EmrTarget":
        """Reads the extras; raises `ConfigurationError` that names those that are missing."""
        check_extras(EMR, extras)
        wanted = ("application_id", "execution_role_arn", "entry_points", "exchange")
        missing = [name for name in wanted if not extras.get(name)]
        if missing:
            raise ConfigurationError(
                f"Connection {connection_id} lacks the extras {', '.join(missing)}. Add them, or train elsewhere by another "
                "SHELFCAST_TRAINING_CONNECTION; docs/how-to/train-on-a-cluster.md says what each one means."
            )
        given = {name: str(extras[name]) for name in (*wanted, "spark_submit_parameters") if name in extras}
        return cls(connection_id=connection_id, **{**given, "exchange": given["exchange"].rstrip("/")})


class EmrJob(EmrServerlessStartJobOperator):
    """One job run: started, or taken up where a killed task has left it, and waited for; cancelled with the task.

    Args:
        target: Where it runs.
        entry_point: Path below `entry_points`.
        arguments: Command line; paths below `artifacts` become URIs below `exchange`.
        artifacts: The folder that is mirrored.
        files: What is copied there and back, below `artifacts`.
        name: Of the job run; one task of one DAG run.
    """

    def __init__(
        self,
        *,
        target: EmrTarget,
        entry_point: str,
        arguments: Sequence[str],
        artifacts: Path,
        files: "Exchange",
        name: str,
        **kwargs: Any,
    ) -> None:
        self.target, self.artifacts, self.files = target, artifacts, files
        spark_submit = {
            "entryPoint": f"{target.entry_points.rstrip('/')}/{entry_point}",
            "entryPointArguments": [argument.replace(str(artifacts), target.exchange) for argument in arguments],
            "sparkSubmitParameters": f"{target.spark_submit_parameters} {BARRIER}".strip(),
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

    def execute(self, context: "Context", event: dict[str, Any] | None = None) -> str | None:
        """Runs the job to its end and brings back what it wrote; answers the job run's id."""
        self.job_id = self._left_running()
        if self.job_id is None:
            self._send()
            super().execute(context, event)
        else:
            self.log.info("Job run %s of an earlier try goes on; waiting for it.", self.job_id)
            self._wait()
        self._fetch()
        return self.job_id

    @cached_property
    def s3(self) -> S3Hook:
        """Of the same connection."""
        return S3Hook(aws_conn_id=self.target.connection_id)

    def _left_running(self) -> str | None:
        """The unfinished job run of this name, if there is one."""
        pages = self.hook.conn.get_paginator("list_job_runs").paginate(
            applicationId=self.application_id, states=sorted(EmrServerlessHook.JOB_INTERMEDIATE_STATES)
        )
        found = [run["id"] for page in pages for run in page["jobRuns"] if run.get("name") == self.name]
        return found[0] if found else None

    def _wait(self) -> None:
        wait(
            waiter=self.hook.get_waiter("serverless_job_completed"),
            waiter_delay=self.waiter_delay,
            waiter_max_attempts=self.waiter_max_attempts,
            args={"applicationId": self.application_id, "jobRunId": self.job_id},
            failure_message="The job run failed",
            status_message="The job run is",
            status_args=["jobRun.state", "jobRun.stateDetails"],
        )

    def _send(self) -> None:
        for path in sorted(Path(found) for pattern in self.files.reads for found in glob(pattern)):  # noqa: PTH207
            bucket, key = self.s3.parse_s3_url(self._mirrored(path))
            self.s3.load_file(path, key, bucket, replace=True)

    def _fetch(self) -> None:
        """Copies the written folder back, the file that says it is whole last."""
        folder, last = Path(self.files.writes), self.files.last
        bucket, prefix = self.s3.parse_s3_url(self._mirrored(folder))
        found = self.s3.list_keys(bucket, f"{prefix}/") or []
        keys = [key for key in found if not key.endswith("/")]  # those stand for folders
        mark = f"{prefix}/{last}"
        if mark not in keys:
            raise PostConditionFailed(
                f"Job run {self.job_id} succeeded and left no {last} in s3://{bucket}/{prefix}: there is no candidate to "
                "register. Read the job run's log, and see that its role may write there."
            )
        folder.mkdir(parents=True, exist_ok=True)
        for key in sorted(keys, key=lambda key: key == mark):
            self.s3.get_conn().download_file(bucket, key, str(folder / Path(key).name))

    def _mirrored(self, path: Path) -> str:
        return f"{self.target.exchange}/{path.relative_to(self.artifacts).as_posix()}"
