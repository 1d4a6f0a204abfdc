"""What stands in for the servers of the platform while a year is lived through."""

from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Self
from unittest import mock

from shelfcast.cold_store.duckdb_store import DuckDBStore

NO_GENERATION = SimpleNamespace(business_date="", generation="")
"""What a hot store serves that nobody has filled."""


class Store(DuckDBStore):
    """The cold store's hook as the operators use it: one store serves all of them."""

    def __enter__(self) -> Self:
        """The store itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """It stays open."""


class TaskInstance:
    """What an operator asks of its task instance."""

    log_url = "http://127.0.0.1/"

    def xcom_push(self, *, key: str, value: object) -> None:
        """Nobody pulls."""

    def get_dr_count(self, **_: object) -> int:
        """No other run is under way."""
        return 0


class Registry:
    """MLflow as the gate and the deployment use it: candidates by run, aliases by model."""

    def __init__(self) -> None:
        self.folders: dict[str, Path] = {}
        self.aliases: dict[str, str] = {}

    def register(self, folder: Path) -> None:
        """Makes a candidate of a folder."""
        version = str(len(self.folders) + 1)
        self.folders[version] = folder
        self.aliases["candidate"] = version

    def version(self, model: str, alias: str) -> SimpleNamespace | None:  # noqa: ARG002
        """The version that an alias names; its run is called as it is."""
        found = self.aliases.get(alias)
        return SimpleNamespace(version=found, run_id=found) if found else None

    def set_alias(self, model: str, alias: str, version: str) -> None:  # noqa: ARG002
        """Points an alias at a version."""
        self.aliases[alias] = version

    def download(self, run_id: str, path: str, folder: str) -> str:  # noqa: ARG002
        """Where a candidate's files lie."""
        return str(self.folders[run_id])

    def run_url(self, run_id: str) -> str:
        """Nobody looks."""
        return run_id

    def artifact_url(self, run_id: str, path: str) -> str:
        """Nobody looks."""
        return f"{run_id}/{path}"

    def get_conn(self) -> mock.Mock:
        """Takes what it is told and keeps nothing: the decision is in the cold store."""
        return mock.Mock()
