"""When a row of the shop is bad, and what its columns become: SQL expressions made of the declared schema.

The expressions hold for Spark and for DuckDB alike, so they can be tested without a cluster.
"""

from shelfcast.sources.shop_schema import DATE, INTEGER, MONEY, NUMBER, TEXT, TIMESTAMP, Column, Table

SPARK_TYPES = {
    TEXT: "STRING",
    INTEGER: "BIGINT",
    NUMBER: "DOUBLE",
    MONEY: "DECIMAL(14,2)",
    DATE: "DATE",
    TIMESTAMP: "TIMESTAMP_NTZ",
}
DUCKDB_TYPES = {**SPARK_TYPES, TEXT: "VARCHAR", TIMESTAMP: "TIMESTAMP"}


def cast(column: Column, types: dict[str, str]) -> str:
    """The expression that turns the column's text into its type, NULL where it cannot.

    Dates and timestamps come with a trailing `Z`: the change capture writes all of them in UTC.
    """
    text = f"rtrim('Z', {column.name})" if types is SPARK_TYPES else f"rtrim({column.name}, 'Z')"
    source = text if column.type in (DATE, TIMESTAMP) else column.name
    return source if column.type == TEXT else f"try_cast({source} AS {types[column.type]})"


def reason(table: Table, types: dict[str, str]) -> str:
    """The expression of the first reason why a row is bad, NULL for a good one.

    Args:
        table: Whose columns are in scope as text; `op` too. A deleted row needs its key only.
        types: `SPARK_TYPES` or `DUCKDB_TYPES`.
    """
    cases = [
        f"WHEN {condition} THEN '{column.name}: {text}'"
        for column in table.columns
        for condition, text in _faults(table, column, types)
    ]
    return f"CASE {' '.join(cases)} END"


def _faults(table: Table, column: Column, types: dict[str, str]) -> list[tuple[str, str]]:
    value = cast(column, types)
    kept = "" if column.name in table.key else "op <> 'd' AND "
    faults = []
    if column.required:
        faults.append((f"{kept}{column.name} IS NULL", "is missing"))
    if column.type != TEXT:
        faults.append((f"{column.name} IS NOT NULL AND {value} IS NULL", f"is no {column.type}"))
    if column.type == NUMBER:  # NaN is above any minimum
        faults.append((f"NOT abs({value}) < CAST('Infinity' AS DOUBLE)", "is not finite"))
    if column.type == MONEY:
        faults.append((f"{value} <> try_cast({column.name} AS DECIMAL(38,18))", "has more than 2 decimals"))
    if column.minimum is not None:
        faults.append((f"{value} < {column.minimum:g}", f"is below {column.minimum:g}"))
    if column.choices:
        listed = ", ".join(f"'{choice}'" for choice in column.choices)
        faults.append((f"{kept}{value} NOT IN ({listed})", f"is none of {', '.join(column.choices)}"))
    if column.without:
        faults.append((f"{kept}contains({value}, '{column.without}')", f"has {column.without} in it"))
    return faults
