"""What a dataset's values must be: the defaults of columns that are not given, and the checks of those that are."""

from collections.abc import Iterator, Mapping

import duckdb

from shelfcast.sources.dataset_declaration import Problem
from shelfcast.sources.outliers import IS_OUTLIER, WHAT, judged
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


UNITS = {"sales": ("units", ("store_id", "item_id")), "order_lines": ("quantity", ("item_id",))}
"""Units of a table, and the columns that tell the series that they belong to."""


def value_problems(connection: duckdb.DuckDBPyConnection, table: Table, *, field: str, file: str) -> list[Problem]:
    """What is wrong with the values of `shop.given_<table>`: types, gaps, bounds, outliers, choices, doubled keys."""
    problems: list[Problem] = []
    for column in table.columns:
        for source, condition, what in _conditions(table, column):
            count, example = _count(connection, source, column, condition)
            if count:
                shown = f"{count} {what}" + (f", such as {example!r}" if example is not None else "")
                advice = "an expression {sql: …} that mends them, or a `where:` that leaves these rows out"
                problems.append(Problem(file=file, field=f"{field}.columns.{column.name}", found=shown, write=advice))
    return problems + list(_double_keys(connection, table, field=field, file=file))


def column_name(name: str) -> str:
    """A name quoted for DuckDB."""
    return '"' + name.replace('"', '""') + '"'


def number(name: str) -> str:
    """A column as a number, NULL where it is none or NaN."""
    typed = f"TRY_CAST({column_name(name)} AS DOUBLE)"
    return f"if(isnan({typed}), NULL, {typed})"


def text_literal(value: str) -> str:
    """A text quoted for DuckDB."""
    return "'" + value.replace("'", "''") + "'"


def duckdb_type(column: Column) -> str:
    """The DuckDB type of a column of the shop."""
    return DUCKDB_TYPES.get(column.type, column.type)


def _conditions(table: Table, column: Column) -> Iterator[tuple[str, str, str]]:
    """Sources of rows and conditions that a bad value fulfils there, with words for them."""
    name, given = column_name(column.name), f"shop.given_{table.name}"
    typed = f"TRY_CAST({name} AS {duckdb_type(column)})"
    yield given, f"{name} IS NOT NULL AND {typed} IS NULL", f"values that are no {duckdb_type(column)}"
    if column.required and DEFAULTS.get((table.name, column.name)) != "NULL":
        yield given, f"{name} IS NULL", "rows without a value"
    if column.type == NUMBER:
        yield given, f"NOT isfinite({typed})", "values that are NaN or infinite"
    if column.minimum is not None:
        yield given, f"{typed} < {column.minimum}", f"values below {column.minimum}"
    if column.maximum is not None:
        yield given, f"{typed} > {column.maximum}", f"values above {column.maximum:.0f}"
    units, series = UNITS.get(table.name, ("", ()))
    if column.name == units:
        yield judged(given, series, units=units), IS_OUTLIER, f"values of {WHAT}"
    if column.choices:
        listed = ", ".join(map(text_literal, column.choices))
        yield given, f"CAST({name} AS VARCHAR) NOT IN ({listed})", f"values other than {listed}"
    if column.without:
        yield given, f"contains(CAST({name} AS VARCHAR), '{column.without}')", f"values with {column.without} in them"


def _count(
    connection: duckdb.DuckDBPyConnection, source: str, column: Column, condition: str
) -> tuple[int, str | None]:
    query = f"SELECT count(*), min(CAST({column_name(column.name)} AS VARCHAR)) FROM {source} WHERE {condition}"  # noqa: S608
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
