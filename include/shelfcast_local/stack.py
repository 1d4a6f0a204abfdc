"""Everything that stands in for the platform, started in order and found again after a crash."""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path

from shelfcast import storage
from shelfcast.errors import ConfigurationError
from shelfcast_local.configuration import Configuration, is_taken
from shelfcast_local.environment import environment, locations
from shelfcast_local.services import (
    airflow,
    cold_store,
    forecaster_server,
    hot_store,
    jars,
    loopback,
    mail,
    mlflow_server,
    postgres,
)
from shelfcast_local.services.airflow_client import AirflowClient
from shelfcast_local.services.supervisor import Service, Supervisor

PORT_SECONDS = 3.0
"""How long a port has to be taken before its service is given another one."""
STORES = ("postgres", "cold_store", "hot_store")
SERVICES = (*STORES, "mlflow", "mail", "forecaster", "airflow")
PORTS_OF = {name: (name,) for name in SERVICES} | {"mail": ("smtp", "mail")}
TOLD_OF = dict.fromkeys((*STORES, "mlflow", "smtp", "forecaster", "airflow"), ("airflow",)) | {
    "hot_store": ("airflow", "forecaster"),
    "mail": (),
}
"""By port, the services that have it in their environment: they must start anew when it moves."""


def _silent(_: str) -> None:
    return


