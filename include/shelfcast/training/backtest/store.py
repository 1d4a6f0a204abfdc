"""A shop's past in a DuckDB of its own: loaded, and turned into features, by the statements of the cold store."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path

import pandas as pd

from shelfcast.cold_store import feature_views, load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.sources.canonical_checks import RowCheck
from shelfcast.sources.dataset_values import text_literal
from shelfcast.sources.outliers import IS_OUTLIER, judged
from shelfcast.sources.shop_schema import TABLES, Table

DAILY_SALES = "FEATURES.DAILY_SALES"
LARGE = {
    DAILY_SALES: "series_id",
    "RAW.PRICES_CHANGES": "item_id || '@' || store_id",
    "RAW.PROMOTIONS_CHANGES": "item_id || '@' || store_id",
}
"""Tables that grow with series and days, and what tells the series of a row."""

WHOLE = "_WHOLE"
"""Ending of a large table's name; under the name itself the statements find a view of it."""

OUTLIERS = "FEATURES.OUTLIERS"
"""Daily sales as they were told, of the days that are ignored."""

FIRST_GENERATION = 1
ANNOUNCED = "announced_at"
END_OF_TIME = datetime(9999, 1, 1)
_VERSION = "'r' AS op, 0 AS position, 1 AS generation, NULL AS committed_at, 'backtest' AS batch_id"


