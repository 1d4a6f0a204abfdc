"""A DuckDB that keeps to its share of the machine: beyond it, a query spills to disk beside the database's file."""

from pathlib import Path

import duckdb


def open_database(path: Path | str, *, num_threads: int, memory_gib: float | None = None) -> duckdb.DuckDBPyConnection:
    """Opens or makes a database.

    Args:
        path: Its file, or `:memory:`, which has no place of its own to spill to.
        num_threads: Threads that a query may use, 1 or more.
        memory_gib: GiB that it may hold, above 0; four fifths of the machine, which is DuckDB's own choice, if `None`.
    """
    settings: dict[str, str | bool | int | float | list[str]] = {"threads": num_threads}
    if memory_gib is not None:
        settings["memory_limit"] = f"{memory_gib}GiB"
    if str(path) != ":memory:":
        settings["temp_directory"] = f"{path}.spill"
    connection = duckdb.connect(str(path), config=settings)
    connection.execute("SET enable_progress_bar = false")
    return connection
