"""The cold store on DuckDB: runs the same SQL files in-process, for backtests, notebooks and tests."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import sqlglot

from shelfcast.cold_store.cold_store import Parameters
from shelfcast.cold_store.statements import BATCH_ROWS, BOUND_VALUE, Names, statement
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
        """Runs `sql/<name>.sql`; returns the number of rows changed."""
        row = self._execute(name, parameters, names).fetchone()
        return int(row[0]) if row and isinstance(row[0], int) else 0

    def fetch(self, name: str, parameters: Parameters | None = None, **names: Names) -> pd.DataFrame:
        """Runs `sql/<name>.sql`; returns its rows with lower-case column names."""
        frame = self._execute(name, parameters, names).df()
        return frame.rename(columns=str.lower)

    def batches(
        self, name: str, parameters: Parameters | None = None, *, rows: int = BATCH_ROWS, **names: Names
    ) -> Iterator[pd.DataFrame]:
        """Runs `sql/<name>.sql`; returns its rows in order, `rows` of them at a time and the rest last."""
        text, bound = _bound(name, parameters, names)
        with self.connection.cursor() as reading:  # a statement on the connection itself would end what is read of it
            for batch in reading.sql(text, params=bound).to_arrow_reader(rows):
                yield batch.to_pandas(date_as_object=False).rename(columns=str.lower)

    def unload(self, name: str, parameters: Parameters | None, folder: Path, **names: Names) -> int:
        """Writes the rows of `sql/<name>.sql` to a Parquet file in `folder`; returns how many there are."""
        path = folder / "rows.parquet"
        text, bound = _bound(name, parameters, names)
        self.connection.sql(text, params=bound).write_parquet(str(path))
        rows: int = pq.read_metadata(path).num_rows
        if not rows:
            path.unlink()
        return rows

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Makes what is run within one change, or none if an error leaves it."""
        self.connection.begin()
        try:
            yield
        except BaseException:
            self.connection.rollback()
            raise
        self.connection.commit()

    def load_parquet(self, folder: Path, *, table: str, batch_id: str) -> int:  # noqa: ARG002
        """Appends the Parquet files in `folder` to `table` by column name; `batch_id` names no path here."""
        row = self.connection.execute(
            f"INSERT INTO {table} BY NAME SELECT * FROM read_parquet(?, hive_partitioning = false)",  # noqa: S608
            [str(folder / "*.parquet")],
        ).fetchone()
        return int(row[0]) if row else 0

    def _execute(
        self, name: str, parameters: Parameters | None, names: Mapping[str, Names]
    ) -> duckdb.DuckDBPyConnection:
        return self.connection.execute(*_bound(name, parameters, names))


def _bound(name: str, parameters: Parameters | None, names: Mapping[str, Names]) -> tuple[str, dict[str, object]]:
    """A statement in DuckDB's words, and those of the values that it asks for."""
    text = statement(name, **names)
    return translated(text), {key: (parameters or {})[key] for key in set(BOUND_VALUE.findall(text))}


@cache
def translated(text: str) -> str:
    """A statement of the cold store in DuckDB's words."""
    (translated,) = sqlglot.transpile(text, read="snowflake", write="duckdb")
    return translated
