"""The notes that a shop's database keeps of the history written into it, outside the captured schema."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from shelfcast_local.playback.ddl import Connection, playback_statement


@dataclass(frozen=True, kw_only=True)
class Playback:
    """What a database says about the history that was written into it.

    Attributes:
        history_name: Name of the simulator or dataset.
        last_history_date: Last day written at once.
        settings: What the history was made from, JSON.
        last_date: The newest day that is written whole.
        is_within_a_day: Whether the day after it was begun.
    """

    history_name: str
    last_history_date: date
    settings: dict[str, Any]
    last_date: date
    is_within_a_day: bool


def read_playback(connection: Connection) -> Playback | None:
    """The history that the database holds; `None` if none was written."""
    exists = connection.execute(playback_statement("playback_exists")).fetchone()
    if not (exists and exists[0]):
        return None
    row: Any = connection.execute(playback_statement("read_playback_settings")).fetchone()
    if row is None:
        return None
    newest = newest_day(connection)
    is_within_a_day = newest is not None and not newest[2]
    last = row[1] if newest is None else newest[0] - timedelta(days=int(is_within_a_day))
    return Playback(
        history_name=row[0],
        last_history_date=row[1],
        settings=row[2],
        last_date=last,
        is_within_a_day=is_within_a_day,
    )


def write_settings(
    connection: Connection, *, history_name: str, last_history_date: date, settings: Mapping[str, object]
) -> None:
    """Notes what the shop's history is made from."""
    values = {
        "history_name": history_name,
        "last_history_date": last_history_date,
        "settings": Jsonb(dict(settings)),
    }
    connection.execute(playback_statement("write_playback_settings"), values)


def note_progress(connection: Connection, business_date: date, transactions_written: int, *, is_complete: bool) -> None:
    """Notes how far a business day got, inside the caller's transaction."""
    values = {
        "business_date": business_date,
        "transactions_written": transactions_written,
        "is_complete": is_complete,
    }
    connection.execute(playback_statement("write_days_written"), values)


def newest_day(connection: Connection) -> tuple[date, int, bool] | None:
    """The newest day begun, its committed transactions, and whether it is complete."""
    row: Any = connection.execute(playback_statement("read_days_written")).fetchone()
    return None if row is None else (row[0], row[1], row[2])
