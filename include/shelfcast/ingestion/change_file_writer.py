"""Writes change files as the batches of a drain come in: what is confirmed to the source is on disk before."""

import base64
import gzip
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

from shelfcast.errors import ChangeLogLost
from shelfcast.ingestion.change_files import ChangeFile, ChangeFolder
from shelfcast.ingestion.generations import SNAPSHOT_ADVICE
from shelfcast.ingestion.row_checks import PLACEHOLDER
from shelfcast.sources.shop_schema import SOURCE_SCHEMA, TABLES
from shelfcast.storage import Draft

ROLL_BYTES = 64 << 20
MESSAGE = b'"op":"m"'
"""What a mark looks like; inside a value the quotation marks would be escaped."""
TRUNCATION = b'"op":"t"'
LEFT_OUT = f'"{PLACEHOLDER}"'.encode()


class ChangeFileWriter:
    """Takes batches into the files of one drain; confirms a batch only when its file is on disk.

    Args:
        folder: The folder of change files.
        generation: Generation that the drain belongs to.
        from_position: Log position confirmed before it.
        after_drain: Last drain of the generation that is loaded; the folder may not hold its files any more.
        roll_bytes: Size at which a file is finished and the next one begun.

    Attributes:
        drain: Number of the drain.
        part: Files finished so far.
        changes: Changes in the files finished so far, marks left out.
        failure: What went wrong, for the message.
        lost: Why the changes are not whole, so that no retry can help.
        is_done: Set when the mark has come.
    """

    def __init__(
        self,
        folder: ChangeFolder,
        generation: int,
        *,
        from_position: int,
        after_drain: int = 0,
        roll_bytes: int = ROLL_BYTES,
    ) -> None:
        self._folder = folder.generation_folder(generation)
        self.drain = folder.next_drain(generation, after=after_drain)
        self._from = from_position
        self._roll_bytes = roll_bytes
        self.part = 0
        self.changes = 0
        self.failure: str | None = None
        self.lost: str | None = None
        self.is_done = threading.Event()
        self._mark = b""
        self._draft: Draft | None = None
        self._zipped: gzip.GzipFile | None = None
        self._bytes = self._changes = 0

    def expect(self, mark: str) -> None:
        """Names the mark that ends the drain; the engine gives a message's content in base 64."""
        self._mark = base64.b64encode(mark.encode())

    def take(self, lines: bytes, count: int, confirm: Callable[[], None]) -> None:
        """Writes a batch of lines; `confirm` tells the engine that all up to here is durable.

        Raises:
            ChangeLogLost: A table was truncated, which the log does not tell row by row, or a row came without a value
                that it has; nothing is confirmed.
        """
        if self.is_done.is_set():
            return
        self.lost = _truncated(lines) or _left_out(lines)
        if self.lost:
            raise ChangeLogLost(self.lost)
        if self._zipped is None:
            self._open()
        assert self._zipped is not None  # noqa: S101
        self._zipped.write(lines)
        self._bytes += len(lines)
        self._changes += count - lines.count(MESSAGE)
        is_last = self._mark in lines
        if is_last or self._bytes >= self._roll_bytes:
            self._finish()
            confirm()
        if is_last:
            self.is_done.set()

    def abandon(self) -> None:
        """Drops a file that was begun and not finished."""
        if self._draft is not None:
            self._draft.discard()
            self._draft = self._zipped = None

    def _open(self) -> None:
        self._draft = Draft(self._folder, self._name())
        self._zipped = gzip.GzipFile(fileobj=self._draft.file, mode="wb", compresslevel=1, mtime=0)

    def _finish(self) -> None:
        assert self._draft is not None  # noqa: S101
        assert self._zipped is not None  # noqa: S101
        self._zipped.close()
        self._draft.publish(self._name(self._changes))
        self._draft = self._zipped = None
        self.changes += self._changes
        self._bytes = self._changes = 0
        self.part += 1

    def _name(self, changes: int | None = None) -> str:
        return ChangeFile(drain=self.drain, from_position=self._from, part=self.part, changes=changes).name


def _truncated(lines: bytes) -> str | None:
    if TRUNCATION not in lines:
        return None
    tables = {json.loads(line)["source"]["table"] for line in lines.splitlines() if TRUNCATION in line}
    return (
        f"The shop truncated {', '.join(sorted(tables))}. The log does not say which rows went with that, so deleted rows "
        f"would live on in the cold store. Empty tables row by row from now on; to go on, {SNAPSHOT_ADVICE}"
    )


def _left_out(lines: bytes) -> str | None:
    """What to say of values that the log does not hold; those of columns that nobody reads are no loss."""
    events = (json.loads(line) for line in lines.splitlines() if LEFT_OUT in line) if LEFT_OUT in lines else ()
    columns = {column for event in events for column in _placeholders(event)}
    if not columns:
        return None
    tables = {column.split(".")[0] for column in columns}
    identities = "; ".join(f"ALTER TABLE {SOURCE_SCHEMA}.{table} REPLICA IDENTITY FULL" for table in sorted(tables))
    return (
        f"A change left a long text as it was in {', '.join(sorted(columns))}, and then PostgreSQL does not write the text "
        "into its log: taken as it comes, the row would lose it. Nothing of that change was read. Run, as the tables' owner, "
        f"{identities}, which puts whole rows into the log from then on; to go on behind the change that is in it already, "
        f"{SNAPSHOT_ADVICE}"
    )


def _placeholders(event: dict[str, Any]) -> Iterator[str]:
    row, name = event.get("after") or {}, event["source"]["table"]
    columns = TABLES[name].column_names if name in TABLES else ()
    return (f"{name}.{column}" for column in columns if row.get(column) == PLACEHOLDER)
