"""Services outlive their starter and leave nothing behind when they end."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from shelfcast.errors import ShelfcastError
from shelfcast_local.services.supervisor import Service, Supervisor

SLEEP = "import time; time.sleep(300)"
CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {SLEEP!r}]); {SLEEP}"
DEAF_CHILD = (
    "import subprocess, sys; subprocess.Popen([sys.executable, '-c', "
    f"'import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}']); {SLEEP}"
)
BREEDER = "import os, time\nwhile os.fork() == 0:\n    time.sleep(0.03)\ntime.sleep(300)"
"""Each child forks the next one: whoever kills a list of processes once misses the youngest."""


def service(script: str, *, is_healthy: Callable[[], bool] = lambda: True, health_seconds: float = 5) -> Service:
    return Service(
        name="sleeper", command=[sys.executable, "-c", script], is_healthy=is_healthy, health_seconds=health_seconds
    )


def session(pid: int) -> list[int]:
    return [process.pid for process in psutil.process_iter() if is_of_session(process, pid)]


def is_of_session(process: psutil.Process, pid: int) -> bool:
    try:
        return os.getsid(process.pid) == pid and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, psutil.NoSuchProcess):  # another test run's, gone meanwhile
        return False


def started(supervisor: Supervisor, script: str, *, processes: int) -> psutil.Process:
    supervisor.start(service(script))
    process = supervisor.process("sleeper")
    assert process is not None
    deadline = time.monotonic() + 10
    while len(session(process.pid)) < processes and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(session(process.pid)) >= processes
    return process


def kill(process: psutil.Process) -> None:
    process.kill()
    process.wait(5)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervised = Supervisor(tmp_path / "home")
    yield supervised
    supervised.stop("sleeper", patience_seconds=0.5)


@pytest.mark.parametrize("script", [CHILD, DEAF_CHILD], ids=["children", "deaf children"])
def test_a_stop_ends_the_service_with_its_children(supervisor: Supervisor, script: str) -> None:
    process = started(supervisor, script, processes=2)
    supervisor.stop("sleeper", patience_seconds=0.5)
    assert session(process.pid) == []
    assert supervisor.names() == []


@pytest.mark.parametrize(
    "script", [CHILD, DEAF_CHILD, BREEDER], ids=["children", "deaf children", "ever more children"]
)
def test_a_stop_ends_what_a_killed_parent_left(supervisor: Supervisor, script: str) -> None:
    process = started(supervisor, script, processes=2)
    kill(process)
    assert supervisor.process("sleeper") is None
    assert session(process.pid), "the control: a kill alone leaves orphans"
    supervisor.stop("sleeper")
    assert session(process.pid) == []


def test_a_start_ends_what_a_killed_parent_left(supervisor: Supervisor) -> None:
    killed = started(supervisor, CHILD, processes=2)
    kill(killed)
    supervisor.start(service(SLEEP))
    assert session(killed.pid) == []
    assert supervisor.process("sleeper") is not None


def test_a_second_start_leaves_a_running_service_alone(supervisor: Supervisor) -> None:
    first = started(supervisor, SLEEP, processes=1)
    supervisor.start(service(SLEEP))
    assert supervisor.process("sleeper") == first


@pytest.mark.parametrize("noted_start", ["another", "before the last boot"])
def test_a_pid_that_went_to_another_process_is_left_alone(supervisor: Supervisor, noted_start: str) -> None:
    process = started(supervisor, CHILD, processes=2)
    pid_file = next(supervisor.log("sleeper").parents[1].glob("run/*.pid"))
    earlier = process.create_time() - 10 if noted_start == "another" else psutil.boot_time() - 10
    if noted_start == "before the last boot":
        kill(process)
    noted = pid_file.read_text()
    pid_file.write_text(json.dumps({"pid": process.pid, "started": earlier}))
    supervisor.stop("sleeper")
    assert session(process.pid)
    pid_file.write_text(noted)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '"text"'])
def test_a_broken_pid_file_means_that_nothing_runs(supervisor: Supervisor, content: str) -> None:
    started(supervisor, SLEEP, processes=1)
    pid_file = next(supervisor.log("sleeper").parents[1].glob("run/*.pid"))
    noted = pid_file.read_text()
    pid_file.write_text(content)
    assert supervisor.process("sleeper") is None
    pid_file.write_text(noted)


def test_a_service_that_has_ended_is_not_healthy_whoever_answers(supervisor: Supervisor) -> None:
    ended = service("print('the port is taken'); raise SystemExit(1)")
    supervisor.start(ended)
    process = supervisor.process("sleeper")
    if process is not None:
        process.wait(5)
    with pytest.raises(ShelfcastError, match=r"ended while it started(.|\n)*the port is taken"):
        supervisor.wait(ended)


def test_a_service_that_does_not_get_healthy_is_reported_with_its_log(supervisor: Supervisor) -> None:
    slow = service(f"print('still busy', flush=True); {SLEEP}", is_healthy=lambda: False, health_seconds=1)
    supervisor.start(slow)
    with pytest.raises(ShelfcastError, match=r"not healthy after 1 s(.|\n)*still busy"):
        supervisor.wait(slow)


def test_what_a_service_writes_is_its_owners_alone(supervisor: Supervisor, tmp_path: Path) -> None:
    started(supervisor, f"open({str(tmp_path / 'secret')!r}, 'w').close(); {SLEEP}", processes=1)
    deadline = time.monotonic() + 5
    while not (tmp_path / "secret").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    for folder in (tmp_path / "home", tmp_path / "home/run", tmp_path / "home/logs"):
        assert folder.stat().st_mode & 0o777 == 0o700


def test_of_two_commands_one_waits_for_the_other(tmp_path: Path) -> None:
    said: list[str] = []
    order: list[str] = []

    def second() -> None:
        with Supervisor(tmp_path).alone(said.append):
            order.append("second")

    thread = threading.Thread(target=second)
    with Supervisor(tmp_path).alone(said.append):
        thread.start()
        deadline = time.monotonic() + 5
        while not said and time.monotonic() < deadline:
            time.sleep(0.02)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
    assert "waiting" in said[0]


def test_a_killed_command_does_not_keep_the_lock(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from shelfcast_local.services.supervisor import Supervisor\n"
        "with Supervisor(Path(sys.argv[1])).alone():\n    print('held', flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    said: list[str] = []
    with Supervisor(tmp_path).alone(said.append):
        assert said == []
