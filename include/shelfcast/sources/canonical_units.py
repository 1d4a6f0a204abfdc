"""Units of a canonical folder that nobody can have sold: below zero, or twice.

They are refused unless the folder's declaration says what to do with them; what that changes is told. The statements
read the folder's own DuckDB, so they are not in `sql/`.
"""

from collections.abc import Iterator

import duckdb

from shelfcast.sources.canonical_checks import RowCheck
from shelfcast.sources.canonical_columns import DAY_COLUMNS, SALES_KEY, FolderDeclaration
from shelfcast.sources.outliers import judged

JUDGED = judged("sales", ("store_id", "item_id"))
IS_STOCKED_OUT = "(coalesce(is_stocked_out, 0) > 0 OR coalesce(units_on_hand, 1) <= 0)"
"""The shelf was empty in the evening, whatever was sold until then."""


def mend(connection: duckdb.DuckDBPyConnection, declaration: FolderDeclaration) -> Iterator[str]:
    """Does to the table `sales` what the declaration asks for; returns a note for each thing that it changed."""
    if declaration.duplicate_days == "sum":
        yield from _sum_days(connection)
    if declaration.negative_sales == "zero":
        count, example = _check(connection, "sales").count("units_sold < 0")
        connection.execute("UPDATE sales SET units_sold = 0 WHERE units_sold < 0")
        yield from _note(count, f"days with more returns than sales count as 0, such as {example}")


def _sum_days(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    key, rest = ", ".join(SALES_KEY), ", ".join(f"max({name}) AS {name}" for name in DAY_COLUMNS)
    given, _ = _check(connection, "sales").count("TRUE")
    connection.execute(
        f"CREATE OR REPLACE TABLE sales AS SELECT {key}, sum(units_sold) AS units_sold, {rest} FROM sales GROUP BY {key}"  # noqa: S608
    )
    kept, _ = _check(connection, "sales").count("TRUE")
    yield from _note(given - kept, "rows were added to another one of their series and day")


def _note(count: int, what: str) -> Iterator[str]:
    if count:
        yield f"sales.parquet, units_sold: {count:,} {what}."


def _check(connection: duckdb.DuckDBPyConnection, table: str) -> RowCheck:
    return RowCheck(connection=connection, table=table, file="sales.parquet")
