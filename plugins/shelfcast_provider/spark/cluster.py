"""What the operator asks of a cluster on which Spark runs, and which one a connection names."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from airflow.sdk import BaseHook

from shelfcast.errors import ConfigurationError


class JobState(StrEnum):
    """What became of a job, whatever its cluster calls it."""

    ACTIVE = "active"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Or cancelled, or interrupted: it has ended and will not succeed."""


@dataclass(frozen=True, kw_only=True)
class Application:
    """What is submitted.

    Attributes:
        name: Of one task of one DAG run, whichever try it is.
        entry_point: Path of the Python file below `include/shelfcast`.
        arguments: Its command line.
        conf: Spark settings on top of the cluster's own.
        limit_minutes: How long it may take; `None` for as long as the cluster lets it.
    """

    name: str
    entry_point: str
    arguments: tuple[str, ...]
    conf: Mapping[str, str]
    limit_minutes: int | None


class SparkCluster(Protocol):
    """Where Spark runs: a cluster, or this machine.

    Attributes:
        shares_disk: Whether its machines see the disks of Airflow's.
        poll_seconds: Pause between two questions for a job's state.
    """

    shares_disk: bool
    poll_seconds: float

    def find(self, name: str) -> str | None:
        """Returns the id of the active job of that name, which an earlier try has left; `None` if there is none."""

    def submit(self, application: Application) -> str | None:
        """Submits a job and returns its id; `None` where submitting waits for its end, and raises when it failed."""

    def state(self, job_id: str) -> JobState:
        """Returns what became of a job; one that the cluster does not know has failed."""

    def failure(self, job_id: str) -> str:
        """Returns why a job has failed, where its log is, and what to do."""

    def cancel(self, job_id: str | None) -> None:
        """Ends a job; `None` for the one whose submission is waited for."""


def cluster_of(connection_id: str) -> SparkCluster:
    """The cluster that a connection names by its type and extras.

    What each one imports takes seconds, and every task process of a DAG file would pay for it: it is imported here.

    Raises:
        ConfigurationError: It names none, or lacks what is needed to use it.
    """
    connection = BaseHook.get_connection(connection_id)
    if connection.conn_type == "spark":
        from shelfcast_provider.spark.spark_submit import SparkSubmit

        return SparkSubmit(connection_id)
    if connection.conn_type != "aws":
        raise ConfigurationError(
            f"Connection {connection_id} has the type {connection.conn_type!r}: Spark jobs run on one of type spark or aws."
        )
    from shelfcast_provider.spark.emr_serverless import EmrServerless
    from shelfcast_provider.spark.emr_step import EmrSteps
    from shelfcast_provider.spark.emr_target import EmrTarget

    target = EmrTarget.of(connection.extra_dejson, connection_id)
    return EmrSteps(target) if target.cluster_id else EmrServerless(target)