class BacktestStore(DuckDBStore):
    """A `ColdStore` that spills to disk beside its file.

    Args:
        path: Database file, to be made.
        num_threads: Threads that a query may use, 1 or more.
        memory_gib: GiB that it may hold before it spills; DuckDB's own choice if `None`.
    """

    def __init__(self, path: Path, *, num_threads: int, memory_gib: float | None = None) -> None:
        super().__init__(str(path), num_threads=num_threads, memory_gib=memory_gib)
        self.connection.execute("SET preserve_insertion_order = false")
        load_batch.prepare(self)
        feature_views.prepare(self)

    def load_history(self, folder: Path) -> None:
        """Loads the shop's tables in `folder`, one sub-folder of Parquet files each, as a first snapshot.

        A row is known from the moment that its table's `known_column` names, or that the files announce it at. Rows of one
        key are its versions, in the order in which they were announced. Daily sales come from the orders, or ready from
        the sub-folder `daily_sales`.
        """
        for table in TABLES.values():
            if (folder / table.name).is_dir():
                self._load_table(table, folder / table.name)
        self.run("cold_store/merge_business_dates")
        if (folder / "daily_sales").is_dir():
            self.load_parquet(folder / "daily_sales", table=DAILY_SALES, batch_id="backtest")
        else:
            span = {"known_after": feature_views.BEFORE_ALL, "known_until": END_OF_TIME}
            self.run("cold_store/insert_daily_sales", span, is_history="TRUE")
        for name in LARGE:
            self.connection.execute(f"ALTER TABLE {name} RENAME TO {name.partition('.')[2]}{WHOLE}")
        self.see_all()

    def ignore_outliers(self, cutoff: date, until: date) -> tuple[int, str]:
        """Takes each day up to `until` that is beyond belief for one of an empty shelf and no sale.

        Such a day tells as little about demand. What is usual is told by the days up to `cutoff` alone, and the days that
        were ignored at another cutoff are judged anew. Answers how many days there are, and the first of them.
        """
        daily, columns = f"{DAILY_SALES}{WHOLE}", "series_id, sales_date, units_sold, is_stocked_out"
        same = f"FROM {OUTLIERS} AS o WHERE (d.series_id, d.sales_date) = (o.series_id, o.sales_date)"
        judging = judged(daily, ["series_id"], known=f"sales_date <= DATE '{cutoff}'")
        found = f"{judging} WHERE {IS_OUTLIER} AND sales_date <= DATE '{until}'"
        for text in (
            f"CREATE TABLE IF NOT EXISTS {OUTLIERS} AS SELECT {columns} FROM {daily} LIMIT 0",  # noqa: S608
            f"UPDATE {daily} AS d SET units_sold = o.units_sold, is_stocked_out = o.is_stocked_out {same}",  # noqa: S608
            f"CREATE OR REPLACE TABLE {OUTLIERS} AS SELECT {columns}, store_id, item_id FROM {found}",  # noqa: S608
            f"UPDATE {daily} AS d SET units_sold = 0, is_stocked_out = TRUE {same}",  # noqa: S608
        ):
            self.connection.execute(text)
        check = RowCheck(connection=self.connection, table=OUTLIERS, file=DAILY_SALES)
        return check.count("TRUE")

    def see(self, table: str, rows: str = "") -> None:
        """Lets the statements see part of a table of `LARGE` only.

        Args:
            table: Its name.
            rows: What follows `FROM <table>`; everything if empty.
        """
        self.connection.execute(f"CREATE OR REPLACE VIEW {table} AS SELECT * FROM {table}{WHOLE} {rows}")  # noqa: S608

    def see_series(self, first: str, last: str) -> None:
        """Lets the statements see the series from `first` to `last` only, in the order of their ids."""
        for table, series in LARGE.items():
            self.see(table, f"WHERE {series} BETWEEN {text_literal(first)} AND {text_literal(last)}")

    def see_all(self) -> None:
        """Lets the statements see everything again."""
        for table in LARGE:
            self.see(table)

    def chunks(self, *, most_series: int) -> list[tuple[str, str]]:
        """First and last id of each run of at most `most_series` series, in order."""
        rows = self.connection.execute(
            "SELECT DISTINCT series_id FROM FEATURES.DAILY_SALES ORDER BY series_id"
        ).fetchall()
        starts = range(0, len(rows), most_series)
        return [(rows[start][0], rows[min(start + most_series, len(rows)) - 1][0]) for start in starts]

    def in_chunks(self, *, most_series: int) -> Iterator[tuple[int, int]]:
        """Lets the statements see at most `most_series` series at a time, and everything in the end.

        Yields the number of the chunk that they see, from 1, and how many there are.
        """
        chunks = self.chunks(most_series=most_series)
        for number, (first, last) in enumerate(chunks, start=1):
            self.see_series(first, last)
            yield number, len(chunks)
        self.see_all()

    def __enter__(self) -> "BacktestStore":
        """The store itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the database."""
        self.connection.close()

    def series(self) -> pd.DataFrame:
        """`store_id`, `item_id` and `first_on` (of the first sale) of every series of the history."""
        return self.connection.execute(
            "SELECT store_id, item_id, min(sales_date) AS first_on FROM FEATURES.DAILY_SALES GROUP BY ALL"
        ).df()

    def span(self) -> tuple[date, date]:
        """The first and the last business date."""
        row = self.connection.execute(
            "SELECT min(business_date), max(business_date) FROM OPERATIONS.BUSINESS_DATES"
        ).fetchone()
        assert row is not None  # noqa: S101 - an aggregate answers one row
        return row[0], row[1]

    def _load_table(self, table: Table, folder: Path) -> None:
        landed, changes = f"RAW.{table.name.upper()}_LANDED", f"RAW.{table.name.upper()}_CHANGES"
        columns, keys = (", ".join(f'"{name}"' for name in names) for names in (table.column_names, table.key))
        files = str(folder / "*.parquet")
        given = self.connection.read_parquet(files).columns
        told = table.known_column or (ANNOUNCED if ANNOUNCED in given else "TIMESTAMP '1970-01-01'")
        number = f"row_number() OVER (PARTITION BY {keys} ORDER BY {told}) - 1" if told == ANNOUNCED else "0"
        version = f"{_VERSION}, {number} AS position_ordinal, {told} AS told_at"
        shape = f"SELECT * EXCLUDE (known_at), NULL::TIMESTAMP AS told_at FROM {changes} LIMIT 0"  # noqa: S608
        self.connection.execute(f"CREATE OR REPLACE TABLE {landed} AS {shape}")
        rows = f"INSERT INTO {landed} BY NAME SELECT {columns}, {version} FROM read_parquet(?)"  # noqa: S608
        self.connection.execute(rows, [files])
        self.run(
            "cold_store/merge_changes",
            {"first_generation": FIRST_GENERATION},
            landed=landed,
            changes=changes,
            keys=table.key,
            columns=table.column_names,
            known_column="told_at",
        )
        self.connection.execute(f"DROP TABLE {landed}")