class Stack:
    """The stand-ins of one state folder.

    Args:
        home: State folder; `SHELFCAST_HOME` or `.shelfcast` if `None`.

    Attributes:
        home: The folder, absolute; made when something is started in it.
    """

    def __init__(self, home: Path | None = None) -> None:
        self.home = (home or Path(os.environ.get("SHELFCAST_HOME", ".shelfcast"))).absolute()
        self._supervisor = Supervisor(self.home)

    @cached_property
    def configuration(self) -> Configuration:
        """Ports and passwords; chosen, and kept in the state folder, when they are first asked for."""
        return Configuration.load(self.home)

    def up(self, services: Sequence[str] = SERVICES, *, report: Callable[[str], None] = _silent) -> None:
        """Starts what does not run, and waits until all of it is healthy.

        Args:
            services: Names out of `SERVICES`.
            report: Called with a line of progress.
        """
        unknown = set(services) - set(SERVICES)
        if unknown:
            raise ConfigurationError(
                f"There is no service {', '.join(sorted(unknown))}; there are {', '.join(SERVICES)}."
            )
        with self._supervisor.alone(report):
            self.configuration = Configuration.load(self.home)  # another command may have moved a port meanwhile
            self._start({*services, *self._leave_taken_ports(services)}, report)

    def down(self, *, report: Callable[[str], None] = _silent) -> None:
        """Ends every service, last started first."""
        if not self._supervisor.names():
            return
        with self._supervisor.alone(report), ThreadPoolExecutor() as pool:
            running = set(self._supervisor.names())
            for group in (set(airflow.COMPONENTS), running - {*airflow.COMPONENTS, "postgres"}):
                list(pool.map(self._supervisor.stop, running & group))
            if "postgres" in running:
                self._supervisor.stop("postgres", stop_signal=postgres.STOP_SIGNAL)

    def status(self) -> dict[str, int | None]:
        """Process id by service; `None` for one that was started and has ended."""
        found = {name: self._supervisor.process(name) for name in self._supervisor.names()}
        return {name: process.pid if process else None for name, process in found.items()}

    def health(self) -> dict[str, bool]:
        """Whether it serves, for each service that was started."""
        running = self.status()
        checks = self._health_checks() if running else {}
        with ThreadPoolExecutor() as pool:
            answers = {name: pool.submit(checks[name]) for name, pid in running.items() if pid is not None}
        return {name: name in answers and answers[name].result() for name in running}

    def process_ids(self) -> list[int]:
        """Ids of the services' processes, without their children."""
        return [pid for pid in self.status().values() if pid is not None]

    def addresses(self) -> dict[str, tuple[str, str]]:
        """What a person opens: address and user by name; the passwords are in `config.json`."""
        return {
            "airflow": (airflow.url(self.configuration), airflow.USER),
            "mlflow": (mlflow_server.page(self.configuration), mlflow_server.USER),
            "forecaster": (forecaster_server.url(self.configuration), "(bearer token)"),
            "mail": (mail.url(self.configuration), mail.USER),
        }

    def environment(self) -> dict[str, str]:
        """The environment of a process that belongs to the loop; it holds passwords."""
        return environment(self.home, self.configuration, jars=sorted((self.home / "jars" / "jars").glob("*.jar")))

    @property
    def landing(self) -> storage.Location:
        """Where change files and the change log lie."""
        return storage.location(locations(self.home)["SHELFCAST_LANDING"])

    @property
    def artifacts(self) -> storage.Location:
        """Where frames, releases, exports and reports lie."""
        return storage.location(locations(self.home)["SHELFCAST_ARTIFACTS"])

    def airflow_client(self) -> AirflowClient:
        """A client of this stack's Airflow, logged in as its administrator."""
        password = self.configuration.passwords["airflow"]
        return AirflowClient(url=airflow.url(self.configuration), user=airflow.USER, password=password)

    def _start(self, services: set[str], report: Callable[[str], None]) -> None:
        early = [self._service(name) for name in SERVICES if name in services and name != "airflow"]
        for service in early:
            self._supervisor.start(service)
        self._wait([service for service in early if service.name == "postgres"], report)
        if "postgres" in services:
            postgres.prepare(self.configuration)
        if "airflow" in services:
            self._start_airflow(report)
        self._wait([service for service in early if service.name != "postgres"], report)

    def _service(self, name: str) -> Service:
        makers: dict[str, Callable[[Path, Configuration], Service]] = {
            "postgres": postgres.service,
            "cold_store": cold_store.service,
            "hot_store": hot_store.service,
            "mlflow": mlflow_server.service,
            "mail": mail.service,
            "forecaster": forecaster_server.service,
        }
        return makers[name](self.home, self.configuration)

    def _health_checks(self) -> dict[str, Callable[[], bool]]:
        configuration, started_at = self.configuration, self._supervisor.started_at
        return {
            "postgres": partial(postgres.is_healthy, configuration),
            "cold_store": partial(cold_store.is_healthy, self.home, configuration),
            "hot_store": partial(hot_store.is_healthy, configuration),
            "mlflow": partial(mlflow_server.is_healthy, configuration),
            "mail": partial(mail.is_healthy, configuration),
            "forecaster": partial(forecaster_server.is_healthy, configuration),
            **{
                name: partial(airflow.is_healthy, configuration, name, started_at=started_at)
                for name in airflow.COMPONENTS
            },
        }

    def _start_airflow(self, report: Callable[[str], None]) -> None:
        report("Preparing Airflow's database and Spark's packages.")
        with ThreadPoolExecutor() as pool:
            packages = (*jars.DELTA, *(jars.S3 if storage.is_in_bucket(str(self.landing)) else ()))
            resolved = pool.submit(jars.resolve, self.home, packages)
            if self._supervisor.process("airflow_api") is None:
                airflow.prepare(self.home, self.configuration, self.environment())
            resolved.result()
        services = airflow.services(self.configuration, self.environment(), started_at=self._supervisor.started_at)
        for service in services:
            self._supervisor.start(service)
        self._wait(services, report)
        loopback.get(f"{airflow.url(self.configuration)}/execution/health", timeout=120)  # built at the first request

    def _wait(self, services: Sequence[Service], report: Callable[[str], None]) -> None:
        for service in services:
            self._supervisor.wait(service)
            report(f"{service.name} is up.")

    def _leave_taken_ports(self, services: Sequence[str]) -> set[str]:
        """Moves those of the services whose port somebody else listens on by now.

        Returns:
            Running services that knew the old port: they are ended, and have to be started again.
        """
        taken = [port for name in services for port in PORTS_OF[name] if self._is_lost(name, port)]
        told = {name for port in taken for name in TOLD_OF[port]}
        running = {name for name in told if any(map(self._supervisor.process, _processes(name)))}
        for name in running:
            for process in _processes(name):
                self._supervisor.stop(process)
        if taken:
            self.configuration = self.configuration.moved(*taken)
            self.configuration.save(self.home)
        return running

    def _is_lost(self, service: str, port: str) -> bool:
        """Whether the port of a service that does not run is taken, by anything but remains of the service itself."""
        server = "airflow_api" if service == "airflow" else service
        if self._supervisor.process(server) is not None:
            return False
        self._supervisor.stop(server)
        deadline = time.monotonic() + PORT_SECONDS
        while is_taken(self.configuration.ports[port]):  # a killed server's last threads hold it a moment longer
            if time.monotonic() > deadline:
                return True
            time.sleep(0.05)
        return False


def _processes(service: str) -> tuple[str, ...]:
    return tuple(airflow.COMPONENTS) if service == "airflow" else (service,)
