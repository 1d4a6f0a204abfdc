"""What a dataset's values must be: the defaults of columns that are not given, and the checks of those that are."""

from collections.abc import Iterator, Mapping

import duckdb

from shelfcast.sources.dataset_declaration import Problem
from shelfcast.sources.shop_schema import MONEY, NUMBER, Column, Table

DUCKDB_TYPES = {NUMBER: "DOUBLE", MONEY: "DECIMAL(14,2)"}
DEFAULTS: Mapping[tuple[str, str], str] = {
    ("sales", "item_id"): "'all'",
    ("sales", "unit_price"): "1",
    ("stores", "region"): "'all'",
    ("stores", "store_group"): "'all'",
    ("stores", "opened_on"): "NULL",
    ("items", "category"): "'all'",
    ("items", "introduced_on"): "NULL",
    ("orders", "status"): "'completed'",
    ("promotions", "promotion_id"): "row_number() OVER (ORDER BY store_id, item_id, starts_on)",
    ("promotions", "discount"): "0",
    ("promotions", "announced_at"): "CAST(starts_on AS DATE) - INTERVAL 14 DAY",
    ("prices", "announced_at"): "valid_from",
    ("store_closures", "reason"): "'closed'",
    ("store_closures", "announced_at"): "CAST(closed_on AS DATE) - INTERVAL 28 DAY",
    ("holidays", "name"): "kind",
}
"""What a column holds that neither the declaration nor the file names, as an expression over the other columns.

The day a store opened and an item was introduced is its first sale; `NULL` here until the sales are read.
"""


def value_problems(connection: duckdb.DuckDBPyConnection, table: Table, *, field: str, file: str) -> list[Problem]:
    """What is wrong with the values of `shop.given_<table>`: types, gaps, bounds, choices and doubled keys."""
    problems: list[Problem] = []
    for column in table.columns:
        for condition, what in _conditions(table, column):
            count, example = _count(connection, table, column, condition)
            if count:
                shown = f"{count} {what}" + (f", such as {example!r}" if example is not None else "")
                advice = "an expression {sql: …} that mends them, or a `where:` that leaves these rows out"
                problems.append(Problem(file=file, field=f"{field}.columns.{column.name}", found=shown, write=advice))
    return problems + list(_double_keys(connection, table, field=field, file=file))


def column_name(name: str) -> str:
    """A name quoted for DuckDB."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(value: str) -> str:
    """A text quoted for DuckDB."""
    return "'" + value.replace("'", "''") + "'"


def duckdb_type(column: Column) -> str:
    """The DuckDB type of a column of the shop."""
    return DUCKDB_TYPES.get(column.type, column.type)


def _conditions(table: Table, column: Column) -> Iterator[tuple[str, str]]:
    """Conditions that a bad value fulfils, with words for them."""
    name = column_name(column.name)
    typed = f"TRY_CAST({name} AS {duckdb_type(column)})"
    yield f"{name} IS NOT NULL AND {typed} IS NULL", f"values that are no {duckdb_type(column)}"
    if column.required and DEFAULTS.get((table.name, column.name)) != "NULL":
        yield f"{name} IS NULL", "rows without a value"
    if column.minimum is not None:
        yield f"{typed} < {column.minimum}", f"values below {column.minimum}"
    if column.choices:
        listed = ", ".join(map(text_literal, column.choices))
        yield f"CAST({name} AS VARCHAR) NOT IN ({listed})", f"values other than {listed}"


def _count(
    connection: duckdb.DuckDBPyConnection, table: Table, column: Column, condition: str
) -> tuple[int, str | None]:
    query = (
        f"SELECT count(*), min(CAST({column_name(column.name)} AS VARCHAR)) "  # noqa: S608
        f"FROM shop.given_{table.name} WHERE {condition}"
    )
    return connection.execute(query).fetchone() or (0, None)


def _double_keys(connection: duckdb.DuckDBPyConnection, table: Table, *, field: str, file: str) -> Iterator[Problem]:
    keys = ", ".join(map(column_name, table.key))
    query = (
        f"SELECT count(*), any_value(CAST(({keys}) AS VARCHAR)) FROM "  # noqa: S608
        f"(SELECT {keys} FROM shop.given_{table.name} GROUP BY ALL HAVING count(*) > 1)"
    )
    count, example = connection.execute(query).fetchone() or (0, None)
    if count:
        found = f"{count} keys ({', '.join(table.key)}) in more than one row, such as {example}"
        advice = "a `sql:` that adds such rows up, or a `where:` that keeps one of them"
        yield Problem(file=file, field=field, found=found, write=advice)
