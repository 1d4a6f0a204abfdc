"""Everything that stands in for the platform, started in order and found again after a crash."""

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from shelfcast.errors import ConfigurationError
from shelfcast_local import airflow, cold_store, hot_store, jars, mail, mlflow_server, postgres
from shelfcast_local.airflow_client import AirflowClient
from shelfcast_local.configuration import HOST, PORTS, Configuration, is_listening
from shelfcast_local.environment import environment, forecaster_environment
from shelfcast_local.supervisor import Service, Supervisor

STORES = ("postgres", "cold_store", "hot_store")
SERVICES = (*STORES, "mlflow", "mail", "forecaster", "airflow")


class Stack:
    """The stand-ins of one state folder.

    Args:
        home: State folder; `SHELFCAST_HOME` or `.shelfcast` if `None`.

    Attributes:
        home: The folder, absolute.
        configuration: Ports and passwords.
    """

    def __init__(self, home: Path | None = None) -> None:
        self.home = (home or Path(os.environ.get("SHELFCAST_HOME", ".shelfcast"))).absolute()
        self.configuration = Configuration.load(self.home)
        self._supervisor = Supervisor(self.home)

    def up(self, services: Sequence[str] = SERVICES, *, say: Callable[[str], None] = lambda _: None) -> None:
        """Starts what does not run, and waits until all of it is healthy.

        Args:
            services: Names out of `SERVICES`.
            say: Called with a line of progress.
        """
        unknown = set(services) - set(SERVICES)
        if unknown:
            raise ConfigurationError(
                f"There is no service {', '.join(sorted(unknown))}; there are {', '.join(SERVICES)}."
            )
        self._leave_taken_ports()
        early = [self._service(name) for name in services if name not in ("airflow", "forecaster")]
        for service in early:
            self._supervisor.start(service)
        if "forecaster" in services:
            early.append(self._service("forecaster"))
            self._supervisor.start(early[-1])
        self._wait([service for service in early if service.name == "postgres"], say)
        if "postgres" in services:
            postgres.prepare(self.configuration)
        if "airflow" in services:
            self._start_airflow(say)
        self._wait([service for service in early if service.name != "postgres"], say)

    def down(self) -> None:
        """Ends every service, last started first."""
        order = [*airflow.COMPONENTS, "forecaster", "mail", "mlflow", "hot_store", "cold_store", "postgres"]
        running = self._supervisor.names()
        airflow_first = [name for name in order if name in running and name.startswith("airflow")]
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._supervisor.stop, airflow_first))
            rest = [name for name in order if name in running and name not in airflow_first and name != "postgres"]
            list(pool.map(self._supervisor.stop, rest))
        if "postgres" in running:
            self._supervisor.stop("postgres", stop_signal=postgres.STOP_SIGNAL)

    def status(self) -> dict[str, int | None]:
        """Process id by service; `None` for one that was started and has ended."""
        found = {name: self._supervisor.process(name) for name in self._supervisor.names()}
        return {name: process.pid if process else None for name, process in found.items()}

    def process_ids(self) -> list[int]:
        """Ids of the services' processes, without their children."""
        return [pid for pid in self.status().values() if pid is not None]

    def environment(self) -> dict[str, str]:
        """The environment of a process that belongs to the loop; it holds passwords."""
        return environment(self.home, self.configuration, jars=sorted((self.home / "jars" / "jars").glob("*.jar")))

    def airflow_client(self) -> AirflowClient:
        """A client of this stack's Airflow, logged in as its administrator."""
        password = self.configuration.passwords["airflow"]
        return AirflowClient(url=airflow.url(self.configuration), user=airflow.USER, password=password)

    def _service(self, name: str) -> Service:
        makers: dict[str, Callable[[Path, Configuration], Service]] = {
            "postgres": postgres.service,
            "cold_store": cold_store.service,
            "hot_store": hot_store.service,
            "mlflow": mlflow_server.service,
            "mail": mail.service,
            "forecaster": _forecaster,
        }
        return makers[name](self.home, self.configuration)

    def _start_airflow(self, say: Callable[[str], None]) -> None:
        say("Preparing Airflow's database and Spark's packages.")
        with ThreadPoolExecutor() as pool:
            resolved = pool.submit(jars.resolve, self.home)
            if self._supervisor.process("airflow_api") is None:
                airflow.prepare(self.home, self.configuration, self.environment())
            resolved.result()
        services = airflow.services(self.configuration, self.environment())
        for service in services:
            self._supervisor.start(service)
        self._wait(services, say)
        httpx.get(f"{airflow.url(self.configuration)}/execution/health", timeout=120)  # built at the first request

    def _wait(self, services: Sequence[Service], say: Callable[[str], None]) -> None:
        for service in services:
            self._supervisor.wait(service)
            say(f"{service.name} is up.")

    def _leave_taken_ports(self) -> None:
        """Moves services whose port somebody else listens on by now; connections follow, for they are made of it."""
        owners = {"smtp": "mail", "airflow": "airflow_api"}
        taken = [
            name
            for name in PORTS
            if self._supervisor.process(owners.get(name, name)) is None and is_listening(self.configuration.ports[name])
        ]
        if taken:
            self.configuration = self.configuration.moved(*taken)
            self.configuration.save(self.home)


def _forecaster(home: Path, configuration: Configuration) -> Service:
    if importlib.util.find_spec("forecaster") is None:
        raise ConfigurationError("The package forecaster is not installed; run make setup.")
    port = configuration.ports["forecaster"]
    return Service(
        name="forecaster",
        command=[sys.executable, "-m", "forecaster"],
        environment=forecaster_environment(home, configuration),
        is_healthy=lambda: _answers(f"http://{HOST}:{port}/healthz"),
        health_seconds=90,
    )


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).is_success
    except httpx.HTTPError:
        return False
