"""Debezium's engine in this process: reads a PostgreSQL change log up to a bound."""

import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from shelfcast.errors import ChangeLogLost, SourceError, SourceUnavailable
from shelfcast.ingestion.change_file_writer import ChangeFileWriter
from shelfcast.ingestion.change_files import ChangeFolder
from shelfcast.ingestion.generations import ChangeLogState, generation_to_go_on
from shelfcast.ingestion.row_checks import PLACEHOLDER
from shelfcast.sources.shop_schema import SOURCE_SCHEMA, TABLES
from shelfcast_provider.connections import SHOP_DATABASE
from shelfcast_provider.ingestion.change_log import ChangeLog
from shelfcast_provider.sources.shop_address import ShopAddress

if TYPE_CHECKING:
    import psycopg

PREFIX = "shop"


class DebeziumHook(BaseHook):
    """Reads the change log of the shop's database.

    The replication slot is the only memory of what was read: it moves on when the changes are on disk, in the same
    order. Without stored offsets Debezium starts where the slot stands.

    Args:
        connection_id: PostgreSQL connection; extras `slot_name` and `publication_name` (default `shelfcast`), and those
            of `ShopAddress`.
    """

    conn_name_attr = "connection_id"
    default_conn_name = SHOP_DATABASE
    conn_type = "shelfcast_debezium"
    hook_name = "Shelfcast change log"

    def __init__(self, connection_id: str = SHOP_DATABASE) -> None:
        super().__init__()
        connection = self.get_connection(connection_id)
        self.address = ShopAddress.of(connection)
        extras = connection.extra_dejson
        self.slot = extras.get("slot_name") or "shelfcast"
        self.publication = extras.get("publication_name") or "shelfcast"

    def get_conn(self) -> "psycopg.Connection[Any]":
        """A connection to the shop with autocommit; raises `SourceUnavailable` when it does not answer."""
        import psycopg

        try:
            return psycopg.connect(**self.address.for_psycopg(), autocommit=True, connect_timeout=10)
        except psycopg.OperationalError as error:
            raise SourceUnavailable(
                f"The shop's database {self.address} cannot be reached: {str(error).strip()}. Nothing was read. See that "
                f"it runs and that connection {SHOP_DATABASE} is right; the task is tried again."
            ) from error

    def drain(
        self,
        folder: ChangeFolder,
        *,
        loaded: tuple[int, int] = (0, 0),
        take_snapshot: bool = False,
        limit_seconds: float = 3600,
    ) -> "Drained":
        """Reads all changes committed before this call into change files.

        Args:
            folder: Where the files go.
            loaded: Generation and drain that the cold store has loaded last, zeros before the first.
            take_snapshot: Begin a new generation even though the change log is whole.
            limit_seconds: When to give up, above 0.

        Raises:
            SourceUnavailable: The database does not answer.
            ChangeLogLost: The replication slot, the files, or rows or values of the generation are not there.
            ConfigurationError: The shop's tables cannot be published, or lack a column.
            SourceError: The engine stopped, or did not reach the bound in time.
        """
        with self.get_conn() as source:
            log = ChangeLog(source, slot=self.slot, publication=self.publication)
            state = log.state()
            going_on = generation_to_go_on(folder, state, loaded_generation=loaded[0], take_snapshot=take_snapshot)
            is_snapshot = going_on is None
            generation = going_on or _begin_anew(folder, log, state, loaded_generation=loaded[0])
            folder.discard_unfinished(generation)
            after = loaded[1] if loaded[0] == generation else 0
            writer = ChangeFileWriter(folder, generation, from_position=log.confirmed(), after_drain=after)
            self._run(log, writer, is_snapshot=is_snapshot, limit_seconds=limit_seconds)
        if is_snapshot:
            folder.mark_complete(generation)
        return Drained(generation=generation, drain=writer.drain, changes=writer.changes, files=writer.part)

    def _run(self, log: ChangeLog, writer: ChangeFileWriter, *, is_snapshot: bool, limit_seconds: float) -> None:
        """Runs the engine until the mark that is written into the log at the start comes out of it."""
        from shelfcast_provider.ingestion.debezium_engine import close, make_engine, start_jvm

        start_jvm(is_snapshot=is_snapshot)
        mark = uuid.uuid4().hex
        writer.expect(mark)
        engine, ended = make_engine(self._properties(is_snapshot), writer)
        if not is_snapshot:
            log.write_mark(mark)
        thread = threading.Thread(target=engine.run, name="debezium", daemon=True)
        thread.start()
        deadline = time.monotonic() + limit_seconds
        is_marked = not is_snapshot
        while not writer.is_done.wait(0.1):
            if not is_marked and log.is_streaming():  # the snapshot is over: all that counts is before now
                log.write_mark(mark)
                is_marked = True
            if ended.is_set() or time.monotonic() > deadline:
                break
        close(engine)
        thread.join(60)
        writer.abandon()
        if writer.lost:
            raise ChangeLogLost(writer.lost)
        if not writer.is_done.is_set():
            if lost := log.lost():
                raise ChangeLogLost(lost)
            reason = writer.failure or ended.reason or f"the bound was not reached in {limit_seconds:.0f} s"
            raise SourceError(f"Change capture stopped: {reason}. What was read is kept; the task goes on from there.")

    def _properties(self, is_snapshot: bool) -> dict[str, str]:
        return {
            "name": "shelfcast",
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "plugin.name": "pgoutput",
            **self.address.for_debezium(),
            "topic.prefix": PREFIX,
            "slot.name": self.slot,
            "publication.name": self.publication,
            "publication.autocreate.mode": "disabled",
            "table.include.list": ",".join(f"{SOURCE_SCHEMA}.{name}" for name in TABLES),
            "snapshot.mode": "initial" if is_snapshot else "no_data",
            "offset.storage": "org.apache.kafka.connect.storage.MemoryOffsetBackingStore",
            "offset.flush.interval.ms": "0",
            "decimal.handling.mode": "string",
            "time.precision.mode": "isostring",
            "tombstones.on.delete": "false",
            "skipped.operations": "none",  # a TRUNCATE must be seen to be refused
            "poll.interval.ms": "20",
            "max.batch.size": "4096",
            "max.queue.size": "16384",
            "errors.max.retries": "0",
            "unavailable.value.placeholder": PLACEHOLDER,
            "key.converter.schemas.enable": "false",
            "value.converter.schemas.enable": "false",
        }


def _begin_anew(folder: ChangeFolder, log: ChangeLog, state: ChangeLogState, *, loaded_generation: int) -> int:
    """Makes a new generation ready; a slot that is there stands where an older snapshot began."""
    if state.unpublished:
        log.publish(state.unpublished)
    if state.has_slot:
        log.drop_slot()
    return folder.begin_generation(after=loaded_generation)


class Drained:
    """What a drain brought.

    Attributes:
        generation: Number of the generation read into.
        drain: Number of the drain within it.
        changes: Lines written.
        files: Files written.
    """

    def __init__(self, *, generation: int, drain: int, changes: int, files: int) -> None:
        self.generation = generation
        self.drain = drain
        self.changes = changes
        self.files = files
