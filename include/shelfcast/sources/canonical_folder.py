"""A folder of canonical Parquet files, opened and checked by a DuckDB of its own.

`sales.parquet` has a row a series and day; beside it there may be `future.parquet` (what is known of the days after
the last sale), `calendar.parquet`, `items.parquet`, `stores.parquet` and `weather_forecasts.parquet`. The statements here
read the user's files and are plumbing of that database, so they are not in `sql/`.
"""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb

from shelfcast.duckdb_file import open_database
from shelfcast.sources.canonical_checks import FORMS, RowCheck, beside_problems
from shelfcast.sources.canonical_columns import (
    CALENDAR_COLUMNS,
    DAY_COLUMNS,
    SALES_KEY,
    STATIC_COLUMNS,
    TARGET,
    WEATHER_COLUMNS,
    ColumnUse,
    Role,
    other_uses,
    read_folder_declaration,
    sales_uses,
)
from shelfcast.sources.canonical_notes import history_notes
from shelfcast.sources.canonical_units import JUDGED, mend
from shelfcast.sources.dataset_declaration import Problem, dataset_error, nearest
from shelfcast.sources.dataset_values import number, text_literal
from shelfcast.sources.outliers import IS_OUTLIER, WHAT
from shelfcast.sources.shop_schema import STORE_ID

SALES = "sales.parquet"
FUTURE = "future.parquet"
FLAGS = ("on_promotion", "is_open", "is_public_holiday", "is_school_holiday", "is_stocked_out")
DAY = (
    "CAST(store_id AS VARCHAR) AS store_id, CAST(item_id AS VARCHAR) AS item_id, "
    "TRY_CAST(sales_date AS DATE) AS sales_date"
)


