"""The shop's change log as its database keeps it: publication, replication slot, marks."""

from collections.abc import Sequence
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from shelfcast.cold_store.statements import statement
from shelfcast.errors import ConfigurationError, SourceError
from shelfcast.ingestion.generations import ChangeLogState, lost_slot
from shelfcast.sources.shop_columns import refuse_missing_columns
from shelfcast.sources.shop_schema import SOURCE_SCHEMA, TABLES

if TYPE_CHECKING:
    import psycopg


class ChangeLog:
    """Asks and changes what PostgreSQL keeps for one reader of its log.

    Args:
        source: Connection with autocommit.
        slot: Name of the replication slot.
        publication: Name of the publication.
    """

    def __init__(self, source: "psycopg.Connection[Any]", *, slot: str, publication: str) -> None:
        self._source = source
        self.slot = slot
        self.publication = publication

    def state(self) -> ChangeLogState:
        """Whether the slot is there, and which tables the publication lacks (all of them if there is none).

        Raises:
            ConfigurationError: A table or the publication lacks a column.
        """
        published = dict(self._ask("published_tables", self.publication, SOURCE_SCHEMA))
        refuse_missing_columns(
            self._columns(), self.publication, {name: columns for name, columns in published.items() if columns}
        )
        return ChangeLogState(
            slot=self.slot,
            has_slot=bool(self._ask("slot_state", self.slot)),
            lost=self.lost(),
            publication=self.publication,
            unpublished=tuple(name for name in TABLES if name not in published),
        )

    def lost(self) -> str:
        """Why the slot can be read no more although it is there, and what to do; empty while it can."""
        found = self._ask("slot_state", self.slot)
        _, is_lost, reason, log_kept = found[0] if found else (None, False, None, None)
        return lost_slot(self.slot, reason, log_kept) if is_lost else ""

    def publish(self, names: Sequence[str]) -> None:
        """Adds tables to the publication, which is made if there is none.

        Raises:
            ConfigurationError: A table does not exist, or the connection's user may not.
        """
        import psycopg
        from psycopg import sql

        exists = self._ask("publication_exists", self.publication)
        verb = "ALTER PUBLICATION {} ADD TABLE {}" if exists else "CREATE PUBLICATION {} FOR TABLE {}"
        tables = sql.SQL(", ").join(sql.Identifier(SOURCE_SCHEMA, name) for name in names)
        try:
            self._source.execute(sql.SQL(verb).format(sql.Identifier(self.publication), tables))
        except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable) as error:
            raise ConfigurationError(
                f"Publication {self.publication} cannot be given the tables {', '.join(names)}: {str(error).strip()}. "
                "Nothing was read. Make missing tables, or let the shop's owner add them to the publication."
            ) from error

    def drop_slot(self, limit_seconds: float = 60) -> None:
        """Drops the slot; a killed reader's connection may hold it for a moment longer."""
        import psycopg

        is_held = retry_if_exception_type(psycopg.errors.ObjectInUse)
        try:
            Retrying(retry=is_held, stop=stop_after_delay(limit_seconds), wait=wait_fixed(0.5), reraise=True)(
                self._ask, "drop_slot", self.slot
            )
        except psycopg.errors.ObjectInUse:
            raise SourceError(
                f"The replication slot {self.slot} is read by another process; only one may. End the other one."
            ) from None

    def confirmed(self) -> int:
        """Log position up to which the slot's reader has everything on disk, 0 if there is no slot."""
        rows = self._ask("confirmed_position", self.slot)
        return int(rows[0][0]) if rows and rows[0][0] is not None else 0

    def is_streaming(self) -> bool:
        """Whether a reader has the slot: its snapshot, if it took one, is over."""
        rows = self._ask("slot_state", self.slot)
        return bool(rows and rows[0][0])

    def write_mark(self, mark: str) -> None:
        """Writes a message into the log, in one order with the commits.

        Another one goes before it: what is confirmed to the source ends with the last transaction before the mark, and in
        an idle shop that would be the mark of the drain before, with all the log between kept for nobody.
        """
        self._ask("write_mark", "")
        self._ask("write_mark", mark)

    def _columns(self) -> dict[str, list[str]]:
        rows = self._ask("columns", SOURCE_SCHEMA)
        return {name: [column for _, column in group] for name, group in groupby(rows, key=itemgetter(0))}

    def _ask(self, name: str, *values: str) -> list[tuple[Any, ...]]:
        return self._source.execute(statement(f"sources/{name}").encode(), values).fetchall()
