"""A shop's past in a DuckDB of its own: loaded, and turned into features, by the statements of the cold store."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import sqlglot

from shelfcast.cold_store import feature_views, load_batch
from shelfcast.cold_store.cold_store import Parameters
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.cold_store.statements import BOUND_VALUE, statement
from shelfcast.sources.shop_schema import TABLES, Table
from shelfcast.training.declaration import ModelDeclaration

DAILY_SALES = "FEATURES.DAILY_SALES"
BATCH_ROWS = 100_000
FIRST_GENERATION = 1
END_OF_TIME = datetime(9999, 1, 1)
_VERSION = (
    "'r' AS op, 0 AS position, 0 AS position_ordinal, 1 AS generation, NULL AS committed_at, 'backtest' AS batch_id"
)


class BacktestStore(DuckDBStore):
    """A `ColdStore` that also reads a statement's rows part by part; spills to disk beside its file.

    Args:
        path: Database file, to be made.
        num_threads: Threads that a query may use, 1 or more.
    """

    def __init__(self, path: Path, *, num_threads: int) -> None:
        super().__init__(str(path), num_threads=num_threads)
        self.connection.execute("SET preserve_insertion_order = false")
        self.connection.execute("SET enable_progress_bar = false")
        load_batch.prepare(self)
        feature_views.prepare(self)

    def batches(self, name: str, parameters: Parameters) -> Iterator[pd.DataFrame]:
        """Runs `sql/<name>.sql`; answers its rows in order, at most `BATCH_ROWS` at a time."""
        reader: pa.RecordBatchReader = self._relation(name, parameters).to_arrow_reader(BATCH_ROWS)
        for batch in reader:
            yield batch.to_pandas(date_as_object=False).rename(columns=str.lower)

    def load_history(self, folder: Path) -> None:
        """Loads the shop's tables in `folder`, one sub-folder of Parquet files each, as a first snapshot.

        A row is known from the moment that its table's `known_column` names. Daily sales come from the orders, or
        ready from the sub-folder `daily_sales`.
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

    def build_features(self, cutoff: date, declaration: ModelDeclaration, *, most_rows: int) -> list[date]:
        """Builds the features of the cutoff and its training origins as known at the cutoff, and no others.

        Args:
            cutoff: A business date of the history.
            declaration: A forecast, with the horizon that is wanted.
            most_rows: Roughly the most rows that the training frame may have: of more, each origin keeps a random
                part of its series. The cutoff keeps all.

        Returns:
            The training origins, oldest first; the cutoff is the last.
        """
        until = feature_views.closed_at(self, cutoff)
        step = declaration.origin_step_days
        first_business_date = self.span()[0]
        origins = [cutoff - timedelta(days=step * number) for number in reversed(range(declaration.origins))]
        origins = [origin for origin in origins if origin >= first_business_date]
        for table in (feature_views.DEMAND, feature_views.DEMAND_AHEAD):
            self.connection.execute(f"DROP TABLE {table}")
        feature_views.prepare(self)
        parameters = {
            "oldest_date": origins[0] - timedelta(days=feature_views.MEMORY_DAYS),
            "known_until": until,
            "from_date": origins[0],
            "until_date": cutoff,
        }
        self.run("cold_store/insert_demand", parameters)
        self._keep_origins(origins, declaration, most_rows=most_rows)
        feature_views.ensure_ahead(self, origins, horizon_days=declaration.horizon)
        return origins

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

    def _relation(self, name: str, parameters: Parameters) -> duckdb.DuckDBPyRelation:
        text = statement(name)
        used = set(BOUND_VALUE.findall(text))
        return self.connection.sql(_translated(text), params={key: parameters[key] for key in used})

    def _load_table(self, table: Table, folder: Path) -> None:
        landed, changes = f"RAW.{table.name.upper()}_LANDED", f"RAW.{table.name.upper()}_CHANGES"
        columns = ", ".join(f'"{name}"' for name in table.column_names)
        shape = f"CREATE OR REPLACE TABLE {landed} AS SELECT * EXCLUDE (known_at) FROM {changes} LIMIT 0"  # noqa: S608
        rows = f"INSERT INTO {landed} BY NAME SELECT {columns}, {_VERSION} FROM read_parquet(?)"  # noqa: S608
        self.connection.execute(shape)
        self.connection.execute(rows, [str(folder / "*.parquet")])
        known = {"known_column": table.known_column} if table.known_column else {}
        self.run(
            "cold_store/merge_changes",
            {"first_generation": FIRST_GENERATION},
            landed=landed,
            changes=changes,
            keys=table.key,
            columns=table.column_names,
            **known,
        )
        self.connection.execute(f"DROP TABLE {landed}")

    def _keep_origins(self, origins: list[date], declaration: ModelDeclaration, *, most_rows: int) -> None:
        """Drops the partitions between the origins, and what the training frame can do without."""
        demand = feature_views.DEMAND
        others = f"DELETE FROM {demand} WHERE business_date NOT IN (SELECT unnest(?::DATE[]))"  # noqa: S608
        self.connection.execute(others, [origins])
        row = self.connection.execute(f"SELECT count(*) FROM {demand} WHERE is_active").fetchone()  # noqa: S608
        rows = (int(row[0]) if row else 0) * declaration.horizon
        if rows > most_rows:
            self.connection.execute(
                f"DELETE FROM {demand} WHERE business_date <> ? AND hash(series_id, business_date) % 1000 >= ?",  # noqa: S608
                [origins[-1], max(1, 1000 * most_rows // rows)],
            )


@cache
def _translated(text: str) -> str:
    (translated,) = sqlglot.transpile(text, read="snowflake", write="duckdb")
    return translated
