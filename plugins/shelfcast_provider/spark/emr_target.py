"""Where on EMR a job runs: what an AWS connection's extras say."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from airflow.sdk.exceptions import AirflowException

from shelfcast.errors import ConfigurationError
from shelfcast_provider.connections import EMR, check_extras
from shelfcast_provider.spark.cluster import Application

State = TypeVar("State", bound=StrEnum)

POLL_SECONDS = 30.0
BARRIER = "--conf spark.dynamicAllocation.enabled=false"
"""Spark refuses barrier stages where executors come and go."""
TARGETS = ("application_id", "cluster_id")
HELP = "docs/how-to/train-on-a-cluster.md says what each one means."


@dataclass(frozen=True, kw_only=True)
class EmrTarget:
    """A connection and its extras; of `application_id` and `cluster_id` exactly one is given.

    Attributes:
        connection_id: Of the AWS connection that all is done with.
        application_id: Of an EMR Serverless application.
        cluster_id: Of a running EMR cluster on EC2 (`j-…`).
        execution_role_arn: Role of the job, which reads and writes artifacts and landing; a cluster has its own unless told.
        entry_points: Folder or URI that holds `shelfcast`'s own files where the job runs.
        spark_submit_parameters: Cores, memory and Python of the job, as spark-submit takes them.
    """

    connection_id: str
    application_id: str = ""
    cluster_id: str = ""
    execution_role_arn: str = ""
    entry_points: str
    spark_submit_parameters: str = ""

    @classmethod
    def of(cls, extras: Mapping[str, Any], connection_id: str = EMR) -> "EmrTarget":
        """Reads the extras; raises `ConfigurationError` that names those that are missing or exclude each other."""
        check_extras(EMR, extras)
        target = _target_of(extras, connection_id)
        needed = [target, *(["execution_role_arn"] if target == "application_id" else []), "entry_points"]
        missing = [name for name in needed if not extras.get(name)]
        if missing:
            raise ConfigurationError(
                f"Connection {connection_id} lacks the extras {', '.join(missing)}. Add them, or train elsewhere by another "
                f"SHELFCAST_TRAINING_CONNECTION; {HELP}"
            )
        optional = ("execution_role_arn", "spark_submit_parameters")
        given = {name: str(extras[name]) for name in {*needed, *optional} if extras.get(name)}
        return cls(connection_id=connection_id, **given)

    def entry_point(self, application: Application) -> str:
        """Path or URI of an application's Python file where the job runs."""
        return f"{self.entry_points.rstrip('/')}/{application.entry_point}"

    def parameters(self, application: Application) -> str:
        """Options of spark-submit, as one line of a shell."""
        conf = (f"--conf {shlex.quote(f'{name}={value}')}" for name, value in application.conf.items())
        return " ".join(part for part in (self.spark_submit_parameters, BARRIER, *conf) if part)


def _target_of(extras: Mapping[str, Any], connection_id: str) -> str:
    given = [name for name in TARGETS if extras.get(name)]
    if len(given) != 1:
        found = "both application_id and cluster_id" if given else "neither application_id nor cluster_id"
        raise ConfigurationError(
            f"Connection {connection_id} has {found} among its extras. Give one: application_id to run on EMR Serverless, "
            f"cluster_id to run as a step of a cluster on EC2; {HELP}"
        )
    return given[0]


def known_state(states: type[State], found: str, what: str) -> State:
    """The state that AWS names; raises `AirflowException` for one that is not known here, which is not the same as active."""
    try:
        return states(found)
    except ValueError as error:
        raise AirflowException(
            f"AWS says that {what} is {found}, which is none of {', '.join(states)}: whether it has ended is not known. See "
            "in the console what became of it, and clear the task then."
        ) from error
