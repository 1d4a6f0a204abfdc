"""Completes a dataset's tables to a whole shop: orders from sales, stores and items that nobody listed, the calendar.

Runs on the DuckDB of `DatasetTables`, after the declared tables are built. Plumbing of that database, so not in `sql/`.
"""

from collections.abc import Iterator, Sequence

import duckdb

from shelfcast.sources.closing_times import after_midnight
from shelfcast.sources.dataset_declaration import Problem
from shelfcast.sources.dataset_values import column_name, duckdb_type
from shelfcast.sources.shop_schema import TABLES

ORDERS_FROM_SALES = (
    # the buyer is not known: the store stands for it
    """CREATE TABLE shop.numbered AS
    SELECT
        row_number() OVER (ORDER BY sales_date, store_id, item_id) AS order_id,
        dense_rank() OVER (ORDER BY store_id) AS store_number,
        *
    FROM shop.sales
    WHERE units > 0""",
    """CREATE TABLE shop.orders AS
    SELECT
        order_id,
        coalesce(customer_id, store_number) AS customer_id,
        store_id,
        sales_date + INTERVAL 12 HOUR AS ordered_at,
        'completed' AS status,
        CAST(units * unit_price AS DECIMAL(14, 2)) AS order_amount
    FROM shop.numbered""",
    """CREATE TABLE shop.order_lines AS
    SELECT order_id, CAST(1 AS BIGINT) AS line_number, item_id, units AS quantity, unit_price
    FROM shop.numbered""",
)
FIRST_SALES = """CREATE TABLE shop.first_sales AS
    SELECT store_id, item_id, CAST(min(ordered_at) AS DATE) AS first_on
    FROM shop.orders JOIN shop.order_lines USING (order_id) GROUP BY ALL"""
MASTER_DATA = {
    "stores": (
        """INSERT INTO shop.stores BY NAME
        SELECT DISTINCT store_id, 'all' AS region, 'all' AS store_group FROM shop.first_sales""",
        """UPDATE shop.stores AS s SET opened_on =
        (SELECT min(first_on) FROM shop.first_sales AS f WHERE f.store_id = s.store_id) WHERE opened_on IS NULL""",
    ),
    "items": (
        "INSERT INTO shop.items BY NAME SELECT DISTINCT item_id, 'all' AS category FROM shop.first_sales",
        """UPDATE shop.items AS i SET introduced_on =
        (SELECT min(first_on) FROM shop.first_sales AS f WHERE f.item_id = i.item_id) WHERE introduced_on IS NULL""",
    ),
}
NEVER_SOLD = {
    "stores": "DELETE FROM shop.stores WHERE opened_on IS NULL",
    "items": "DELETE FROM shop.items WHERE introduced_on IS NULL",
}
BUSINESS_DAYS = """INSERT INTO shop.business_days
    SELECT CAST(day AS DATE), day + to_seconds($seconds[1 + (isodow(day) - 1) % len($seconds)]) FROM generate_series(
        (SELECT CAST(min(ordered_at) AS DATE) FROM shop.orders)::TIMESTAMP,
        (SELECT CAST(max(ordered_at) AS DATE) FROM shop.orders)::TIMESTAMP, INTERVAL 1 DAY) AS days(day)"""


def complete_shop(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes every table of the shop present in `shop`; the business days are still to come.

    Args:
        connection: Holds the declared tables, `shop.sales` among them if there is one.
    """
    present = _tables(connection)
    if "sales" in present:
        for text in ORDERS_FROM_SALES:
            connection.execute(text)
    for name in TABLES.keys() - _tables(connection):
        columns = ", ".join(f"{column_name(c.name)} {duckdb_type(c)}" for c in TABLES[name].columns)
        connection.execute(f"CREATE TABLE shop.{name} ({columns})")
    connection.execute(FIRST_SALES)
    for name, (insert, update) in MASTER_DATA.items():
        if name not in present:
            connection.execute(insert)
        connection.execute(update)
        connection.execute(NEVER_SOLD[name])


def reference_problems(connection: duckdb.DuckDBPyConnection, *, file: str) -> Iterator[Problem]:
    """Stores and items that were sold in or sold, but that the declared master data does not list."""
    for table, key in (("stores", "store_id"), ("items", "item_id")):
        query = (
            f"SELECT count(DISTINCT {key}), min({key}) FROM shop.first_sales "  # noqa: S608
            f"WHERE {key} NOT IN (SELECT {key} FROM shop.{table})"
        )
        count, example = connection.execute(query).fetchone() or (0, None)
        if count:
            found = f"{count} {key} in the sales that it does not list, such as {example!r}"
            advice = f"a source that lists them too, or no tables.{table} at all (it is then derived from the sales)"
            yield Problem(file=file, field=f"tables.{table}", found=found, write=advice)


def add_business_days(connection: duckdb.DuckDBPyConnection, closes_at: Sequence[str]) -> None:
    """Closes every day from the first sale to the last, at its time."""
    seconds = [int(after_midnight(clock).total_seconds()) for clock in closes_at]
    connection.execute(BUSINESS_DAYS, {"seconds": seconds})


def keep_first_stores(connection: duckdb.DuckDBPyConnection, stores: int) -> None:
    """Leaves the first so many stores by `store_id`, and what belongs to them."""
    connection.execute("CREATE TABLE shop.kept AS SELECT * FROM shop.stores ORDER BY store_id LIMIT ?", [stores])
    for name, table in TABLES.items():
        if "store_id" in table.column_names:
            connection.execute(f"DELETE FROM shop.{name} WHERE store_id NOT IN (SELECT store_id FROM shop.kept)")  # noqa: S608
        elif "region" in table.column_names:
            connection.execute(f"DELETE FROM shop.{name} WHERE region NOT IN (SELECT region FROM shop.kept)")  # noqa: S608
    connection.execute("DELETE FROM shop.order_lines WHERE order_id NOT IN (SELECT order_id FROM shop.orders)")
    connection.execute("DELETE FROM shop.items WHERE item_id NOT IN (SELECT item_id FROM shop.order_lines)")


def _tables(connection: duckdb.DuckDBPyConnection) -> set[str]:
    rows = connection.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'shop'").fetchall()
    return {str(row[0]) for row in rows}
