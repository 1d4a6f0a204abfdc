"""Airflow's four components as services, and what must be there before they start."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

from shelfcast.errors import ShelfcastError
from shelfcast_local.configuration import HOST, Configuration, private_folder, write_private
from shelfcast_local.environment import virtual_environment_binary
from shelfcast_local.services import loopback
from shelfcast_local.services.supervisor import Service

USER = "admin"
POOLS = {"cold_store_writers": {"slots": 1, "description": "one writer a cold store table", "include_deferred": False}}
COMPONENTS = {
    "airflow_api": ["api-server"],
    "airflow_scheduler": ["scheduler", "--skip-serve-logs"],
    "airflow_dag_processor": ["dag-processor"],
    "airflow_triggerer": ["triggerer", "--skip-serve-logs"],
}


def services(
    configuration: Configuration, environment: Mapping[str, str], *, started_at: Callable[[str], float]
) -> list[Service]:
    """Api-server, scheduler, DAG processor and triggerer.

    Args:
        configuration: Ports and passwords.
        environment: Of every process of the loop.
        started_at: Returns the Unix time at which the component of a name was started.
    """
    return [
        Service(
            name=name,
            command=[virtual_environment_binary("airflow"), *arguments],
            environment=environment,
            is_healthy=partial(is_healthy, configuration, name, started_at=started_at),
            health_seconds=240,
        )
        for name, arguments in COMPONENTS.items()
    ]


def prepare(home: Path, configuration: Configuration, environment: Mapping[str, str]) -> None:
    """Brings the metadata database up to date and makes the login and the pools."""
    folder = private_folder(private_folder(home) / "airflow")
    write_private(folder / "passwords.json", json.dumps({USER: configuration.passwords["airflow"]}))
    (folder / "pools.json").write_text(json.dumps(POOLS))
    for arguments in (["db", "migrate"], ["pools", "import", str(folder / "pools.json")]):
        _run(arguments, environment)


def is_healthy(configuration: Configuration, name: str, *, started_at: Callable[[str], float]) -> bool:
    """Whether a component works; one that has just been started must have given a sign of life of its own since.

    Airflow calls a component healthy for half a minute after its last sign of life, also if it was killed meanwhile.
    """
    answer = loopback.get(f"{url(configuration)}/api/v2/monitor/health")
    component = name.removeprefix("airflow_")
    if answer is None or not answer.is_success or component == "api":
        return answer is not None and answer.is_success
    found = answer.json()[component]
    seen = found.get(f"latest_{component}_heartbeat")
    is_new = seen is not None and datetime.fromisoformat(seen).timestamp() > started_at(name)
    return is_new and found["status"] == "healthy"


def url(configuration: Configuration) -> str:
    """Address of the web UI and the REST API."""
    return f"http://{HOST}:{configuration.ports['airflow']}"


def _run(arguments: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [virtual_environment_binary("airflow"), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise ShelfcastError(f"airflow {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
