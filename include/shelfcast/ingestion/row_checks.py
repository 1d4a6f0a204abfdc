"""When a row of the shop is bad, and what its columns become: Spark's SQL expressions, made of the declared schema.

`in_duckdb` gives the twin of each, which takes rows out of quarantine and is tested without a cluster.
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
PLACEHOLDER = "__debezium_unavailable_value"
"""What the change capture writes for a value that the log does not hold; the drain refuses it before."""
INFINITY = ("+292278994-08-16Z", "-5877611-06-21Z")
"""What the change capture makes of a date `infinity`, in a snapshot and in the log: days that PostgreSQL does not have."""
OPEN_END = "9999-12-31"
"""The end of what has none, where NULL is refused."""
FOUR_DIGIT_YEAR = "'____-%'"


def cast(column: Column) -> str:
    """The expression that turns the column's text into its type, NULL where it cannot.

    Dates and timestamps come with a trailing `Z`: the change capture writes all of them in UTC.
    """
    given = _given(column)
    source = f"rtrim('Z', {given})" if column.type in (DATE, TIMESTAMP) else given
    return source if column.type == TEXT else f"try_cast({source} AS {SPARK_TYPES[column.type]})"


def reason(table: Table) -> str:
    """The expression of the first reason why a row is bad, NULL for a good one.

    Args:
        table: Whose columns are in scope as text; `op` too. A deleted row needs its key only.
    """
    cases = [
        f"WHEN {condition} THEN '{column.name}: {text}'"
        for column in table.columns
        for condition, text in _faults(table, column)
    ]
    return f"CASE {' '.join(cases)} END"


def in_duckdb(expression: str) -> str:
    """The same expression in DuckDB's words."""
    import sqlglot

    (translated,) = sqlglot.transpile(expression, read="spark", write="duckdb")
    return translated


def _given(column: Column) -> str:
    """The column's text; of an open end, what stands for one."""
    if not column.is_end:
        return column.name
    listed, end = ", ".join(f"'{text}'" for text in INFINITY), f"'{OPEN_END}'" if column.required else "NULL"
    return f"CASE WHEN {column.name} IN ({listed}) THEN {end} ELSE {column.name} END"


def _faults(table: Table, column: Column) -> list[tuple[str, str]]:
    value = cast(column)
    kept = "" if column.name in table.key else "op <> 'd' AND "
    faults = []
    if column.required:
        faults.append((f"{kept}{column.name} IS NULL", "is missing"))
    if column.type == TEXT:
        faults.append((f"{kept}{column.name} = '{PLACEHOLDER}'", "is not in the change log"))
    else:
        given = _given(column)
        is_other = f"{given} IS NOT NULL AND {value} IS NULL"
        if column.type in (DATE, TIMESTAMP):  # what PostgreSQL calls infinity is a far day to others
            is_other += f" OR {given} NOT LIKE {FOUR_DIGIT_YEAR}"
        faults.append((is_other, f"is no {column.type}"))
    if column.type == NUMBER:  # NaN is above any minimum
        faults.append((f"NOT abs({value}) < CAST('Infinity' AS DOUBLE)", "is not finite"))
    if column.type == MONEY:
        faults.append((f"{value} <> try_cast({column.name} AS DECIMAL(38,18))", "has more than 2 decimals"))
    if column.minimum is not None:
        faults.append((f"{value} < {column.minimum:g}", f"is below {column.minimum:g}"))
    if column.maximum is not None:
        faults.append((f"{value} > {column.maximum:.0f}", f"is above {column.maximum:.0f}"))
    if column.choices:
        listed = ", ".join(f"'{choice}'" for choice in column.choices)
        faults.append((f"{kept}{value} NOT IN ({listed})", f"is none of {', '.join(column.choices)}"))
    if column.without:
        faults.append((f"{kept}contains({value}, '{column.without}')", f"has {column.without} in it"))
    return faults
