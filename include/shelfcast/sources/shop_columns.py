"""Whether the shop's tables have the columns that its schema declares: one that is not there would be read as empty."""

from collections.abc import Collection, Iterator, Mapping

from shelfcast.errors import ConfigurationError, first_offenders
from shelfcast.sources.shop_schema import SOURCE_SCHEMA, TABLES


def missing_columns(there: Mapping[str, Collection[str]]) -> list[str]:
    """The declared columns that are not among those of a table, as `table.column`; tables not in `there` are left out."""
    return [f"{name}.{column}" for name in TABLES if name in there for column in _missing(name, there[name])]


def refuse_missing_columns(
    tables: Mapping[str, Collection[str]], publication: str, published: Mapping[str, Collection[str]]
) -> None:
    """Stops before anything is read when a column is not in its table, or not in the publication.

    Args:
        tables: The columns of each table that the shop has.
        publication: Name of the publication.
        published: The columns that it carries, of the tables that it carries in part.

    Raises:
        ConfigurationError: Names each column, and those that may have taken its place.
    """
    missing = missing_columns(tables)
    if missing:
        raise ConfigurationError(
            f"The shop's schema {SOURCE_SCHEMA} lacks {first_offenders(missing)}{_instead(tables)}. Each would be read as "
            "empty in every row, without a word; nothing was read. If a column was renamed or dropped, give it its name "
            "back, then clear the task. Rows that were changed meanwhile are refused when they are landed."
        )
    left_out = missing_columns(published)
    if left_out:
        raise ConfigurationError(
            f"Publication {publication} carries no changes of {first_offenders(left_out)}: each would be read as empty in "
            "every changed row; nothing was read. Publish the tables whole (ALTER PUBLICATION … SET TABLE), then clear the "
            "task. Rows that were changed meanwhile are refused when they are landed."
        )


def _missing(name: str, there: Collection[str]) -> Iterator[str]:
    return (column for column in TABLES[name].column_names if column not in there)


def _instead(tables: Mapping[str, Collection[str]]) -> str:
    """The columns nobody expects in the tables that lack one: a renamed one is among them."""
    unexpected = [
        f"{name}.{column}"
        for name, table in TABLES.items()
        if name in tables and any(_missing(name, tables[name]))
        for column in tables[name]
        if column not in table.column_names
    ]
    return f" (there and not expected: {first_offenders(unexpected)})" if unexpected else ""
