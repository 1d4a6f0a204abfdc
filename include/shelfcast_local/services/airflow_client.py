"""Airflow's REST API as the demo uses it: the same calls that the web UI makes."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx

from shelfcast.errors import ShelfcastError

FINISHED = frozenset({"success", "failed"})
ROWS_A_PAGE = 100
"""What Airflow gives at most unless its `[api] maximum_page_limit` says otherwise."""
OVERLAP = timedelta(minutes=1)
"""A change bears the time at which it was made, and is seen when its transaction ends."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run of a DAG as Airflow reports it."""

    dag_id: str
    run_id: str
    state: str
    run_type: str
    partition_key: str | None
    triggered_by: str | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the run has reached a terminal state."""
        return self.state in FINISHED


@dataclass(kw_only=True)
class AirflowClient:
    """Talks to one api-server.

    Attributes:
        url: Address of the api-server, without a path.
        user: Name to log in with.
        password: Its password.
    """

    url: str
    user: str
    password: str = field(repr=False)
    _http: httpx.Client | None = field(default=None, repr=False)
    _read: dict[str, tuple[datetime, dict[tuple[str, str], Run]]] = field(default_factory=dict, repr=False)

    def unpause(self, *dag_ids: str) -> None:
        """Lets the scheduler run these DAGs."""
        for dag_id in dag_ids:
            self._call("PATCH", f"/dags/{dag_id}", json={"is_paused": False})

    def dag_ids(self) -> set[str]:
        """The DAGs that the DAG processor has parsed so far."""
        return {dag["dag_id"] for dag in self._all_rows("/dags", "dags")}

    def import_errors(self) -> list[dict[str, Any]]:
        """DAG files that do not parse."""
        return self._all_rows("/importErrors", "import_errors")

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, **fields: Any) -> Run:
        """Starts a run as the UI's trigger form does; raises with the server's text on refused params."""
        return _run(
            self._call("POST", f"/dags/{dag_id}/dagRuns", json={"logical_date": None, "conf": conf or {}, **fields})
        )

    def runs(self, dag_id: str = "~") -> list[Run]:
        """All runs of a DAG (`~`: of every DAG), oldest first; asked again, it reads only those that have changed."""
        path, asked_at = f"/dags/{dag_id}/dagRuns", datetime.now(UTC)
        if dag_id not in self._read:
            known = self._runs(path)
        else:
            read_at, known = self._read[dag_id]
            known |= self._runs(path, updated_at_gte=(read_at - OVERLAP).isoformat())
            if len(known) > self._call("GET", path, params={"limit": 1})["total_entries"]:
                known = self._runs(path)  # some were deleted
        self._read[dag_id] = asked_at, known
        return list(known.values())

    def task_instances(self, run: Run) -> list[dict[str, Any]]:
        """The task instances of a run."""
        path = f"/dags/{run.dag_id}/dagRuns/{quote(run.run_id, safe='')}/taskInstances"
        return self._all_rows(path, "task_instances")

    def log(self, run: Run, task_id: str, try_number: int) -> str:
        """What a try of a task has logged."""
        path = f"/dags/{run.dag_id}/dagRuns/{quote(run.run_id, safe='')}/taskInstances/{task_id}/logs/{try_number}"
        lines = self._call("GET", path, params={"full_content": "true"})["content"]
        return "\n".join(str(line.get("event", line)) if isinstance(line, dict) else str(line) for line in lines)

    def _runs(self, path: str, **filters: str) -> dict[tuple[str, str], Run]:
        runs = map(_run, self._all_rows(path, "dag_runs", order_by="id", **filters))
        return {(run.dag_id, run.run_id): run for run in runs}

    def _all_rows(self, path: str, name: str, **parameters: str) -> list[dict[str, Any]]:
        """The rows of every page; a page may be shorter than asked for, so only the server's total ends the reading."""
        rows: list[dict[str, Any]] = []
        while True:
            page = self._call("GET", path, params={**parameters, "limit": ROWS_A_PAGE, "offset": len(rows)})
            rows += page[name]
            if not page[name] or len(rows) >= page["total_entries"]:
                return rows

    def _call(self, method: str, path: str, **arguments: Any) -> Any:
        response = self._session().request(method, f"/api/v2{path}", **arguments)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            self._http = None
            response = self._session().request(method, f"/api/v2{path}", **arguments)
        if response.is_error:
            raise ShelfcastError(f"Airflow refused {method} {path} ({response.status_code}): {response.text[:600]}")
        return response.json() if response.content else None

    def _session(self) -> httpx.Client:
        if self._http is None:
            login = httpx.post(
                f"{self.url}/auth/token",
                json={"username": self.user, "password": self.password},
                timeout=60,
                trust_env=False,
            )
            login.raise_for_status()
            token = login.json()["access_token"]
            self._http = httpx.Client(
                base_url=self.url, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
            )
        return self._http


def _run(fields: dict[str, Any]) -> Run:
    return Run(
        dag_id=fields["dag_id"],
        run_id=fields["dag_run_id"],
        state=fields["state"],
        run_type=fields["run_type"],
        partition_key=fields.get("partition_key"),
        triggered_by=fields.get("triggered_by"),
    )
