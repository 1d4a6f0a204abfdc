"""What is wrong with the rows of canonical files: values of another type, missing and doubled keys, endless numbers.

The statements read tables that the folder's own DuckDB made, so they are not in `sql/`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from shelfcast.sources.canonical_columns import SALES_KEY
from shelfcast.sources.dataset_declaration import Problem
from shelfcast.sources.dataset_values import column_name

FORMS: Mapping[str, Mapping[str, str]] = {
    "calendar": {
        "sales_date": "DATE",
        "is_public_holiday": "DOUBLE",
        "is_school_holiday": "DOUBLE",
        "is_open": "DOUBLE",
    },
    "items": {"item_id": "VARCHAR", "introduced_on": "DATE", "discontinued_on": "DATE"},
    "stores": {"store_id": "VARCHAR", "opened_on": "DATE", "closed_on": "DATE"},
    "weather_forecasts": {
        "issued_at": "TIMESTAMP",
        "target_date": "DATE",
        "temperature_celsius": "DOUBLE",
        "precipitation_mm": "DOUBLE",
    },
}
"""Types of the columns of the files beside the days, the key first."""

WEATHER_KEY = ("issued_at", "target_date")


@dataclass(frozen=True, kw_only=True)
class RowCheck:
    """Counts the rows of one table that a condition is true for.

    Attributes:
        connection: Holds the table.
        table: Its name, or a query in brackets.
        file: Name of the file that its rows come from.
        key: Columns that tell an example.
    """

    connection: duckdb.DuckDBPyConnection
    table: str
    file: str
    key: Sequence[str] = SALES_KEY

    def count(self, condition: str) -> tuple[int, str]:
        """How many rows, and the least key among them."""
        key = ", ".join(f"CAST({column_name(name)} AS VARCHAR)" for name in self.key)
        row = self.connection.execute(
            f"SELECT count(*), min(concat_ws(' ', {key})) FROM {self.table} WHERE {condition}"  # noqa: S608
        ).fetchone()
        return (int(row[0]), str(row[1])) if row else (0, "")

    def problems(self, condition: str, *, field: str, what: str, write: str) -> Iterator[Problem]:
        """One problem if there is any such row."""
        count, example = self.count(condition)
        if count:
            found = f"{count} rows {what}, such as {example}" if example else f"{count} rows {what}"
            yield Problem(file=self.file, field=field, found=found, write=write)

    def typed(self, types: Mapping[str, str], keys: Sequence[str]) -> Iterator[Problem]:
        """Values that cannot be read as the type of their column, and rows without a key."""
        for name, kind in types.items():
            quoted = column_name(name)
            condition = f"{quoted} IS NOT NULL AND TRY_CAST({quoted} AS {kind}) IS NULL"
            yield from self.problems(condition, field=name, what=f"no {kind}", write=f"a {kind}")
        for name in keys:
            write = "a value in every row"
            yield from self.problems(f"{column_name(name)} IS NULL", field=name, what="NULL", write=write)

    def finite(self, names: Sequence[str]) -> Iterator[Problem]:
        """Infinite numbers; a missing one is NULL or NaN."""
        for name in names:
            condition = f"isinf(TRY_CAST({column_name(name)} AS DOUBLE))"
            yield from self.problems(condition, field=name, what="infinite", write="a finite number or NULL")

    def without(self, name: str, character: str) -> Iterator[Problem]:
        """Texts that have a character in them."""
        condition = f"contains(CAST({column_name(name)} AS VARCHAR), '{character}')"
        what, write = f"with {character}", f"names without it: a series is called item{character}store"
        yield from self.problems(condition, field=name, what=what, write=write)

    def unique(self, *, write: str) -> Iterator[Problem]:
        """Keys that are there more than once."""
        key = ", ".join(map(column_name, self.key))
        twice = f"(SELECT {key} FROM {self.table} GROUP BY ALL HAVING count(*) > 1)"  # noqa: S608
        check = RowCheck(connection=self.connection, table=twice, file=self.file, key=self.key)
        known = " AND ".join(f"{column_name(name)} IS NOT NULL" for name in self.key)
        yield from check.problems(known, field=", ".join(self.key), what="keys in more than one row", write=write)


def beside_problems(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str]) -> Iterator[Problem]:
    """What is wrong with `given_<table>`, one of the files beside the days, that has these columns."""
    types = {name: kind for name, kind in FORMS[table].items() if name in columns}
    key = WEATHER_KEY if table == "weather_forecasts" else tuple(types)[:1]
    check = RowCheck(connection=connection, table=f"given_{table}", file=f"{table}.parquet", key=key)
    yield from check.typed(types, key)
    yield from check.finite([name for name, kind in types.items() if kind == "DOUBLE"])
    if table != "weather_forecasts":
        yield from check.unique(write="one row of each")
