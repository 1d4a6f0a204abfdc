"""The client sees everything that Airflow has, however short the server's pages are."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from shelfcast.errors import ShelfcastError
from shelfcast_local.configuration import HOST
from shelfcast_local.services.airflow_client import AirflowClient, Run

MOST_ROWS_A_PAGE = 100
LONG_AGO = "2026-01-01T00:00:00+00:00"


class PagedAirflow(BaseHTTPRequestHandler):
    """An api-server that cuts each page, as Airflow does; `rows` holds its collections by path.

    `rows_given` counts what it has answered so far.
    """

    rows: dict[str, tuple[str, list[dict[str, Any]]]]
    most_rows_a_page = MOST_ROWS_A_PAGE
    rows_given = 0

    def do_POST(self) -> None:
        self._answer(201, {"access_token": "a-token"})

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path not in self.rows:
            self._answer(404, {"detail": "no such path"})
            return
        name, rows = self.rows[url.path]
        asked = {key: values[0] for key, values in parse_qs(url.query).items()}
        if since := asked.get("updated_at_gte"):
            rows = [row for row in rows if row["updated_at"] >= since]
        first = int(asked.get("offset", 0))
        last = first + min(int(asked.get("limit", 50)), self.most_rows_a_page)
        type(self).rows_given += len(rows[first:last])
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
    about = {"dag_id": "feature_views", "dag_run_id": f"run {number}", "run_type": "scheduled"}
    return {**about, "state": "success", "updated_at": LONG_AGO}


@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 200, 257])
@pytest.mark.parametrize("most_rows_a_page", [100, 30])
def test_every_run_is_seen_once_and_in_order(
    server: tuple[type[PagedAirflow], AirflowClient], count: int, most_rows_a_page: int
) -> None:
    airflow, client = server
    airflow.most_rows_a_page = most_rows_a_page
    airflow.rows = {"/api/v2/dags/~/dagRuns": ("dag_runs", [run_fields(number) for number in range(count)])}
    assert [run.run_id for run in client.runs()] == [f"run {number}" for number in range(count)]


def test_runs_asked_for_again_cost_what_has_changed_and_are_all_there(
    server: tuple[type[PagedAirflow], AirflowClient],
) -> None:
    airflow, client = server
    rows = [run_fields(number) for number in range(257)]
    airflow.rows = {"/api/v2/dags/~/dagRuns": ("dag_runs", rows)}
    before = client.runs()
    airflow.rows_given = 0
    assert client.runs() == before
    cleared = datetime.now(UTC).isoformat()
    rows[3] |= {"state": "queued", "updated_at": cleared}
    rows.append(run_fields(257) | {"state": "running", "updated_at": cleared})
    after = client.runs()
    assert airflow.rows_given < 10
    assert [run.run_id for run in after] == [f"run {number}" for number in range(258)]
    assert {run.run_id: run.state for run in after if not run.is_finished} == {"run 3": "queued", "run 257": "running"}


def test_runs_that_were_deleted_are_no_longer_there(server: tuple[type[PagedAirflow], AirflowClient]) -> None:
    airflow, client = server
    rows = [run_fields(number) for number in range(3)]
    airflow.rows = {"/api/v2/dags/feature_views/dagRuns": ("dag_runs", rows)}
    assert len(client.runs("feature_views")) == 3
    del rows[1]
    assert [run.run_id for run in client.runs("feature_views")] == ["run 0", "run 2"]


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
