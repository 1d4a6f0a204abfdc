"""A shop's history of any size, written into the database file of the laptop's cold store while nobody serves it.

Made to measure time and memory with. It is all there but for the newest business date, whose changes are loaded and whose
features are still to be built.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from shelfcast.cold_store.raw_tables import changes_of
from shelfcast.duckdb_file import open_database
from shelfcast.model import declaration as declarations
from shelfcast.sources.shop_schema import TABLES

ITEMS = 500
"""Of every store: the stores grow with the series."""
LINES_AN_ORDER = 10
PROMOTION_WEEKS = 8
"""An item of a store is promoted in one week of so many."""
SHARE_SOLD, SHARE_EMPTY = 0.8, 0.01
DAYS_AHEAD = 35
"""Days after the last one that plans are told of."""
_VERSION = "'r' AS op, 0 AS position, 0 AS position_ordinal, 1 AS generation, NULL AS committed_at, 'b' AS batch_id"


@dataclass(frozen=True, kw_only=True)
class History:
    """Size and time of a history.

    Attributes:
        series: How many, a multiple of `ITEMS`.
        days: Of each of them, up to and with `last`.
        last: The newest business date.
    """

    series: int
    days: int
    last: date

    @property
    def first(self) -> date:
        """The first business date."""
        return self.last - timedelta(days=self.days - 1)


def fill(database: Path, history: History, *, memory_gib: float, num_threads: int) -> None:
    """Writes a history into the prepared tables of a cold store's database file."""
    with open_database(database, num_threads=num_threads, memory_gib=memory_gib) as connection:
        connection.execute("SET preserve_insertion_order = false; SELECT setseed(0.7)")
        for statement in (*_worlds(history), *_raw(history), *_known(history), *_features(history)):
            connection.execute(statement)


def _worlds(history: History) -> Iterator[str]:
    """Series, dates, and what each sold on each date."""
    stores = history.series // ITEMS
    yield f"""
        CREATE TEMP TABLE pairs AS
        SELECT pair, pair % {stores} AS store, pair // {stores} AS item, 'S' || store AS store_id, 'I' || item AS item_id,
            item_id || '@' || store_id AS series_id, exp(hash(pair) % 1000 / 500) AS level
        FROM (SELECT unnest(range({history.series})) AS pair)"""
    yield f"""
        CREATE TEMP TABLE dates AS
        SELECT day, (DATE '{history.first}' + day)::DATE AS on_date, on_date + INTERVAL '23:59:59' AS closed_at
        FROM (SELECT unnest(range({history.days}))::INT AS day)"""
    yield f"""
        CREATE TEMP TABLE sales AS
        SELECT pair, (day * {history.series} + pair) // {LINES_AN_ORDER} AS order_id, series_id, store_id, item_id,
            on_date AS sales_date, closed_at, random() < {SHARE_EMPTY} AS is_stocked_out,
            IF(random() < {SHARE_SOLD}, ceil(2 * level * random()), 0)::DOUBLE AS units_sold
        FROM pairs, dates"""


