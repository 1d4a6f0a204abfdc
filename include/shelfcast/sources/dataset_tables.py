"""A dataset's files as the shop's tables, made by a DuckDB that can read the data folder and do nothing else.

Statements are put together here, not in `sql/`: they consist of the user's own expressions and of the columns that the
shop's schema declares. Each is parsed first and must be a single SELECT.
"""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa

from shelfcast.sources.dataset_declaration import (
    SALES_REQUIRED,
    DatasetDeclaration,
    Expression,
    Problem,
    TableSource,
    nearest,
)
from shelfcast.sources.dataset_values import DEFAULTS, column_name, duckdb_type, text_literal, value_problems
from shelfcast.sources.shop_schema import (
    DATE,
    INTEGER,
    MONEY,
    MOST_UNITS,
    NUMBER,
    STORE_ID,
    TABLES,
    TEXT,
    Column,
    Table,
)

SALES = Table(
    name="sales",
    key=("store_id", "item_id", "sales_date"),
    columns=(
        STORE_ID,
        Column(name="item_id", type=TEXT),
        Column(name="sales_date", type=DATE),
        Column(name="units", type=NUMBER, minimum=0, maximum=MOST_UNITS),
        Column(name="unit_price", type=MONEY, minimum=0),
        Column(name="customer_id", type=INTEGER, required=False),
    ),
)


