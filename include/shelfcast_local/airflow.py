"""Airflow's four components as services, and what must be there before they start."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import httpx

from shelfcast.errors import ShelfcastError
from shelfcast_local.configuration import HOST, Configuration, write_private
from shelfcast_local.environment import virtual_environment_binary
from shelfcast_local.supervisor import Service

USER = "admin"
POOLS = {"cold_store_writers": {"slots": 1, "description": "one writer a cold store table", "include_deferred": False}}
COMPONENTS = {
    "airflow_api": ["api-server"],
    "airflow_scheduler": ["scheduler", "--skip-serve-logs"],
    "airflow_dag_processor": ["dag-processor"],
    "airflow_triggerer": ["triggerer", "--skip-serve-logs"],
}


def services(configuration: Configuration, environment: Mapping[str, str]) -> list[Service]:
    """Api-server, scheduler, DAG processor and triggerer."""
    healthy = {
        "airflow_api": lambda: bool(_health(configuration)),
        "airflow_scheduler": lambda: _is_up(configuration, "scheduler"),
        "airflow_dag_processor": lambda: _is_up(configuration, "dag_processor"),
        "airflow_triggerer": lambda: _is_up(configuration, "triggerer"),
    }
    return [
        Service(
            name=name,
            command=[virtual_environment_binary("airflow"), *arguments],
            environment=environment,
            is_healthy=healthy[name],
            health_seconds=240,
        )
        for name, arguments in COMPONENTS.items()
    ]


def prepare(home: Path, configuration: Configuration, environment: Mapping[str, str]) -> None:
    """Brings the metadata database up to date and makes the login and the pools."""
    folder = home / "airflow"
    folder.mkdir(parents=True, exist_ok=True)
    write_private(folder / "passwords.json", json.dumps({USER: configuration.passwords["airflow"]}))
    (folder / "pools.json").write_text(json.dumps(POOLS))
    for arguments in (["db", "migrate"], ["pools", "import", str(folder / "pools.json")]):
        _run(arguments, environment)


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


def _health(configuration: Configuration) -> dict[str, dict[str, str]]:
    try:
        answer = httpx.get(f"{url(configuration)}/api/v2/monitor/health", timeout=5)
        return dict(answer.json()) if answer.is_success else {}
    except (httpx.HTTPError, ValueError):
        return {}


def _is_up(configuration: Configuration, component: str) -> bool:
    return _health(configuration).get(component, {}).get("status") == "healthy"
