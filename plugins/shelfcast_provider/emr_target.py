"""Where on EMR a job runs: what an AWS connection's extras say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shelfcast.errors import ConfigurationError
from shelfcast_provider.connections import EMR, check_extras

POLL_SECONDS = 30
LONGEST_MINUTES = 120
BARRIER = "--conf spark.dynamicAllocation.enabled=false"
"""Spark refuses barrier stages where executors come and go."""
PLACES = ("application_id", "cluster_id")
HELP = "docs/how-to/train-on-a-cluster.md says what each one means."


@dataclass(frozen=True, kw_only=True)
class SparkSubmission:
    """What spark-submit is given, wherever it runs.

    Attributes:
        entry_point: Path or URI of the Python file.
        arguments: Its command line.
        parameters: Options of spark-submit, as one line of a shell.
    """

    entry_point: str
    arguments: list[str]
    parameters: str


@dataclass(frozen=True, kw_only=True)
class EmrTarget:
    """A connection and its extras; of `application_id` and `cluster_id` exactly one is given.

    Attributes:
        connection_id: Of the AWS connection that all is done with.
        application_id: Of an EMR Serverless application.
        cluster_id: Of a running EMR cluster on EC2 (`j-…`).
        execution_role_arn: Role of the job, which reads and writes below `exchange`; a cluster has its own unless told.
        entry_points: Folder or URI that holds `shelfcast`'s own files where the job runs.
        exchange: `s3://bucket/prefix` that mirrors the artifacts folder.
        spark_submit_parameters: Cores, memory and Python of the job, as spark-submit takes them.
    """

    connection_id: str
    application_id: str = ""
    cluster_id: str = ""
    execution_role_arn: str = ""
    entry_points: str
    exchange: str
    spark_submit_parameters: str = ""

    @classmethod
    def of(cls, extras: Mapping[str, Any], connection_id: str = EMR) -> "EmrTarget":
        """Reads the extras; raises `ConfigurationError` that names those that are missing or exclude each other."""
        check_extras(EMR, extras)
        place = _place(extras, connection_id)
        needed = [place, *(["execution_role_arn"] if place == "application_id" else []), "entry_points", "exchange"]
        missing = [name for name in needed if not extras.get(name)]
        if missing:
            raise ConfigurationError(
                f"Connection {connection_id} lacks the extras {', '.join(missing)}. Add them, or train elsewhere by another "
                f"SHELFCAST_TRAINING_CONNECTION; {HELP}"
            )
        optional = ("execution_role_arn", "spark_submit_parameters")
        given = {name: str(extras[name]) for name in {*needed, *optional} if extras.get(name)}
        return cls(connection_id=connection_id, **{**given, "exchange": given["exchange"].rstrip("/")})

    def submission(self, entry_point: str, arguments: Sequence[str], artifacts: Path) -> SparkSubmission:
        """Of an entry point below `entry_points`; paths below `artifacts` become URIs below `exchange`."""
        return SparkSubmission(
            entry_point=f"{self.entry_points.rstrip('/')}/{entry_point}",
            arguments=[argument.replace(str(artifacts), self.exchange) for argument in arguments],
            parameters=f"{self.spark_submit_parameters} {BARRIER}".strip(),
        )


def _place(extras: Mapping[str, Any], connection_id: str) -> str:
    given = [name for name in PLACES if extras.get(name)]
    if len(given) != 1:
        found = "both application_id and cluster_id" if given else "neither application_id nor cluster_id"
        raise ConfigurationError(
            f"Connection {connection_id} has {found} among its extras. Give one: application_id to run on EMR Serverless, "
            f"cluster_id to run as a step of a cluster on EC2; {HELP}"
        )
    return given[0]
