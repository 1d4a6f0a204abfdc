"""A shop's past and the days that follow it, written into a database: the one interface of simulator and dataset.

The past is written at once, in one transaction. Each later day is a fixed list of transactions; how many of them are
committed is noted in the same commit, so a writer that was killed goes on behind the last one. The close of the
day (its row in `business_days`) is the last transaction of all.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Protocol

import pandas as pd
import pyarrow as pa

from shelfcast.errors import ConfigurationError, NothingToDo, SourceError
from shelfcast.sources.closing_times import BEFORE_MIDNIGHT, closed_at
from shelfcast.sources.shop_schema import TABLES
from shelfcast_local.playback.changes import Transaction, apply, copy_in, inserted
from shelfcast_local.playback.ddl import Connection, create_shop, playback_statement
from shelfcast_local.playback.notes import newest_day, note_progress, read_playback, write_settings

CLOSES_LATE_AT = time(5, 30)
"""When a day that was not closed at its end is closed, on the morning after it."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """What one call wrote.

    Attributes:
        last_date: The newest day written.
        rows: Rows inserted, updated and deleted, by table.
        transactions: Commits.
        is_closed: Whether the day has its row in `business_days`.
    """

    last_date: date
    rows: Mapping[str, int]
    transactions: int
    is_closed: bool = True

    def __str__(self) -> str:
        state = "" if self.is_closed else ", not closed"
        rows = ", ".join(f"{count:,} {name}" for name, count in self.rows.items() if count)
        return f"The shop is written up to {self.last_date}{state}: {rows}."


class ShopHistory(Protocol):
    """A shop with a past and days to come."""

    @property
    def last_history_date(self) -> date:
        """The last day that `write_history` writes."""
        ...

    @property
    def days_to_come(self) -> Sequence[date]:
        """The days that `write_day` can write, oldest first."""
        ...

    def write_history(self, connection: Connection) -> Written:
        """Creates the shop and writes all days up to `last_history_date`; `NothingToDo` if it is there already."""
        ...

    def write_day(self, connection: Connection, business_date: date) -> Written:
        """Writes the next business day and closes it; `NothingToDo` if it is written already."""
        ...


def write_history(
    connection: Connection,
    *,
    history_name: str,
    last_history_date: date,
    settings: Mapping[str, object],
    tables: Iterable[tuple[str, pa.Table]],
) -> Written:
    """Creates the shop and copies `tables` into it in one transaction.

    Args:
        connection: To the shop's database, with autocommit.
        history_name: Name of the simulator or dataset.
        last_history_date: The last day that `tables` hold.
        settings: What the history is made from, kept for the days to come.
        tables: Name and rows; a name may come many times.

    Raises:
        NothingToDo: This very history is there already.
        SourceError: The database holds another history.
    """
    _need_autocommit(connection)
    create_shop(connection)
    _refuse_second_history(connection, history_name)
    rows: dict[str, int] = {}
    with connection.transaction():
        for name, part in tables:
            copy_in(connection, TABLES[name], part)
            rows[name] = rows.get(name, 0) + part.num_rows
        write_settings(connection, history_name=history_name, last_history_date=last_history_date, settings=settings)
    return Written(last_date=last_history_date, rows=rows, transactions=1)


def write_day(
    connection: Connection,
    business_date: date,
    *,
    transactions: Iterable[Transaction],
    closes_at: Sequence[str] = BEFORE_MIDNIGHT,
    closes: bool = True,
) -> Written:
    """Commits a day's transactions one by one and then closes the day.

    Args:
        connection: To a shop whose history is written, with autocommit.
        business_date: The day after the last one written.
        transactions: The day's changes; the same list for the same day, whenever it is asked for.
        closes_at: When the shop closes its days.
        closes: False for an outage: the day stays open, and the next one closes it first.

    Raises:
        NothingToDo: The day is written already.
        SourceError: Days before it are missing.
    """
    _need_autocommit(connection)
    _refuse_wrong_day(connection, business_date)
    _close_open_days(connection)
    newest = newest_day(connection)
    done = newest[1] if newest and newest[0] == business_date else 0
    rows: dict[str, int] = {}
    count = done
    for count, transaction in _behind(done, transactions):
        with connection.transaction():
            apply(connection, transaction)
            note_progress(connection, business_date, count, is_complete=False)
        for change in transaction:
            rows[change.table] = rows.get(change.table, 0) + change.rows.num_rows
    with connection.transaction():
        if closes:
            apply(connection, [inserted("business_days", closing(business_date, closed_at(business_date, closes_at)))])
        note_progress(connection, business_date, count, is_complete=True)
    return Written(last_date=business_date, rows=rows, transactions=count - done + 1, is_closed=closes)


def closing(business_date: date, at: datetime) -> pd.DataFrame:
    """The `business_days` row that closes a day."""
    return pd.DataFrame({"business_date": [business_date], "closed_at": [at]})


def _behind(done: int, transactions: Iterable[Transaction]) -> Iterator[tuple[int, Transaction]]:
    for count, transaction in enumerate(transactions, start=1):
        if count > done:
            yield count, transaction


def _close_open_days(connection: Connection) -> None:
    for (day,) in connection.execute(playback_statement("unclosed_days")).fetchall():
        assert isinstance(day, date)  # noqa: S101 - the column's type
        morning_after = datetime.combine(day + timedelta(days=1), CLOSES_LATE_AT)
        with connection.transaction():
            apply(connection, [inserted("business_days", closing(day, morning_after))])


def _refuse_second_history(connection: Connection, history_name: str) -> None:
    present = read_playback(connection)
    if present is None:
        return
    if present.history_name == history_name:
        raise NothingToDo(
            f"The shop's history {history_name!r} up to {present.last_history_date} is written already; "
            f"the newest day is {present.last_date}."
        )
    raise SourceError(
        f"The shop's database holds the history {present.history_name!r}, asked for is {history_name!r}. "
        "Two shops in one database would mix their orders. Remove the shop's database (`shelfcast down`, then delete "
        "its folder) or load into another one."
    )


def _refuse_wrong_day(connection: Connection, business_date: date) -> None:
    present = read_playback(connection)
    if present is None:
        raise SourceError(f"Day {business_date} cannot be written: the shop has no history yet. Load one first.")
    expected = present.last_date + timedelta(days=1)
    if business_date < expected:
        raise NothingToDo(f"Day {business_date} is written already; the next day of this shop is {expected}.")
    if business_date > expected:
        raise SourceError(
            f"Day {business_date} cannot be written: found the shop written up to {present.last_date}, so the next day "
            f"is {expected}. Days are written in order, or late changes of the days between would be lost."
        )


def _need_autocommit(connection: Connection) -> None:
    if not connection.autocommit:
        raise ConfigurationError(
            "The shop is written transaction by transaction, but this connection collects all in one: open it with "
            "autocommit (shelfcast_local.playback.ddl.connect does)."
        )
