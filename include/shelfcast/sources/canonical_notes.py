"""What a reader of a canonical folder's figures should know: how much there is, and what was not taken as it stands."""

from collections.abc import Iterator

import duckdb

from shelfcast.sources.canonical_checks import RowCheck
from shelfcast.sources.canonical_units import IS_STOCKED_OUT, JUDGED
from shelfcast.sources.outliers import IS_OUTLIER

LARGE_FACTOR = 100
LONGEST_QUIET_DAYS = 7

# days without a sale of any series between two days with one, and after the last
QUIET = """
WITH sold AS (SELECT DISTINCT sales_date FROM sales WHERE units_sold > 0),
edges AS (SELECT sales_date FROM sold UNION SELECT max(sales_date) + 1 FROM sales),
quiet AS (
    SELECT lag(sales_date) OVER (ORDER BY sales_date) + 1 AS first_on, sales_date - 1 AS last_on FROM edges
)
SELECT first_on, last_on, last_on - first_on + 1 AS days FROM quiet WHERE days >= ? ORDER BY days DESC, first_on LIMIT 1"""


def history_notes(connection: duckdb.DuckDBPyConnection, *, used: list[str], has_future: bool) -> Iterator[str]:
    """Notes on the tables `sales` and `future`.

    Args:
        connection: Holds the checked tables.
        used: Columns of the days that are used.
        has_future: Whether there is a `future.parquet`.
    """
    series, rows, sold, days = connection.execute(
        "SELECT count(DISTINCT (store_id, item_id)), count(*), count(*) FILTER (units_sold > 0), "
        "count(DISTINCT sales_date) FROM sales"
    ).fetchone() or (0, 0, 0, 0)
    yield f"{series:,} series, {rows:,} rows, {sold / max(rows, 1):.0%} of them with a sale, {days:,} days."
    if rows < 0.95 * series * days:
        yield "A series' days without a row count as days without sale and without promotion."
    yield from _stocked_out(connection)
    yield from _missing(connection, used)
    yield from _quiet(connection)
    yield from _large(connection)
    if has_future:
        yield from _future(connection)


def _stocked_out(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    sales = RowCheck(connection=connection, table="sales", file="sales.parquet")
    count, _ = sales.count(IS_STOCKED_OUT)
    if count:
        share = count / sales.count("TRUE")[0]
        yield (
            f"sales.parquet: {count:,} days ({share:.1%}) ended with an empty shelf. More may have been wanted than was "
            "sold, so they are neither learned from nor scored, and their series count as usual on them. If your shelf "
            "count says nothing about that, declare its column as `not used`."
        )


def _missing(connection: duckdb.DuckDBPyConnection, used: list[str]) -> Iterator[str]:
    sales = RowCheck(connection=connection, table="sales", file="sales.parquet")
    counts = {name: sales.count(f"{name} IS NULL")[0] for name in used}
    listed = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    if listed:
        yield (
            f"Rows without a value (NULL or NaN): {listed}. They count as not known: no promotion, an open store, a "
            "stocked shelf, the price before."
        )


def _quiet(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    found = connection.execute(QUIET, [LONGEST_QUIET_DAYS]).fetchone()
    if found:
        first_on, last_on, days = found
        yield (
            f"No series sold anything from {first_on} to {last_on}: these {days:,} days count as days without sale, in "
            "the scores too. If they are still to come, or the days after them are a slip, leave them out of "
            "sales.parquet or their units_sold empty; if the stores were closed, write is_open."
        )


def _large(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    judged = RowCheck(connection=connection, table=JUDGED, file="sales.parquet")
    count, example = judged.count(f"units_sold > {LARGE_FACTOR} * greatest(usual, 1) AND NOT ({IS_OUTLIER})")
    if count:
        yield (
            f"sales.parquet, units_sold: {count:,} days of more than {LARGE_FACTOR} times the usual of their series, such "
            f"as {example}. They are learned from as they stand; a slip among them would bend every series' forecast."
        )


def _future(connection: duckdb.DuckDBPyConnection) -> Iterator[str]:
    given = "(SELECT CAST(store_id AS VARCHAR) AS store_id, CAST(item_id AS VARCHAR) AS item_id, sales_date FROM given_future)"
    check = RowCheck(connection=connection, table=given, file="future.parquet")
    count, example = check.count("CAST(sales_date AS DATE) <= (SELECT max(sales_date) FROM sales)")
    if count:
        yield (
            f"future.parquet: {count:,} rows are ignored, such as {example}: they do not lie after the last sale, so "
            "sales.parquet is what tells of them."
        )
    count, example = check.count("(store_id, item_id) NOT IN (SELECT (store_id, item_id) FROM sales)")
    if count:
        yield (
            f"future.parquet: {count:,} rows belong to series without any row in sales.parquet, such as {example}. "
            "Nothing is known of their demand, so they get no forecast."
        )