class CanonicalFolder:
    """The files of a folder as typed tables `sales`, `future`, `calendar`, `items`, `stores`, `weather_forecasts`.

    Args:
        folder: Holds `sales.parquet`.
        database: File for DuckDB to keep the tables in; made.
        num_threads: Threads that a query may use, 1 or more.
        memory_gib: GiB that it may hold before it spills beside `database`; DuckDB's own choice if `None`.

    Raises:
        DatasetError: Up to ten problems at once: file, column, what was found, what to do.
    """

    def __init__(self, folder: Path, *, database: Path, num_threads: int = 2, memory_gib: float | None = None) -> None:
        self.folder = folder
        self.declaration = read_folder_declaration(folder / "dataset.yaml")
        self.connection = open_database(database, num_threads=num_threads, memory_gib=memory_gib)
        # order is kept in memory, and nothing here depends on it
        self.connection.execute("SET preserve_insertion_order = false")
        # statistics of Parquet leave NaN out, and DuckDB draws conclusions from them: a column of 0 and NaN is all 0 to it
        self.connection.execute("SET disabled_optimizers = 'statistics_propagation'")
        self.uses: list[ColumnUse] = []
        self.notes: list[str] = []
        self._refuse(self._open_problems())
        self._refuse(self._sales_problems())
        self._make_others()
        self.first_date, self.last_date = self._span()
        self.notes += history_notes(self.connection, used=self.used, has_future=self.has("future"))

    @property
    def id_types(self) -> dict[str, str]:
        """DuckDB types that the ids have in `sales.parquet`."""
        described = self.connection.execute("DESCRIBE given_sales").fetchall()
        return {str(row[0]): str(row[1]) for row in described if row[0] in ("store_id", "item_id")}

    def role(self, column: str) -> Role:
        """How a column of the days (`sales.parquet`, `future.parquet`) is taken; `not used` if there is none."""
        return next((use.role for use in self.uses if use.file == SALES and use.column == column), "not used")

    @property
    def used(self) -> list[str]:
        """Columns of the days that are used."""
        return [name for name in DAY_COLUMNS if self.role(name) != "not used"]

    def has(self, table: str) -> bool:
        """Whether the file of that name is there."""
        return (self.folder / f"{table}.parquet").is_file()

    def columns(self, table: str) -> list[str]:
        """Names of the columns of a file as it was given; empty if it is not there."""
        if not self.has(table):
            return []
        return [str(row[0]) for row in self.connection.execute(f"DESCRIBE given_{table}").fetchall()]

    def _refuse(self, problems: Iterator[Problem]) -> None:
        found = list(problems)
        if found:
            raise dataset_error(self.declaration.name, found)

    def _open_problems(self) -> Iterator[Problem]:
        for name in ("sales", "future", "calendar", "items", "stores", "weather_forecasts"):
            path = self.folder / f"{name}.parquet"
            if not path.is_file():
                continue
            try:
                source = f"read_parquet({text_literal(str(path))})"
                self.connection.execute(f"CREATE OR REPLACE VIEW given_{name} AS SELECT * FROM {source}")  # noqa: S608
            except duckdb.Error as error:
                found = str(error).strip().splitlines()[0]
                yield Problem(file=path.name, field="the file", found=found, write="a Parquet file")
                return
        if not self.has("sales"):
            there = ", ".join(sorted(path.name for path in self.folder.iterdir())[:10]) or "nothing"
            yield Problem(file=str(self.folder), field="the folder", found=there, write=f"a {SALES} into it")
            return
        for name in (*SALES_KEY, TARGET):
            if name not in self.columns("sales"):
                near = nearest(name, self.columns("sales"))
                advice = (
                    f"the column under this name (rename it; did you mean {near}?), or declare it in a dataset.yaml"
                )
                yield Problem(file=SALES, field=name, found="no such column", write=advice)
        needs = {"future": SALES_KEY, "calendar": SALES_KEY[2:], "weather_forecasts": WEATHER_COLUMNS}
        needs |= {"items": ("item_id",), "stores": ("store_id",)}
        for name, needed in needs.items():
            for column in needed:
                if self.has(name) and column not in self.columns(name):
                    yield Problem(file=f"{name}.parquet", field=column, found="no such column", write="it in every row")

    def _sales_problems(self) -> Iterator[Problem]:
        self.uses, problems = sales_uses(self.columns("sales"), self.columns("future"), self.declaration)
        yield from problems
        for table in ("sales", "future"):
            yield from self._type_problems(table)
        for table in FORMS:
            if self.has(table):
                yield from beside_problems(self.connection, table, self.columns(table))
        if problems:
            return
        self._make_sales()
        self.notes += mend(self.connection, self.declaration)
        self._make_future()
        yield from self._value_problems()

    def _type_problems(self, table: str) -> Iterator[Problem]:
        if not self.has(table):
            return
        numbers = [name for name in self.used if name in self.columns(table)]
        types = {"sales_date": "DATE", **dict.fromkeys(numbers, "DOUBLE")}
        if table == "sales":
            types[TARGET] = "DOUBLE"
        check = self._check(f"given_{table}", table)
        yield from check.typed(types, SALES_KEY)
        yield from check.without("store_id", STORE_ID.without)

    def _make_sales(self) -> None:
        chosen = ", ".join(
            f"{number(name)} AS {name}" if name in self.used else f"CAST(NULL AS DOUBLE) AS {name}"
            for name in DAY_COLUMNS
        )
        self.connection.execute(
            f"CREATE OR REPLACE TABLE sales AS SELECT {DAY}, TRY_CAST(units_sold AS DOUBLE) AS units_sold, {chosen} "  # noqa: S608
            "FROM given_sales"
        )

    def _make_future(self) -> None:
        """Makes `future` of its file and of the rows of the past file without units after the last sale."""
        last = "(SELECT max(sales_date) FROM sales WHERE units_sold IS NOT NULL AND NOT isnan(units_sold))"
        self.connection.execute(
            f"CREATE OR REPLACE TABLE future AS SELECT * EXCLUDE (units_sold) FROM sales "  # noqa: S608
            f"WHERE sales_date > {last} AND (units_sold IS NULL OR isnan(units_sold))"
        )
        self.connection.execute(f"DELETE FROM sales WHERE sales_date > {last}")  # noqa: S608
        if not self.has("future"):
            return
        known = [name for name in self.columns("future") if self.role(name) == "known-ahead"]
        listed = "".join(f", {number(name)} AS {name}" for name in known)
        self.connection.execute(
            f"INSERT INTO future BY NAME SELECT * FROM (SELECT {DAY}{listed} FROM given_future) WHERE sales_date > {last}"  # noqa: S608
        )

    def _value_problems(self) -> Iterator[Problem]:
        for table in ("sales", "future"):
            check = self._check(table, table)
            yield from check.unique(write="sum the rows, or write `duplicate_days: sum` into dataset.yaml")
            yield from check.finite(self.used)
            for name in self.used:
                floor = "0, 1 or true, false" if name in FLAGS else "0 or more"
                yield from check.problems(f"{name} < 0", field=name, what="below 0", write=floor)
        units = self._check("sales", "sales")
        missing = "a number in every row, or leave the row out: a day without a row is a day without sale"
        is_missing = "units_sold IS NULL OR isnan(units_sold)"
        yield from units.problems(is_missing, field=TARGET, what="NULL or NaN", write=missing)
        yield from units.problems("isinf(units_sold)", field=TARGET, what="infinite", write="a finite number")
        returns = "returns as rows of their own file, or `negative_sales: zero` into dataset.yaml"
        yield from units.problems("units_sold < 0", field=TARGET, what="below 0", write=returns)
        if self.declaration.outliers == "ignore":
            return
        advice = "what was sold, or `outliers: ignore` into dataset.yaml: it would bend every series' forecast"
        yield from self._check(JUDGED, "sales").problems(IS_OUTLIER, field=TARGET, what=WHAT, write=advice)

    def _check(self, table: str, file: str) -> RowCheck:
        return RowCheck(connection=self.connection, table=table, file=f"{file}.parquet")

    def _make_others(self) -> None:
        if self.has("future"):
            known: dict[str, Role] = dict.fromkeys(SALES_KEY, "key")
            known |= {name: "known-ahead" for name in DAY_COLUMNS if self.role(name) == "known-ahead"}
            self.uses += other_uses(FUTURE, self.columns("future"), known)
        calendar: dict[str, Role] = {"sales_date": "key", **dict.fromkeys(CALENDAR_COLUMNS, "known-ahead")}
        self.uses += other_uses("calendar.parquet", self.columns("calendar"), calendar)
        for file, names in STATIC_COLUMNS.items():
            static: dict[str, Role] = {names[0]: "key", **dict.fromkeys(names[1:], "static")}
            self.uses += other_uses(file, self.columns(file.removesuffix(".parquet")), static)
        weather: dict[str, Role] = {"store_id": "key", "region": "key", **dict.fromkeys(WEATHER_COLUMNS, "known-ahead")}
        self.uses += other_uses("weather_forecasts.parquet", self.columns("weather_forecasts"), weather)

    def _span(self) -> tuple[date, date]:
        row = self.connection.execute(
            "SELECT min(sales_date), max(sales_date) FROM sales WHERE units_sold > 0"
        ).fetchone()
        if row is None or row[0] is None:
            problem = Problem(file=SALES, field=TARGET, found="no day above 0", write="a file with sales")
            raise dataset_error(self.declaration.name, [problem])
        last = self.connection.execute("SELECT max(sales_date) FROM sales").fetchone()
        return row[0], last[0] if last else row[1]
