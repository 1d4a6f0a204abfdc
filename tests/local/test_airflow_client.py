"""The client sees everything that Airflow has, however short the server's pages are."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shelfcast.errors import ShelfcastError
from shelfcast_local.airflow_client import AirflowClient, Run
from shelfcast_local.configuration import HOST

MOST_ROWS_A_PAGE = 100


class PagedAirflow(BaseHTTPRequestHandler):
    """An api-server that cuts each page, as Airflow does; `rows` holds its collections by path."""

    rows: dict[str, tuple[str, list[dict[str, Any]]]]
    most_rows_a_page = MOST_ROWS_A_PAGE

    def do_POST(self) -> None:
        self._answer(201, {"access_token": "a-token"})

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path not in self.rows:
            self._answer(404, {"detail": "no such path"})
            return
        name, rows = self.rows[url.path]
        asked = {key: int(values[0]) for key, values in parse_qs(url.query).items() if key in ("limit", "offset")}
        first = asked.get("offset", 0)
        last = first + min(asked.get("limit", 50), self.most_rows_a_page)
        self._answer(200, {name: rows[first:last], "total_entries": len(rows)})

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(content).encode())

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[tuple[type[PagedAirflow], AirflowClient]]:
    handler = type("Handler", (PagedAirflow,), {"rows": {}})
    with ThreadingHTTPServer((HOST, 0), handler) as running:
        threading.Thread(target=running.serve_forever, args=[0.02], daemon=True).start()
        yield handler, AirflowClient(url=f"http://{HOST}:{running.server_address[1]}", user="admin", password="secret")
        running.shutdown()


def run_fields(number: int) -> dict[str, Any]:
    return {"dag_id": "feature_views", "dag_run_id": f"run {number}", "state": "success", "run_type": "scheduled"}


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 200, 257])
@pytest.mark.parametrize("most_rows_a_page", [100, 30])
def test_every_run_is_seen_once_and_in_order(
    server: tuple[type[PagedAirflow], AirflowClient], count: int, most_rows_a_page: int
) -> None:
    airflow, client = server
    airflow.most_rows_a_page = most_rows_a_page
    airflow.rows = {"/api/v2/dags/~/dagRuns": ("dag_runs", [run_fields(number) for number in range(count)])}
    assert [run.run_id for run in client.runs()] == [f"run {number}" for number in range(count)]


def test_dags_import_errors_and_tasks_are_read_to_the_last_page(
    server: tuple[type[PagedAirflow], AirflowClient],
) -> None:
    airflow, client = server
    names = [f"name_{number}" for number in range(2 * MOST_ROWS_A_PAGE + 1)]
    run = Run(dag_id="feature_views", run_id="run 1", state="running", run_type="scheduled", partition_key=None)
    airflow.rows = {
        "/api/v2/dags": ("dags", [{"dag_id": name} for name in names]),
        "/api/v2/importErrors": ("import_errors", [{"filename": name} for name in names]),
        "/api/v2/dags/feature_views/dagRuns/run%201/taskInstances": (
            "task_instances",
            [{"task_id": name} for name in names],
        ),
    }
    assert client.dag_ids() == set(names)
    assert [error["filename"] for error in client.import_errors()] == names
    assert [task["task_id"] for task in client.task_instances(run)] == names


def test_rows_that_vanish_between_two_pages_end_the_reading(
    server: tuple[type[PagedAirflow], AirflowClient],
) -> None:
    airflow, client = server

    class Vanishing(list[dict[str, Any]]):
        def __len__(self) -> int:
            return super().__len__() + 1

    airflow.rows = {"/api/v2/dags/~/dagRuns": ("dag_runs", Vanishing([run_fields(1)]))}
    assert [run.run_id for run in client.runs()] == ["run 1"]


def test_what_airflow_refuses_is_said_with_its_own_words(server: tuple[type[PagedAirflow], AirflowClient]) -> None:
    _, client = server
    with pytest.raises(ShelfcastError, match=r"refused GET /dags \(404\).*no such path"):
        client.dag_ids()
