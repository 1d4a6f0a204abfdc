"""Child processes that outlive their starter: pid file, log, health check, and an end that leaves nothing behind."""

import fcntl
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from shelfcast.errors import ShelfcastError
from shelfcast_local.configuration import private_folder

LOG_LINES_SHOWN = 15
KILL_ROUNDS = 20
PRIVATE = 0o077
"""The umask of every service: what it writes is its owner's alone."""


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
        self._home = home
        self._pids = home / "run"
        self._logs = home / "logs"

    @contextmanager
    def alone(self, report: Callable[[str], None] = lambda _: None) -> Iterator[None]:
        """Lets one command at a time start or end services of this state folder; a second one waits, and says so."""
        self._make_folders()
        with (self._pids / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                report(f"Another shelfcast command starts or ends services in {self._home}; waiting for it.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def start(self, service: Service) -> None:
        """Starts the service unless it runs; does not wait until it is healthy."""
        if self.process(service.name) is not None:
            return
        self.stop(service.name)  # what a killed process left may still hold its port or its files
        self._make_folders()
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
                umask=PRIVATE,
                start_new_session=True,
            )
        started = psutil.Process(child.pid).create_time()
        self._pid_file(service.name).write_text(json.dumps({"pid": child.pid, "started": started}))

    def wait(self, service: Service) -> None:
        """Waits until the service is healthy; raises `ShelfcastError` with the end of its log if it is not in time."""
        deadline = time.monotonic() + service.health_seconds
        while True:
            if self.process(service.name) is None:  # asked first: somebody else may answer on its port
                raise ShelfcastError(f"{service.name} ended while it started. {self._advice(service.name)}")
            if service.is_healthy():
                return
            if time.monotonic() > deadline:
                raise ShelfcastError(
                    f"{service.name} is not healthy after {service.health_seconds:.0f} s. {self._advice(service.name)}"
                )
            time.sleep(0.2)

    def stop(self, name: str, *, stop_signal: int = signal.SIGTERM, patience_seconds: float = 20.0) -> None:
        """Ends the service with all its descendants: asks, waits, then kills until none is left.

        A process that was killed leaves its children to the system; they are found by their session.
        """
        parent, family = self.process(name), self._family(name)
        if parent is not None:
            _signal(parent, stop_signal)
            _wait(family, patience_seconds)
        for _ in range(KILL_ROUNDS):
            family = _alive({*family, *self._family(name)})
            if not family:
                self._pid_file(name).unlink(missing_ok=True)
                return
            for process in family:
                _signal(process, signal.SIGKILL)
            _wait(family, 1.0)
        left = ", ".join(str(process.pid) for process in family)
        raise ShelfcastError(f"{name} does not end, though it was killed: process {left}. Look at what it waits for.")

    def process(self, name: str) -> psutil.Process | None:
        """The running process of that name; `None` if it has ended, even when its pid went to another process."""
        noted = self._noted(name)
        if noted is None:
            return None
        try:
            process = psutil.Process(noted[0])
            is_same = abs(process.create_time() - noted[1]) < 1.0
            return process if is_same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None

    def started_at(self, name: str) -> float:
        """Unix time at which the service was started; infinity if it never was."""
        try:
            return self._pid_file(name).stat().st_mtime
        except FileNotFoundError:
            return float("inf")

    def names(self) -> list[str]:
        """Names of all services that have a pid file, running or not."""
        return sorted(path.stem for path in self._pids.glob("*.pid"))

    def log(self, name: str) -> Path:
        """The service's log file."""
        return self._logs / f"{name}.log"

    def _make_folders(self) -> None:
        for folder in (self._home, self._pids, self._logs):
            private_folder(folder)

    def _pid_file(self, name: str) -> Path:
        return self._pids / f"{name}.pid"

    def _noted(self, name: str) -> tuple[int, float] | None:
        """Pid and start time as noted; `None` if nothing legible was."""
        try:
            noted = json.loads(self._pid_file(name).read_text())
            return int(noted["pid"]), float(noted["started"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _family(self, name: str) -> set[psutil.Process]:
        """What lives of the service: its session, whose id is the noted pid, and all descendants of that."""
        noted = self._noted(name)
        if noted is None or noted[1] < psutil.boot_time() - 1.0 or _belongs_to_another(*noted):
            return set()
        pid = noted[0]
        session = [process for process in psutil.process_iter() if _session_id(process) == pid]
        return {*session, *(child for process in session for child in _descendants(process))}

    def _advice(self, name: str) -> str:
        log = self.log(name)
        lines = log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:] if log.exists() else []
        return "\n".join([f"The end of {log}:", *lines])


def _belongs_to_another(pid: int, started: float) -> bool:
    """Whether the pid was given out again; the system does not do so while a session of that id lives."""
    try:
        return abs(psutil.Process(pid).create_time() - started) >= 1.0
    except psutil.NoSuchProcess:
        return False


def _session_id(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except (ProcessLookupError, PermissionError):
        return None


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _wait(processes: Iterable[psutil.Process], seconds: float) -> None:
    """Waits for their end; a zombie has ended, whether or not its parent ever asks for it."""
    deadline = time.monotonic() + seconds
    while _alive(processes) and time.monotonic() < deadline:
        time.sleep(0.02)


def _alive(processes: Iterable[psutil.Process]) -> set[psutil.Process]:
    return {process for process in processes if _is_alive(process)}


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return
