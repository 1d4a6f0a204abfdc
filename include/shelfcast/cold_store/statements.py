"""The SQL files of `sql/`: Snowflake dialect, one statement a file, values bound as `:name`.

Identifiers that differ between uses of one statement (a table, its key columns) are Jinja variables; they come
from declarations in code, are checked here, and never from a user's input. Values are always bound.
"""

import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shelfcast.errors import ConfigurationError

SQL_FOLDER = Path(__file__).resolve().parents[3] / "sql"
BOUND_VALUE = re.compile(r"(?<![:\w]):([a-z_]\w*)")
"""A bound value in a statement; `::` is a cast."""

BATCH_ROWS = 100_000
"""Rows of a statement that are read at a time, unless its reader wants another number."""

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?( [A-Z][A-Z0-9 (),]*)?")

Names = str | Sequence[str]


def statement(name: str, **names: Names) -> str:
    """The SQL text of `sql/<name>.sql` with identifiers filled in.

    Args:
        name: Path below `sql/` without its ending, such as `cold_store/demand_features`.
        **names: Identifiers (optionally schema-qualified, optionally followed by a type) for the file's variables.

    Raises:
        ConfigurationError: A name is not an identifier, or the file does not exist.
    """
    for value in names.values():
        for identifier in [value] if isinstance(value, str) else value:
            if not _IDENTIFIER.fullmatch(identifier):
                raise ConfigurationError(f"{identifier!r} is not an SQL identifier; statement {name} was not run.")
    path = SQL_FOLDER / f"{name}.sql"
    if not path.is_file():
        raise ConfigurationError(f"There is no statement {name}: sql/{name}.sql does not exist.")
    return _templates().get_template(f"{name}.sql").render(**names)


def unloading(name: str, *, path: str, **names: Names) -> str:
    """The statement that writes the rows of `sql/<name>.sql` to a path on the stage; raises as `statement` does."""
    query = statement(name, **names)
    return _templates().get_template("cold_store/unload_files.sql").render(path=path, query=query)


@cache
def _templates() -> Environment:
    return Environment(loader=FileSystemLoader(SQL_FOLDER), undefined=StrictUndefined, autoescape=False)  # noqa: S701