class DatasetTables:
    """The shop's tables, filled from a data folder; each table is made when it is first asked for.

    Args:
        declaration: A declaration whose form is checked.
        file: Name of the declaration, for messages.
        folder: The user's data folder.
        num_threads: Threads that a query may use, 1 or more.
    """

    def __init__(self, declaration: DatasetDeclaration, *, file: str, folder: Path, num_threads: int = 2) -> None:
        self.declaration = declaration
        self.file = file
        self.folder = folder.resolve()
        self.connection = duckdb.connect(":memory:", config={"threads": num_threads})
        self.connection.execute(f"SET allowed_directories = [{text_literal(str(self.folder) + '/')}]")
        self.connection.execute("SET enable_external_access = false")
        # statistics of Parquet leave NaN out, and DuckDB draws conclusions from them: a column of 5 and NaN is all 5 to it
        self.connection.execute("SET disabled_optimizers = 'statistics_propagation'")
        self.connection.execute("SET lock_configuration = true")
        self.connection.execute("CREATE SCHEMA shop")

    def declared(self) -> list[str]:
        """Names of the tables that have a source, `sales` among them."""
        return list(self._sources())

    def file_problems(self) -> list[Problem]:
        """Makes the declared files readable by name; returns those that are not there."""
        names = dict(self.declaration.files)
        for source in self._sources().values():
            if source.file is not None and source.file not in names:
                names[source.file] = source.file
        problems = []
        for name, path in names.items():
            field = f"files.{name}" if name in self.declaration.files else f"file {name}"
            problems += self._open_file(name, path, field)
        return problems

    def build(self, name: str) -> list[Problem]:
        """Makes the table `shop.<name>` (or `sales`) from its source; returns what is wrong with it."""
        source = self._sources()[name]
        table = SALES if name == "sales" else TABLES[name]
        field = "sales" if name == "sales" else f"tables.{name}"
        problems = list(self._build_given(table, source, field))
        problems = problems or value_problems(self.connection, table, field=field, file=self._file_of(source))
        if not problems:
            typed = ", ".join(
                f"CAST({column_name(c.name)} AS {duckdb_type(c)}) AS {column_name(c.name)}" for c in table.columns
            )
            self.connection.execute(f"CREATE OR REPLACE TABLE shop.{name} AS SELECT {typed} FROM shop.given_{name}")  # noqa: S608
        return problems

    def rows(self, query: str) -> pa.Table:
        """The rows of a query over the tables that are built."""
        # a cursor of its own: the connection may still hold an unread result
        return self.connection.cursor().sql(query).to_arrow_table()

    def _file_of(self, source: TableSource) -> str:
        return self.file if source.file is None else self.declaration.files.get(source.file, source.file)

    def _sources(self) -> dict[str, TableSource]:
        sales = {} if self.declaration.sales is None else {"sales": self.declaration.sales}
        return {**sales, **self.declaration.tables}

    def _open_file(self, name: str, path: str, field: str) -> list[Problem]:
        found = (self.folder / path).resolve()
        if not found.is_relative_to(self.folder):
            advice = f"a path inside the data folder {self.folder}"
            return [Problem(file=self.file, field=field, found=f"{path!r}, which lies outside", write=advice)]
        if not found.is_file():
            there = [one.name for one in self.folder.iterdir() if one.is_file()] if self.folder.is_dir() else []
            missing = f"no file {path!r} in {self.folder}"
            return [Problem(file=self.file, field=field, found=missing, write=nearest(path, there))]
        try:
            source = text_literal(str(found))
            self.connection.execute(f"CREATE OR REPLACE VIEW {column_name(name)} AS SELECT * FROM {source}")  # noqa: S608
        except duckdb.Error as error:
            advice = "a CSV file with a header line, or a Parquet file"
            return [Problem(file=path, field="the file", found=_first_line(error), write=advice)]
        return []

    def _build_given(self, table: Table, source: TableSource, field: str) -> Iterator[Problem]:
        """Makes `given_<table>` with the shop's column names and whatever types the file has."""
        origin = f"({source.sql.strip().rstrip(';')})" if source.sql else column_name(source.file or "")
        wheres = f" WHERE {source.where}" if source.where else ""
        problem = self._not_a_select(f"SELECT * FROM {origin} AS source{wheres}", field)  # noqa: S608
        if problem:
            yield problem
            return
        described = self.connection.execute(f"DESCRIBE SELECT * FROM {origin} AS source").fetchall()  # noqa: S608
        present = [str(row[0]) for row in described]
        mapped, missing = {}, []
        for column in table.columns:
            given = source.columns.get(column.name, column.name if column.name in present else None)
            if given is None:
                missing.append(column)
                continue
            mapped[column.name] = _expression(given)
            yield from self._column_problems(given, present, origin, f"{field}.columns.{column.name}")
        yield from self._missing_problems(table, missing, present, field)
        select = ", ".join(f"{text} AS {column_name(name)}" for name, text in mapped.items())
        defaults = "".join(f", {DEFAULTS.get((table.name, c.name), 'NULL')} AS {column_name(c.name)}" for c in missing)
        query = f"SELECT *{defaults} FROM (SELECT {select} FROM {origin} AS source{wheres})"  # noqa: S608
        problem = None if not mapped else self._not_a_select(query, field)
        if problem is None and mapped:
            yield from self._run(f"CREATE OR REPLACE TABLE shop.given_{table.name} AS {query}", field)

    def _column_problems(
        self, given: str | Expression, present: list[str], origin: str, field: str
    ) -> Iterator[Problem]:
        if isinstance(given, str):
            if given not in present:
                found = f"{given!r}, which is no column of the source"
                yield Problem(file=self.file, field=field, found=found, write=nearest(given, present))
        elif given.sql is not None:
            problem = self._not_a_select(f"SELECT {given.sql} AS computed FROM {origin} AS source", field)  # noqa: S608
            if problem:
                yield problem

    def _missing_problems(
        self, table: Table, missing: list[Column], present: list[str], field: str
    ) -> Iterator[Problem]:
        for column in missing:
            needed = column.name in SALES_REQUIRED if table.name == "sales" else column.required
            if needed and (table.name, column.name) not in DEFAULTS:
                advice = f"`{column.name}:` and the name of one of the columns {', '.join(present[:20])}"
                yield Problem(file=self.file, field=f"{field}.columns", found=f"no {column.name}", write=advice)

    def _not_a_select(self, text: str, field: str) -> Problem | None:
        """Parses and binds a query without running it; returns what is wrong with it."""
        advice = "one read-only DuckDB expression or SELECT over the declared files"
        try:
            statements = self.connection.extract_statements(text)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                return Problem(file=self.file, field=field, found="more than one SELECT", write=advice)
            self.connection.execute(f"DESCRIBE {text}")
        except duckdb.Error as error:
            return Problem(file=self.file, field=field, found=_first_line(error), write=advice)
        return None

    def _run(self, text: str, field: str) -> Iterator[Problem]:
        try:
            self.connection.execute(text)
        except duckdb.Error as error:
            advice = "an expression that fits every row, such as TRY_CAST(… AS …)"
            yield Problem(file=self.file, field=field, found=_first_line(error), write=advice)


def _expression(given: str | Expression) -> str:
    if isinstance(given, str):
        return column_name(given)
    if given.sql is not None:
        return f"({given.sql})"
    return (
        text_literal(given.value)
        if isinstance(given.value, str)
        else str(given.value if given.value is not None else "NULL")
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
