"""The forecaster as a local process: the same entry point that its image runs."""

import importlib.util
import sys
from pathlib import Path

from shelfcast.errors import ConfigurationError
from shelfcast_local.configuration import HOST, Configuration
from shelfcast_local.environment import forecaster_environment
from shelfcast_local.services import loopback
from shelfcast_local.services.supervisor import Service


def service(home: Path, configuration: Configuration) -> Service:
    """The server, behind its bearer token."""
    if importlib.util.find_spec("forecaster") is None:
        raise ConfigurationError("The package forecaster is not installed; run make setup.")
    return Service(
        name="forecaster",
        command=[sys.executable, "-m", "forecaster"],
        environment=forecaster_environment(home, configuration),
        is_healthy=lambda: is_healthy(configuration),
        health_seconds=90,
    )


def url(configuration: Configuration) -> str:
    """Address of the server, without its token."""
    return f"http://{HOST}:{configuration.ports['forecaster']}"


def is_healthy(configuration: Configuration) -> bool:
    """Whether it serves those who have the token."""
    token = {"Authorization": f"Bearer {configuration.passwords['forecaster']}"}
    return loopback.opens_to_us_only(f"{url(configuration)}/metrics", headers=token)
