"""The cold store on DuckDB: runs the same SQL files in-process, for backtests, notebooks and tests."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import duckdb
import pandas as pd
import sqlglot

from shelfcast.cold_store.cold_store import Parameters
from shelfcast.cold_store.statements import BOUND_VALUE, Names, statement
from shelfcast.duckdb_file import open_database

SCHEMAS = ("RAW", "QUARANTINE", "FEATURES", "FORECASTS", "OPERATIONS")


class DuckDBStore:
    """A `ColdStore` in one DuckDB database.

    Args:
        path: Database file, or `:memory:`.
        num_threads: Threads that a query may use, 1 or more.
        memory_gib: GiB that it may hold before it spills beside its file; DuckDB's own choice if `None`.
    """

    def __init__(self, path: str = ":memory:", *, num_threads: int = 2, memory_gib: float | None = None) -> None:
        self.connection = open_database(path, num_threads=num_threads, memory_gib=memory_gib)
        for schema in SCHEMAS:
            self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")

    def run(self, name: str, parameters: Parameters | None = None, **names: Names) -> int:
        """Runs `sql/<name>.sql`; answers the number of rows changed."""
        row = self._execute(name, parameters, names).fetchone()
        return int(row[0]) if row and isinstance(row[0], int) else 0

    def fetch(self, name: str, parameters: Parameters | None = None, **names: Names) -> pd.DataFrame:
        """Runs `sql/<name>.sql`; answers its rows with lower-case column names."""
        frame = self._execute(name, parameters, names).df()
        return frame.rename(columns=str.lower)

    def load_parquet(self, folder: Path, *, table: str, batch_id: str) -> int:  # noqa: ARG002
        """Appends the Parquet files in `folder` to `table` by column name; `batch_id` names no place here."""
        row = self.connection.execute(
            f"INSERT INTO {table} BY NAME SELECT * FROM read_parquet(?, hive_partitioning = false)",  # noqa: S608
            [str(folder / "*.parquet")],
        ).fetchone()
        return int(row[0]) if row else 0

    def _execute(
        self, name: str, parameters: Parameters | None, names: Mapping[str, Names]
    ) -> duckdb.DuckDBPyConnection:
        text = statement(name, **names)
        used = set(BOUND_VALUE.findall(text))
        return self.connection.execute(translated(text), {key: (parameters or {})[key] for key in used})


@cache
def translated(text: str) -> str:
    """A statement of the cold store in DuckDB's words."""
    (translated,) = sqlglot.transpile(text, read="snowflake", write="duckdb")
    return translated
