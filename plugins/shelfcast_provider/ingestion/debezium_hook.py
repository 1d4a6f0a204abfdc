"""Debezium's engine in this process: reads a PostgreSQL change log up to a bound."""

import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from shelfcast.cold_store.statements import statement
from shelfcast.errors import ChangeLogLost, SourceError, SourceUnavailable
from shelfcast.ingestion.change_file_writer import ChangeFileWriter
from shelfcast.ingestion.change_files import ChangeFolder
from shelfcast.sources.shop_schema import SOURCE_SCHEMA, TABLES
from shelfcast_provider.connections import SHOP_DATABASE, check_extras

if TYPE_CHECKING:
    import psycopg

PREFIX = "shop"


class DebeziumHook(BaseHook):
    """Reads the change log of the shop's database.

    The replication slot is the only memory of what was read: it moves on when the changes are on disk, in the same
    order. Without stored offsets Debezium starts where the slot stands.

    Args:
        connection_id: PostgreSQL connection; extras `slot_name` and `publication_name` (default `shelfcast`).
    """

    conn_name_attr = "connection_id"
    default_conn_name = SHOP_DATABASE
    conn_type = "shelfcast_debezium"
    hook_name = "Shelfcast change log"

    def __init__(self, connection_id: str = SHOP_DATABASE) -> None:
        super().__init__()
        self.connection = self.get_connection(connection_id)
        extras = self.connection.extra_dejson
        check_extras(SHOP_DATABASE, extras)
        self.slot = extras.get("slot_name", "shelfcast")
        self.publication = extras.get("publication_name", "shelfcast")

    def get_conn(self) -> "psycopg.Connection[Any]":
        """A connection to the shop with autocommit; raises `SourceUnavailable` when it does not answer."""
        import psycopg

        try:
            return psycopg.connect(
                host=self.connection.host,
                port=self.connection.port or 5432,
                user=self.connection.login,
                password=self.connection.password,
                dbname=self.connection.schema,
                autocommit=True,
                connect_timeout=10,
            )
        except psycopg.OperationalError as error:
            where = f"{self.connection.host}:{self.connection.port}/{self.connection.schema}"
            raise SourceUnavailable(
                f"The shop's database {where} cannot be reached: {str(error).strip()}. Nothing was read. See that it "
                f"runs and that connection {SHOP_DATABASE} is right; the task is tried again."
            ) from error

    def drain(self, folder: ChangeFolder, *, take_snapshot: bool = False, limit_seconds: float = 3600) -> "Drained":
        """Reads all changes committed before this call into change files.

        Args:
            folder: Where the files go.
            take_snapshot: Begin a new generation even though the change log is whole.
            limit_seconds: When to give up, above 0.

        Raises:
            SourceUnavailable: The database does not answer.
            ChangeLogLost: A complete generation exists and its replication slot does not.
            SourceError: The engine stopped, or did not reach the bound in time.
        """
        with self.get_conn() as source:
            self._ensure_publication(source)
            generation, is_snapshot = self._generation(source, folder, take_snapshot)
            folder.discard_unfinished(generation)
            writer = ChangeFileWriter(folder, generation, from_position=self._confirmed(source))
            self._run(source, writer, is_snapshot=is_snapshot, limit_seconds=limit_seconds)
        if is_snapshot:
            folder.mark_complete(generation)
        return Drained(generation=generation, drain=writer.drain, changes=writer.changes, files=writer.part)

    def _ensure_publication(self, source: "psycopg.Connection[Any]") -> None:
        from psycopg import sql

        found = source.execute(statement("sources/publication_exists").encode(), [self.publication]).fetchone()
        if found is None:
            tables = sql.SQL(", ").join(sql.Identifier(SOURCE_SCHEMA, name) for name in TABLES)
            name = sql.Identifier(self.publication)
            source.execute(sql.SQL("CREATE PUBLICATION {} FOR TABLE {}").format(name, tables))

    def _generation(self, source: Any, folder: ChangeFolder, take_snapshot: bool) -> tuple[int, bool]:
        """The generation to read into, and whether it begins with this drain."""
        has_slot = source.execute(statement("sources/slot_exists").encode(), [self.slot]).fetchone() is not None
        newest = max(folder.generations(), default=0)
        if newest and folder.is_complete(newest) and not take_snapshot:
            if not has_slot:
                raise ChangeLogLost(
                    f"The replication slot {self.slot} is gone, so changes since the last run may be missing. Trigger "
                    "cdc_ingestion with take_snapshot to read the shop's tables anew; nothing already loaded is lost."
                )
            return newest, False
        if has_slot:  # of a snapshot that was cut off: its slot stands where that snapshot began
            self._drop_slot(source)
        return folder.begin_generation(), True

    def _drop_slot(self, source: Any, limit_seconds: float = 60) -> None:
        """Drops the slot; a killed reader's connection may hold it for a moment longer."""
        import psycopg

        deadline = time.monotonic() + limit_seconds
        while True:
            try:
                source.execute(statement("sources/drop_slot").encode(), [self.slot])
                return
            except psycopg.errors.ObjectInUse:
                if time.monotonic() > deadline:
                    raise SourceError(
                        f"The replication slot {self.slot} is read by another process; only one may. End the other one."
                    ) from None
                time.sleep(0.5)

    def _confirmed(self, source: Any) -> int:
        row = source.execute(statement("sources/confirmed_position").encode(), [self.slot]).fetchone()
        return int(row[0]) if row and row[0] is not None else 0

    def _run(self, source: Any, writer: ChangeFileWriter, *, is_snapshot: bool, limit_seconds: float) -> None:
        """Runs the engine until the mark that is written into the log at the start comes out of it."""
        from shelfcast_provider.ingestion.debezium_engine import make_engine, start_jvm

        start_jvm()
        mark = uuid.uuid4().hex
        writer.expect(mark)
        engine, ended = make_engine(self._properties(is_snapshot), writer)
        if not is_snapshot:
            self._write_mark(source, mark)
        thread = threading.Thread(target=engine.run, name="debezium", daemon=True)
        thread.start()
        deadline = time.monotonic() + limit_seconds
        is_marked = not is_snapshot
        while not writer.is_done.wait(0.1):
            if not is_marked and self._is_streaming(source):  # the snapshot is over: all that counts is before now
                self._write_mark(source, mark)
                is_marked = True
            if ended.is_set() or time.monotonic() > deadline:
                break
        engine.close()
        thread.join(60)
        writer.abandon()
        if not writer.is_done.is_set():
            reason = writer.failure or ended.reason or f"the bound was not reached in {limit_seconds:.0f} s"
            raise SourceError(f"Change capture stopped: {reason}. What was read is kept; the task goes on from there.")

    def _is_streaming(self, source: Any) -> bool:
        row = source.execute(statement("sources/slot_exists").encode(), [self.slot]).fetchone()
        return bool(row and row[0])

    def _write_mark(self, source: Any, mark: str) -> None:
        source.execute(statement("sources/write_mark").encode(), [mark])

    def _properties(self, is_snapshot: bool) -> dict[str, str]:
        return {
            "name": "shelfcast",
            "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
            "plugin.name": "pgoutput",
            "database.hostname": str(self.connection.host),
            "database.port": str(self.connection.port or 5432),
            "database.user": str(self.connection.login),
            "database.password": str(self.connection.password),
            "database.dbname": str(self.connection.schema),
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
            "poll.interval.ms": "20",
            "max.batch.size": "4096",
            "max.queue.size": "16384",
            "errors.max.retries": "0",
            "key.converter.schemas.enable": "false",
            "value.converter.schemas.enable": "false",
        }


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
