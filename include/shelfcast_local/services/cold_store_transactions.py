"""Transactions of fakesnow as Snowflake has them: they wait for one another, and not for one whose client is gone.

Snowflake lets a transaction wait for the rows that another one has changed, and ends one that keeps others waiting and
is silent, as it is when its task was killed. fakesnow fails whoever comes second, until the server is started anew.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import duckdb
from sqlglot import exp

SILENT_SECONDS = 10.0
"""How long a transaction may run no statement while another one waits; Snowflake's own is five minutes."""

ROLLED_BACK = 625


def install() -> None:
    """Applies the cure to fakesnow's cursor."""
    from fakesnow import cursor

    stock, transactions = cursor.FakeSnowflakeCursor._execute, Transactions()

    def execute(self: Any, transformed: Any, params: Any = None) -> Any:
        with transactions.statement(self._conn, transformed):
            return stock(self, transformed, params)

    cursor.FakeSnowflakeCursor._execute = execute


class Transactions:
    """Lets one connection at a time be in a transaction that it began."""

    def __init__(self) -> None:
        self._silent_since: dict[Any, float] = {}
        self._ended: set[Any] = set()
        self._changed = threading.Condition()

    @contextmanager
    def statement(self, connection: Any, transformed: Any) -> Iterator[None]:
        """Around each statement of a connection.

        Raises:
            ProgrammingError: Its transaction was rolled back, for it was silent; goes on until it rolls back itself.
        """
        with self._changed:
            if isinstance(transformed, exp.Rollback):
                self._ended.discard(connection)
            if isinstance(transformed, exp.Transaction):
                self._wait_for_others(connection)
            self._refuse_what_was_ended(connection)
            is_open = connection in self._silent_since
            if is_open:
                self._silent_since[connection] = float("inf")
        try:
            yield
        finally:
            with self._changed:
                if isinstance(transformed, (exp.Commit, exp.Rollback)):
                    self._silent_since.pop(connection, None)
                elif is_open:
                    self._silent_since[connection] = time.monotonic()
                self._changed.notify_all()

    def _wait_for_others(self, connection: Any) -> None:
        while others := [other for other in self._silent_since if other is not connection]:
            for other in others:
                if time.monotonic() - self._silent_since[other] > SILENT_SECONDS:
                    self._end(other)
            self._changed.wait(timeout=0.2)
        self._silent_since[connection] = float("inf")

    def _end(self, connection: Any) -> None:
        with suppress(duckdb.TransactionException):  # an error within it may have ended it
            connection._duck_conn.rollback()
        del self._silent_since[connection]
        self._ended.add(connection)

    def _refuse_what_was_ended(self, connection: Any) -> None:
        from snowflake.connector.errors import ProgrammingError

        if connection in self._ended:
            text = (
                f"The transaction was rolled back: it ran nothing for {SILENT_SECONDS:.0f} s while another one waited."
            )
            raise ProgrammingError(msg=text, errno=ROLLED_BACK, sqlstate="57014")
