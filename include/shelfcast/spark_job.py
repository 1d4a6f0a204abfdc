"""What a Spark job is to whoever runs it: where its code lies, what it is told, what it reads and writes."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SparkJob:
    """An application of Spark; declared beside its code, without importing it.

    Attributes:
        entry_point: Path of its Python file below `include/shelfcast`.
        arguments: Its command line.
        inputs: URIs of what it reads.
        outputs: URIs of what it writes.
        written_last: URI of the file which says that what it writes is whole.
    """

    entry_point: str
    arguments: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    written_last: str
