"""Child processes that outlive their starter: pid file, log, health check, and an end that leaves nothing behind."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from shelfcast.errors import ShelfcastError

LOG_LINES_SHOWN = 15


@dataclass(frozen=True, kw_only=True)
class Service:
    """A process to keep running.

    Attributes:
        name: Also the stem of its pid file and log.
        command: Program and arguments.
        is_healthy: Answers whether it serves; called until it says so.
        environment: Variables on top of the starter's own.
        user: System user to run as; `None` for the starter's.
        health_seconds: How long it may take until it is healthy.
    """

    name: str
    command: Sequence[str]
    is_healthy: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    health_seconds: float = 120.0


class Supervisor:
    """Starts, finds again and ends services.

    Args:
        home: State folder; pid files go to `run/`, logs to `logs/`.
    """

    def __init__(self, home: Path) -> None:
        self._pids = home / "run"
        self._logs = home / "logs"

    def start(self, service: Service) -> None:
        """Starts the service unless it runs; does not wait until it is healthy."""
        if self.process(service.name) is not None:
            return
        self._pids.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        with self.log(service.name).open("ab") as log:
            child = subprocess.Popen(
                list(service.command),
                env={**os.environ, **service.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/" if service.user else None,
                user=service.user,
                group=service.user,
                extra_groups=[] if service.user else None,
                start_new_session=True,
            )
        started = psutil.Process(child.pid).create_time()
        self._pid_file(service.name).write_text(json.dumps({"pid": child.pid, "started": started}))

    def wait(self, service: Service) -> None:
        """Waits until the service is healthy; raises `ShelfcastError` with the end of its log if it is not in time."""
        deadline = time.monotonic() + service.health_seconds
        while not service.is_healthy():
            if self.process(service.name) is None:
                raise ShelfcastError(f"{service.name} ended while it started. {self._advice(service.name)}")
            if time.monotonic() > deadline:
                raise ShelfcastError(
                    f"{service.name} is not healthy after {service.health_seconds:.0f} s. {self._advice(service.name)}"
                )
            time.sleep(0.2)

    def stop(self, name: str, *, stop_signal: int = signal.SIGTERM, patience_seconds: float = 20.0) -> None:
        """Ends the service with all its descendants: asks, waits, then kills what is left."""
        parent = self.process(name)
        if parent is not None:
            family = [*_descendants(parent), parent]
            _signal(parent, stop_signal)
            _, alive = psutil.wait_procs(family, timeout=patience_seconds)
            for process in alive:
                _signal(process, signal.SIGKILL)
            psutil.wait_procs(alive, timeout=5)
        self._pid_file(name).unlink(missing_ok=True)

    def process(self, name: str) -> psutil.Process | None:
        """The running process of that name; `None` if it has ended, even when its pid went to another process."""
        try:
            noted = json.loads(self._pid_file(name).read_text())
            process = psutil.Process(noted["pid"])
            is_same = abs(process.create_time() - noted["started"]) < 1.0
            return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
        except (FileNotFoundError, ValueError, KeyError, psutil.NoSuchProcess):
            return None

    def names(self) -> list[str]:
        """Names of all services that have a pid file, running or not."""
        return sorted(path.stem for path in self._pids.glob("*.pid"))

    def log(self, name: str) -> Path:
        """The service's log file."""
        return self._logs / f"{name}.log"

    def _pid_file(self, name: str) -> Path:
        return self._pids / f"{name}.pid"

    def _advice(self, name: str) -> str:
        log = self.log(name)
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:] if log.exists() else []
        return "\n".join([f"The end of {log}:", *lines])


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
