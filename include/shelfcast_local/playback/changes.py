"""Rows on their way into the shop's database: Arrow tables shaped by the schema's declaration, written by COPY."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
from psycopg import sql

from shelfcast.sources import shop_schema
from shelfcast.sources.shop_schema import SOURCE_SCHEMA, TABLES, Table
from shelfcast_local.playback.ddl import Connection

ARROW_TYPES = {
    shop_schema.TEXT: pa.string(),
    shop_schema.INTEGER: pa.int64(),
    shop_schema.NUMBER: pa.float64(),
    shop_schema.MONEY: pa.float64(),
    shop_schema.DATE: pa.date32(),
    shop_schema.TIMESTAMP: pa.timestamp("us"),
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """Rows of one table that are inserted, updated or deleted together.

    Attributes:
        table: Name of a table of the shop.
        kind: What happens to the rows.
        rows: For an insert every column of the table; for an update the key and the columns that change; for a
            delete the key.
    """

    table: str
    kind: Literal["insert", "update", "delete"]
    rows: pa.Table


Transaction = Sequence[Change]


def arrow_rows(table: Table, frame: pd.DataFrame) -> pa.Table:
    """The columns of `frame` that `table` declares, as Arrow of the declared types; other columns are dropped."""
    fields = [pa.field(c.name, ARROW_TYPES[c.type]) for c in table.columns if c.name in frame.columns]
    if frame.empty:
        return pa.schema(fields).empty_table()
    return pa.Table.from_pandas(frame, schema=pa.schema(fields), preserve_index=False, safe=False)


def inserted(table: str, frame: pd.DataFrame) -> Change:
    """An insert of all rows of `frame`."""
    return Change(table=table, kind="insert", rows=arrow_rows(TABLES[table], frame))


def updated(table: str, frame: pd.DataFrame) -> Change:
    """An update of the rows named by the key columns of `frame` to its other columns."""
    return Change(table=table, kind="update", rows=arrow_rows(TABLES[table], frame))


def deleted(table: str, frame: pd.DataFrame) -> Change:
    """A delete of the rows named by the key columns of `frame`."""
    key = list(TABLES[table].key)
    return Change(table=table, kind="delete", rows=arrow_rows(TABLES[table], frame[key]))


def apply(connection: Connection, transaction: Transaction) -> int:
    """Writes the changes in their order, inside the caller's transaction; returns the number of rows."""
    for change in transaction:
        if change.kind == "insert":
            copy_in(connection, TABLES[change.table], change.rows)
        else:
            _run_for_each_row(connection, change)
    return sum(change.rows.num_rows for change in transaction)


def copy_in(connection: Connection, table: Table, rows: pa.Table) -> None:
    """Appends `rows` to the table of the shop by COPY."""
    if not rows.num_rows:
        return
    text = BytesIO()
    arrow_csv.write_csv(rows, text, arrow_csv.WriteOptions(include_header=False))
    command = sql.SQL("COPY {table} ({columns}) FROM STDIN (FORMAT csv)").format(
        table=sql.Identifier(SOURCE_SCHEMA, table.name),
        columns=sql.SQL(", ").join(map(sql.Identifier, rows.column_names)),
    )
    with connection.cursor() as cursor, cursor.copy(command) as copy:
        copy.write(text.getbuffer())


def _run_for_each_row(connection: Connection, change: Change) -> None:
    key = TABLES[change.table].key
    values = [name for name in change.rows.column_names if name not in key]
    table = sql.Identifier(SOURCE_SCHEMA, change.table)
    where = sql.SQL(" AND ").join(_bound(name) for name in key)
    if change.kind == "update":
        command = sql.SQL("UPDATE {} SET {} WHERE {}").format(table, sql.SQL(", ").join(map(_bound, values)), where)
    else:
        command = sql.SQL("DELETE FROM {} WHERE {}").format(table, where)
    with connection.cursor() as cursor:
        cursor.executemany(command, change.rows.to_pylist())


def _bound(name: str) -> sql.Composed:
    return sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))
