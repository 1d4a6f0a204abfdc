"""The cold store behind the stock Snowflake provider."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.sdk import BaseHook

from shelfcast.cold_store.statements import BATCH_ROWS, BOUND_VALUE, Names, statement, unloading
from shelfcast.errors import ConfigurationError, PostConditionFailed
from shelfcast_provider.connections import COLD_STORE, check_extras

if TYPE_CHECKING:
    import pandas as pd
    from snowflake.connector import SnowflakeConnection
    from snowflake.connector.cursor import SnowflakeCursor

    from shelfcast.cold_store.cold_store import Parameters

CHUNKS_AHEAD = 1
"""Chunks of a result that are downloaded while the one before is read; the server chooses their size, some ten MiB each."""


class ColdStoreHook(BaseHook):
    """Runs the statements of `sql/` on Snowflake; a `shelfcast.cold_store.cold_store.ColdStore`.

    One connection serves a task. Use it as a context manager, or call `close`.

    Args:
        connection_id: Snowflake connection, with extras out of an allowed list.
    """

    conn_name_attr = "connection_id"
    default_conn_name = COLD_STORE

    def __init__(self, connection_id: str = COLD_STORE) -> None:
        super().__init__()
        self.connection_id = connection_id
        self._connection: SnowflakeConnection | None = None

    def __enter__(self) -> "ColdStoreHook":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get_conn(self) -> "SnowflakeConnection":
        """The connection, opened at the first call."""
        if self._connection is None:
            from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook

            check_extras(COLD_STORE, self.get_connection(self.connection_id).extra_dejson)
            self._connection = SnowflakeHook(self.connection_id).get_conn()
        return self._connection

    def close(self) -> None:
        """Closes the connection if one was opened."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def run(self, name: str, parameters: "Parameters | None" = None, **names: Names) -> int:
        """Runs `sql/<name>.sql`; returns the number of rows it changed (0 for DDL)."""
        with self._cursor() as cursor:
            self._execute(cursor, name, parameters, names)
            return max(cursor.rowcount or 0, 0)

    def fetch(self, name: str, parameters: "Parameters | None" = None, **names: Names) -> "pd.DataFrame":
        """Runs `sql/<name>.sql`; returns its rows with lower-case column names."""
        with self._cursor() as cursor:
            self._execute(cursor, name, parameters, names)
            return cursor.fetch_pandas_all().rename(columns=str.lower)

    def batches(
        self, name: str, parameters: "Parameters | None" = None, *, rows: int = BATCH_ROWS, **names: Names
    ) -> "Iterator[pd.DataFrame]":
        """Runs `sql/<name>.sql`; returns its rows in order, `rows` of them at a time and the rest last."""
        from shelfcast.cold_store.unloaded import cut

        with self._cursor() as cursor:
            cursor.connection.client_prefetch_threads = CHUNKS_AHEAD
            self._execute(cursor, name, parameters, names)
            for table in cut(cursor.fetch_arrow_batches(), rows):
                yield table.to_pandas().rename(columns=str.lower)

    def unload(self, name: str, parameters: "Parameters | None", folder: Path, **names: Names) -> int:
        """Lets Snowflake write the rows of `sql/<name>.sql` to a stage, and downloads them; returns how many there are."""
        path, directory = f"u{uuid4().hex}", _transferable(folder)
        self.run("cold_store/create_stage")
        with self._cursor() as cursor:
            self._execute_text(cursor, name, unloading(name, path=path, **names), parameters)
            rows = int(cursor.fetchall()[0][0])
            try:
                if rows:
                    cursor.execute(statement("cold_store/get_files", path=path).replace("<folder>", directory))
            finally:
                cursor.execute(statement("cold_store/remove_files", path=path))
        _check_download(folder, rows=rows, name=name)
        return rows

    @contextmanager
    def transaction(self) -> "Iterator[None]":
        """Makes what is run within one change, or none if an error leaves it."""
        connection = self.get_conn()
        with self._cursor() as cursor:
            cursor.execute("BEGIN")
        try:
            yield
        except BaseException:
            connection.rollback()
            raise
        connection.commit()

    def load_parquet(self, folder: Path, *, table: str, batch_id: str) -> int:
        """Uploads the Parquet files of `folder` and appends them to `table` by column name; returns the rows."""
        directory = _transferable(folder)
        path = hashlib.sha256(f"{batch_id}\n{table}".encode()).hexdigest()[:32]
        self.run("cold_store/create_stage")
        with self._cursor() as cursor:
            put = statement("cold_store/put_files", path=f"p{path}").replace("<folder>", directory)
            cursor.execute(put)
            cursor.execute(statement("cold_store/copy_files", table=table, path=f"p{path}"))
            return sum(int(row[3]) for row in cursor.fetchall() if str(row[1]).upper() == "LOADED")

    def _execute(self, cursor: "SnowflakeCursor", name: str, parameters: Any, names: dict[str, Names]) -> None:
        self._execute_text(cursor, name, statement(name, **names), parameters)

    def _execute_text(self, cursor: "SnowflakeCursor", name: str, text: str, parameters: Any) -> None:
        from snowflake.connector.errors import ProgrammingError

        try:
            cursor.execute(BOUND_VALUE.sub(r"%(\1)s", text), dict(parameters or {}) or None)
        except ProgrammingError as error:
            error.msg = f"sql/{name}.sql: {error.msg}"
            raise

    @contextmanager
    def _cursor(self) -> "Iterator[SnowflakeCursor]":
        cursor = self.get_conn().cursor()
        try:
            yield cursor
        finally:
            cursor.close()


def _transferable(folder: Path) -> str:
    """A folder as PUT and GET can be told it; raises `ConfigurationError` for one that they would take for another."""
    if any(character in str(folder) for character in "'*\\"):
        raise ConfigurationError(
            f"No files can be sent from or fetched to the folder {folder}: its name holds one of ' * \\. Rename it."
        )
    return str(folder)


def _check_download(folder: Path, *, rows: int, name: str) -> None:
    from shelfcast.cold_store.unloaded import count_rows

    found = count_rows(folder)
    if found != rows:
        raise PostConditionFailed(
            f"{found} rows of sql/{name}.sql were downloaded, Snowflake unloaded {rows}. What is missing would be taken for "
            "what never was. Clear this task."
        )
