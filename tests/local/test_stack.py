"""What the stack decides: which port moves, who has to hear of it, who is healthy, what is left untouched."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from shelfcast.errors import ConfigurationError
from shelfcast_cli.main import command_line
from shelfcast_local.configuration import HOST, Configuration
from shelfcast_local.services import airflow, jars, loopback
from shelfcast_local.services.supervisor import Service, Supervisor
from shelfcast_local.stack import PORTS_OF, SERVICES, TOLD_OF, Stack

REPOSITORY = Path(__file__).resolve().parents[2]
SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]


class Answering(BaseHTTPRequestHandler):
    """Answers every request alike, as a stranger's server might."""

    timeout = 0.5
    status = 200
    content = b"{}"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def stranger() -> Iterator[tuple[type[Answering], int]]:
    handler = type("Handler", (Answering,), {})
    with ThreadingHTTPServer((HOST, 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        yield handler, server.server_address[1]
        server.shutdown()


def sleeper(home: Path, *names: str) -> Supervisor:
    supervisor = Supervisor(home)
    for name in names:
        supervisor.start(Service(name=name, command=SLEEP, is_healthy=lambda: True))
    return supervisor


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    supervisor = Supervisor(tmp_path / "home")
    for name in supervisor.names():
        supervisor.stop(name)


def test_every_service_has_ports_and_every_port_is_told_of() -> None:
    assert set(PORTS_OF) == set(SERVICES)
    assert {port for ports in PORTS_OF.values() for port in ports} == set(TOLD_OF)


@pytest.mark.parametrize(
    ("service", "port", "restarted"),
    [
        ("postgres", "postgres", {"airflow"}),
        ("hot_store", "hot_store", {"airflow", "forecaster"}),
        ("mail", "smtp", {"airflow"}),
        ("mail", "mail", set()),
        ("airflow", "airflow", {"airflow"}),
    ],
)
def test_a_port_that_moves_takes_along_those_who_know_it(
    home: Path, service: str, port: str, restarted: set[str]
) -> None:
    stack = Stack(home)
    before = stack.configuration
    supervisor = sleeper(home, "airflow_scheduler", "airflow_triggerer", "forecaster", "mlflow")
    with socket.create_server((HOST, before.ports[port])):
        assert stack._leave_taken_ports([service]) == restarted
    moved = {name for name in before.ports if before.ports[name] != stack.configuration.ports[name]}
    assert moved == {port}
    assert Configuration.load(home) == stack.configuration
    ended = {name for name in supervisor.names() if supervisor.process(name) is None}
    assert ended == set()
    gone = {"airflow_scheduler", "airflow_triggerer", "forecaster", "mlflow"} - set(supervisor.names())
    assert gone == {
        name for name in ("airflow_scheduler", "airflow_triggerer", "forecaster") if name.split("_")[0] in restarted
    }


def test_ports_of_services_that_nobody_asked_for_stay(home: Path) -> None:
    stack = Stack(home)
    before = stack.configuration
    supervisor = sleeper(home, "airflow_scheduler")
    with socket.create_server((HOST, before.ports["mail"])):
        assert stack._leave_taken_ports(["hot_store", "postgres"]) == set()
    assert stack.configuration == before
    assert supervisor.process("airflow_scheduler") is not None


def test_a_port_held_by_remains_of_the_service_does_not_move(home: Path) -> None:
    stack = Stack(home)
    port = stack.configuration.ports["mlflow"]
    listen = f"import socket, time; s = socket.create_server(({HOST!r}, {port})); time.sleep(300)"
    spawn = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {listen!r}]); time.sleep(300)"
    supervisor = Supervisor(home)
    supervisor.start(Service(name="mlflow", command=[sys.executable, "-c", spawn], is_healthy=lambda: True))
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and not loopback_accepts(port):
        time.sleep(0.05)
    parent = supervisor.process("mlflow")
    assert parent is not None
    parent.kill()
    parent.wait(5)
    assert loopback_accepts(port), "the control: the orphan holds the port"
    assert stack._leave_taken_ports(["mlflow"]) == set()
    assert stack.configuration.ports["mlflow"] == port
    assert not loopback_accepts(port)


