"""A Spark entry point on EMR, Serverless or on EC2; what it reads and writes goes through S3.

EMR's workers share no disk with Airflow's. The artifacts folder is mirrored below the connection's `exchange`: what the
job reads is copied there before it starts, what it wrote is copied back when it has succeeded.
"""

import logging
from datetime import UTC, datetime
from functools import cached_property
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow.providers.amazon.aws.hooks.s3 import S3Hook

from shelfcast.errors import PostConditionFailed
from shelfcast_provider.emr_serverless_job_run import EmrServerlessJobRun
from shelfcast_provider.emr_step import EmrStep
from shelfcast_provider.emr_target import EmrTarget, SparkSubmission
from shelfcast_provider.nested_operator import execute_nested

if TYPE_CHECKING:
    from airflow.sdk import Context

    from shelfcast_provider.spark_job_operator import Exchange

LOGGER = logging.getLogger(__name__)


class EmrRun(Protocol):
    """What EMR calls a job run (Serverless) or a step (on EC2)."""

    def take_up(self, done_since: datetime | None) -> str | None:
        """Finds what an earlier try left unfinished, or that has succeeded if it was started since then."""

    def execute(self, context: "Context") -> Any:
        """Starts it and waits for its end; answers its id."""

    def wait(self) -> None:
        """Waits for the end of what was taken up."""

    def on_kill(self) -> None:
        """Cancels it."""


class EmrJob:
    """One run: started, or taken up where an earlier try has left it, and waited for; cancelled with the task.

    Args:
        target: Where it runs.
        task_id: Of the task.
        submission: What runs.
        artifacts: The folder that is mirrored.
        files: What is copied there and back, below `artifacts`.
        name: Of the run; one task of one DAG run.
    """

    def __init__(
        self,
        *,
        target: EmrTarget,
        task_id: str,
        submission: SparkSubmission,
        artifacts: Path,
        files: "Exchange",
        name: str,
    ) -> None:
        self.target, self.artifacts, self.files = target, artifacts, files
        self.run: EmrRun = (
            EmrStep(target=target, submission=submission, name=name)
            if target.cluster_id
            else EmrServerlessJobRun(task_id=task_id, target=target, submission=submission, name=name)
        )

    def execute(self, context: "Context") -> None:
        """Runs the job to its end and brings back what it wrote."""
        run_id = self.run.take_up(self._due_since())
        if run_id is None:
            self._send()
            run_id = execute_nested(self.run, context)
        else:
            LOGGER.info("%s of an earlier try is taken up; waiting for its end.", run_id)
            self.run.wait()
        self._fetch(run_id)

    def on_kill(self) -> None:
        """Cancels the run."""
        self.run.on_kill()

    @cached_property
    def s3(self) -> S3Hook:
        """Of the same connection."""
        return S3Hook(aws_conn_id=self.target.connection_id)

    def _due_since(self) -> datetime | None:
        """Since when a run that has succeeded is one to bring back; nothing is where the exchange holds no result.

        One from before its inputs were written is out of date; one from before the result was written here has been
        brought back, and the task is run again because someone wants another.
        """
        result = Path(self.files.writes) / self.files.last
        bucket, key = self.s3.parse_s3_url(self._mirrored(result))
        if not self.s3.check_for_key(key, bucket):
            return None
        written = [path.stat().st_mtime for path in (*self._read(), result) if path.exists()]
        return datetime.fromtimestamp(max(written, default=0), UTC)

    def _read(self) -> list[Path]:
        return sorted(Path(found) for pattern in self.files.reads for found in glob(pattern))  # noqa: PTH207

    def _send(self) -> None:
        for path in self._read():
            bucket, key = self.s3.parse_s3_url(self._mirrored(path))
            self.s3.load_file(path, key, bucket, replace=True)

    def _fetch(self, run_id: str) -> None:
        """Copies the written folder back, the file that says it is whole last."""
        folder, last = Path(self.files.writes), self.files.last
        bucket, prefix = self.s3.parse_s3_url(self._mirrored(folder))
        found = self.s3.list_keys(bucket, f"{prefix}/") or []
        keys = [key for key in found if not key.endswith("/")]  # those stand for folders
        mark = f"{prefix}/{last}"
        if mark not in keys:
            raise PostConditionFailed(
                f"{run_id} succeeded on EMR and left no {last} in s3://{bucket}/{prefix}: there is no candidate to "
                "register. Read its log, and see that its role may write there."
            )
        folder.mkdir(parents=True, exist_ok=True)
        for key in sorted(keys, key=lambda key: key == mark):
            self.s3.get_conn().download_file(bucket, key, str(folder / Path(key).name))

    def _mirrored(self, path: Path) -> str:
        return f"{self.target.exchange}/{path.relative_to(self.artifacts).as_posix()}"