def _raw(history: History) -> Iterator[str]:
    """Each table of the shop, every row known when it says."""
    first, span, always = f"DATE '{history.first}'", history.days + DAYS_AHEAD, "TIMESTAMP '1970-01-01' AS known_at"
    tables = {
        "stores": f"""DISTINCT store_id, 'north' AS region, 'group ' || (store % 3) AS store_group, {first} AS opened_on,
            NULL AS closed_on, {always} FROM pairs""",
        "items": f"""DISTINCT item_id, 'category ' || (item % 20) AS category, {first} AS introduced_on,
            NULL AS discontinued_on, {always} FROM pairs""",
        "prices": f"""store_id, item_id, ({first} + 180 * step)::DATE AS valid_from, 1 + hash(pair, step) % 1900 / 100 AS price,
            valid_from - INTERVAL 7 DAY AS announced_at, announced_at AS known_at
            FROM pairs, (SELECT unnest(range({span} // 180 + 1))::INT AS step)""",
        "promotions": f"""pair * 1000 + week AS promotion_id, store_id, item_id, ({first} + 7 * week)::DATE AS starts_on,
            starts_on + 6 AS ends_on, 0.2 AS discount, starts_on - INTERVAL 10 DAY AS announced_at, announced_at AS known_at
            FROM pairs, (SELECT unnest(range({span} // 7))::INT AS week) WHERE hash(pair, week) % {PROMOTION_WEEKS} = 0""",
        "store_closures": f"""DISTINCT store_id, ({first} + 30 * month)::DATE AS closed_on, 'inventory' AS reason,
            {first}::TIMESTAMP AS announced_at, announced_at AS known_at
            FROM pairs, (SELECT unnest(range({span} // 30))::INT AS month)""",
        "holidays": f"""'north' AS region, ({first} + 50 * number)::DATE AS holiday_on, 'public' AS kind, 'a day' AS name,
            {always} FROM (SELECT unnest(range({span} // 50))::INT AS number)""",
        "weather_forecasts": """'north' AS region, on_date::TIMESTAMP AS issued_at, (on_date + ahead)::DATE AS target_date,
            15 + 10 * sin(day / 58) AS temperature_celsius, 5 * random() AS precipitation_mm, issued_at AS known_at
            FROM dates, (SELECT unnest(range(1, 15))::INT AS ahead)""",
        "stock_levels": """store_id, item_id, sales_date AS stock_date, 0 AS units_on_hand, closed_at AS known_at
            FROM sales WHERE is_stocked_out""",
        "order_lines": f"""order_id, pair % {LINES_AN_ORDER} + 1 AS line_number, item_id, units_sold AS quantity,
            2.5 AS unit_price, closed_at AS known_at FROM sales WHERE units_sold > 0""",
        "orders": f"""order_id, hash(order_id) % {4 * history.series} AS customer_id, min(store_id) AS store_id,
            min(sales_date) + INTERVAL 12 HOUR AS ordered_at, 'completed' AS status, 2.5 * sum(units_sold) AS order_amount,
            min(closed_at) AS known_at FROM sales WHERE units_sold > 0 GROUP BY order_id""",
    }
    for name, rows in tables.items():
        yield f"INSERT INTO {changes_of(TABLES[name])} BY NAME SELECT *, {_VERSION} FROM (SELECT {rows})"


def _known(history: History) -> Iterator[str]:
    """The closes, of which the last came after the first snapshot, and what each but the last knew."""
    yield f"""
        INSERT INTO OPERATIONS.BUSINESS_DATES BY NAME
        SELECT on_date AS business_date, closed_at, (on_date = DATE '{history.last}')::INT AS position, 1 AS generation,
            'b' AS batch_id
        FROM dates"""
    yield f"""
        INSERT INTO FEATURES.DAILY_SALES BY NAME
        SELECT series_id, store_id, item_id, sales_date, units_sold, is_stocked_out, closed_at AS known_at
        FROM sales
        WHERE sales_date < DATE '{history.last}' AND (units_sold > 0 OR is_stocked_out)"""
    yield "DROP TABLE sales"


def _features(history: History) -> Iterator[str]:
    """Partitions of every date before the last: whole of the origins of a frame, of one series of the others."""
    demand, last = declarations.load("demand"), f"DATE '{history.last}'"
    numbers = ", ".join(f"10 * random() AS {name}" for name in demand.as_of_features)
    yield f"""
        INSERT INTO FEATURES.DEMAND BY NAME
        SELECT on_date AS business_date, series_id, store_id, item_id, TRUE AS is_active, {numbers}
        FROM dates, pairs
        WHERE on_date < {last} AND (({last} - on_date) % {demand.origin_step_days} = 0 OR pair = 0)"""
    covariates = ", ".join(f"hash(series_id, horizon_days) % 20 AS {name}" for name in demand.ahead_covariates)
    yield f"""
        INSERT INTO FEATURES.DEMAND_AHEAD BY NAME
        SELECT business_date, series_id, horizon_days, (business_date + horizon_days)::DATE AS sales_date, {covariates}
        FROM FEATURES.DEMAND, (SELECT unnest(range(1, {declarations.longest_horizon()} + 1))::INT AS horizon_days)"""