def loopback_accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def test_an_unknown_service_is_refused_before_anything_is_made(home: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no service kafka; there are postgres"):
        Stack(home).up(["kafka"])
    assert not home.exists()


@pytest.mark.parametrize("name", ["airflow_scheduler", "airflow_dag_processor", "airflow_triggerer"])
@pytest.mark.parametrize(
    ("seconds_after_start", "status", "is_healthy"),
    [
        (5, "healthy", True),
        (-5, "healthy", False),
        (5, "unhealthy", False),
        (None, "healthy", False),
        (None, None, False),
    ],
    ids=["works", "sign of life of the one before", "too old", "never", "none yet"],
)
def test_airflow_is_healthy_by_its_own_signs_of_life(
    tmp_path: Path,
    stranger: tuple[type[Answering], int],
    name: str,
    seconds_after_start: float | None,
    status: str | None,
    is_healthy: bool,
) -> None:
    handler, port = stranger
    started = 1_760_000_000.0
    component = name.removeprefix("airflow_")
    seen = seconds_after_start and datetime.fromtimestamp(started + seconds_after_start, UTC).isoformat()
    handler.content = json.dumps({component: {"status": status, f"latest_{component}_heartbeat": seen}}).encode()
    made = Configuration.load(tmp_path)
    configuration = made.model_copy(update={"ports": {**made.ports, "airflow": port}})
    assert airflow.is_healthy(configuration, name, started_at=lambda _: started) is is_healthy
    assert airflow.is_healthy(configuration, "airflow_api", started_at=lambda _: started)
    handler.status = 500
    assert not airflow.is_healthy(configuration, name, started_at=lambda _: started)
    assert not airflow.is_healthy(configuration, "airflow_api", started_at=lambda _: started)


@pytest.mark.parametrize("service", [name for name in SERVICES if name != "airflow"])
def test_a_stranger_who_says_yes_to_everything_is_not_ours(
    tmp_path: Path, stranger: tuple[type[Answering], int], service: str
) -> None:
    stack = Stack(tmp_path)
    stack.configuration = stack.configuration.model_copy(
        update={"ports": dict.fromkeys(stack.configuration.ports, stranger[1])}
    )
    if service == "cold_store":
        stack._service(service)  # makes the certificate
    assert not stack._health_checks()[service]()


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_requests_to_ourselves_take_no_proxy(
    monkeypatch: pytest.MonkeyPatch, stranger: tuple[type[Answering], int], variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://{HOST}:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    answer = loopback.get(f"http://{HOST}:{stranger[1]}/")
    assert answer is not None
    assert answer.is_success


def test_packages_that_do_not_come_in_time_are_a_configuration_error(tmp_path: Path) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    with pytest.raises(ConfigurationError, match=r"not there after 1 s(.|\n)*Maven Central"):
        jars._download(tmp_path / "jars", timeout_seconds=0.6)
    left = [process for process in psutil.Process().children(recursive=True) if process.pid not in before]
    assert [process for process in left if process.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("command", ["down", "status"])
def test_asking_about_a_folder_that_is_not_there_does_not_make_it(tmp_path: Path, command: str) -> None:
    answered = CliRunner().invoke(command_line(), [command, "--home", str(tmp_path / "absent")])
    assert answered.exit_code == 0, answered.output
    assert list(tmp_path.iterdir()) == []


def test_down_needs_no_configuration(home: Path) -> None:
    supervisor = sleeper(home, "mail")
    (home / "config.json").write_text("{")
    assert CliRunner().invoke(command_line(), ["down", "--home", str(home)]).exit_code == 0
    assert supervisor.names() == []


def test_status_names_what_ended_and_what_does_not_serve(home: Path) -> None:
    supervisor = sleeper(home, "mail", "mlflow")
    ended = supervisor.process("mlflow")
    assert ended is not None
    ended.kill()
    ended.wait(5)
    answered = CliRunner().invoke(command_line(), ["status", "--home", str(home)])
    assert answered.exit_code == 1
    lines = {line.split()[1]: line for line in answered.output.splitlines() if "│" in line}
    assert "does not serve" in lines["mail"]
    assert "ended" in lines["mlflow"]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_stop_in_a_fresh_clone_does_nothing(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "Makefile", tmp_path)
    of_no_make = {name: value for name, value in os.environ.items() if name not in ("MAKELEVEL", "MAKEFLAGS", "MFLAGS")}
    done = subprocess.run(["make", "stop"], cwd=tmp_path, env=of_no_make, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]
