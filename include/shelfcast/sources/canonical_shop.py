"""A canonical folder as the shop's tables in Parquet: promotions, prices, closures, holidays from the days' columns.

What a file says of a day that was *known ahead* counts as announced `lead_days` before it; what was *observed only*, on
the day itself. So the plan that is known at a cutoff ends with the horizon, and nothing tells how a promotion goes on
behind it. Plumbing of the folder's own DuckDB, so not in `sql/`.
"""

from pathlib import Path

from shelfcast.sources.canonical_columns import CALENDAR_COLUMNS
from shelfcast.sources.canonical_folder import CanonicalFolder
from shelfcast.sources.canonical_units import IS_STOCKED_OUT
from shelfcast.sources.dataset_values import number, text_literal

DAYS = "(SELECT * EXCLUDE (units_sold) FROM sales UNION ALL BY NAME SELECT * FROM future)"

DAILY_SALES = f"""
SELECT
    item_id || '@' || store_id AS series_id, store_id, item_id, sales_date, units_sold,
    {IS_STOCKED_OUT} AS is_stocked_out, sales_date + INTERVAL 86399 SECOND AS known_at
FROM sales WHERE units_sold > 0 OR {IS_STOCKED_OUT}"""  # noqa: S608

# days in a row, told by their number minus their rank, are one promotion; each day that is announced is a version of it
PROMOTIONS = """
WITH days AS (
    SELECT store_id, item_id, sales_date, coalesce(discount, 0) AS discount FROM {days} WHERE on_promotion > 0
),
runs AS (
    SELECT *, CASE WHEN {is_planned} THEN sales_date - CAST(row_number() OVER (
        PARTITION BY store_id, item_id, discount ORDER BY sales_date
    ) AS INTEGER) ELSE sales_date END AS run
    FROM days
)
SELECT
    dense_rank() OVER (ORDER BY store_id, item_id, discount, run) AS promotion_id, store_id, item_id,
    min(sales_date) OVER (PARTITION BY store_id, item_id, discount, run) AS starts_on, sales_date AS ends_on,
    discount, CAST(sales_date - INTERVAL {lead} DAY AS TIMESTAMP) AS announced_at
FROM runs"""

PRICES = """
SELECT store_id, item_id, sales_date AS valid_from, price,
    CAST(sales_date - INTERVAL {lead} DAY AS TIMESTAMP) AS announced_at
FROM {days} AS days WHERE price IS NOT NULL
QUALIFY price IS DISTINCT FROM lag(price) OVER (PARTITION BY store_id, item_id ORDER BY sales_date)"""

CLOSURES = """
SELECT store_id, sales_date AS closed_on, 'closed' AS reason,
    CAST(sales_date - INTERVAL {lead} DAY AS TIMESTAMP) AS announced_at
FROM ({closed}) GROUP BY store_id, sales_date HAVING max(is_open) = 0"""

# each store is a region of its own: a day may be a holiday in one and not in its neighbour
HOLIDAYS = """
SELECT store_id AS region, sales_date AS holiday_on, kind, kind AS name, min(told_at) AS announced_at
FROM ({days}) GROUP BY ALL"""
HOLIDAYS_OF_DAYS = """
SELECT store_id, sales_date, '{kind}' AS kind, CAST(sales_date - INTERVAL {lead} DAY AS TIMESTAMP) AS told_at
FROM {days} WHERE is_{kind}_holiday > 0"""
HOLIDAYS_OF_CALENDAR = """
SELECT store_id, sales_date, '{kind}' AS kind, TIMESTAMP '1970-01-01' AS told_at FROM ({days})"""
STORES = """
SELECT s.store_id, s.store_id AS region, 'all' AS store_group, {opened} AS opened_on, {closed} AS closed_on
FROM (SELECT store_id, min(sales_date) AS first_on FROM sales GROUP BY store_id) AS s {join}"""
ITEMS = """
SELECT s.item_id, 'all' AS category, {opened} AS introduced_on, {closed} AS discontinued_on
FROM (SELECT item_id, min(sales_date) AS first_on FROM sales GROUP BY item_id) AS s {join}"""
WEATHER = """
SELECT s.store_id AS region, CAST(w.issued_at AS TIMESTAMP) AS issued_at, CAST(w.target_date AS DATE) AS target_date,
    avg(CAST(w.temperature_celsius AS DOUBLE)) FILTER (NOT isnan(CAST(w.temperature_celsius AS DOUBLE))) AS temperature_celsius,
    avg(CAST(w.precipitation_mm AS DOUBLE)) FILTER (NOT isnan(CAST(w.precipitation_mm AS DOUBLE))) AS precipitation_mm
FROM given_weather_forecasts AS w JOIN {stores} AS s ON {match} GROUP BY ALL"""
BUSINESS_DAYS = """
SELECT CAST(day AS DATE) AS business_date, day + INTERVAL 86399 SECOND AS closed_at
FROM generate_series(TIMESTAMP '{first}', TIMESTAMP '{last}', INTERVAL 1 DAY) AS days(day)"""


def write_shop(folder: CanonicalFolder, out: Path, *, lead_days: int) -> None:
    """Writes a sub-folder of Parquet for each table of the shop that the folder's files fill, and `daily_sales`.

    Args:
        folder: Checked files.
        out: To write to.
        lead_days: Days ahead that a known-ahead value is known, 1 or more; the longest horizon asked for.
    """
    for table, query in _queries(folder, lead_days).items():
        (out / table).mkdir(parents=True, exist_ok=True)
        target = text_literal(str(out / table / "part.parquet"))
        folder.connection.execute(f"COPY ({query}) TO {target} (FORMAT parquet)")


def _queries(folder: CanonicalFolder, lead_days: int) -> dict[str, str]:
    queries = {
        "daily_sales": DAILY_SALES,
        "business_days": BUSINESS_DAYS.format(first=folder.first_date, last=folder.last_date),
        "stores": _masters(folder, "stores", "store_id", STORES, ("opened_on", "closed_on")),
        "items": _masters(folder, "items", "item_id", ITEMS, ("introduced_on", "discontinued_on")),
    }
    for table, column, query in (("promotions", "on_promotion", PROMOTIONS), ("prices", "price", PRICES)):
        if folder.role(column) != "not used":
            is_planned = folder.role(column) == "known-ahead"
            lead = lead_days if is_planned else 0
            queries[table] = query.format(days=DAYS, lead=lead, is_planned="TRUE" if is_planned else "FALSE")
    closed = _closed(folder)
    if closed:
        lead = 0 if folder.role("is_open") == "observed-only" else lead_days
        queries["store_closures"] = CLOSURES.format(closed=closed, lead=lead)
    holidays = [query for kind in ("public", "school") for query in _holidays(folder, kind, lead_days)]
    if holidays:
        queries["holidays"] = HOLIDAYS.format(days=" UNION ALL ".join(holidays))
    if folder.has("weather_forecasts"):
        queries["weather_forecasts"] = _weather(folder)
    return queries


def _masters(folder: CanonicalFolder, table: str, key: str, query: str, span: tuple[str, str]) -> str:
    """Stores or items: those that were sold, with first and last day where the file gives them."""
    present = folder.columns(table)
    join = f"LEFT JOIN given_{table} AS m ON s.{key} = CAST(m.{key} AS VARCHAR)" if key in present else ""
    given = [f"CAST(m.{name} AS DATE)" if join and name in present else "CAST(NULL AS DATE)" for name in span]
    return query.format(opened=f"coalesce({given[0]}, s.first_on)", closed=given[1], join=join)


def _closed(folder: CanonicalFolder) -> str:
    """Store, day and `is_open` from the days and from the calendar, which holds for all stores."""
    parts = []
    if folder.role("is_open") != "not used":
        parts.append(f"SELECT store_id, sales_date, is_open FROM {DAYS} WHERE is_open IS NOT NULL")  # noqa: S608
    if "is_open" in folder.columns("calendar"):
        parts.append(_calendar("is_open", f"{number('is_open')} IS NOT NULL"))
    return " UNION ALL ".join(parts)


def _holidays(folder: CanonicalFolder, kind: str, lead_days: int) -> list[str]:
    """Those of the days, known as far ahead as the rest of the plan, and those of the calendar, which always were."""
    column, found = f"is_{kind}_holiday", []
    if folder.role(column) != "not used":
        found.append(HOLIDAYS_OF_DAYS.format(kind=kind, days=DAYS, lead=lead_days))
    if column in folder.columns("calendar"):
        found.append(HOLIDAYS_OF_CALENDAR.format(kind=kind, days=_calendar(column, f"{number(column)} > 0")))
    return found


def _calendar(column: str, condition: str) -> str:
    assert column in CALENDAR_COLUMNS  # noqa: S101 - names come from this module
    return (
        f"SELECT store_id, CAST(sales_date AS DATE) AS sales_date, {number(column)} AS {column} "  # noqa: S608
        f"FROM given_calendar, (SELECT DISTINCT store_id FROM sales) WHERE {condition}"
    )


def _weather(folder: CanonicalFolder) -> str:
    """Forecasts by store, by the region that `stores.parquet` gives a store, or for all stores."""
    present = folder.columns("weather_forecasts")
    sold = "(SELECT DISTINCT store_id FROM sales)"
    if "store_id" in present:
        return WEATHER.format(stores=sold, match="s.store_id = CAST(w.store_id AS VARCHAR)")
    if "region" in present and "region" in folder.columns("stores"):
        stores = "(SELECT CAST(store_id AS VARCHAR) AS store_id, region FROM given_stores)"
        return WEATHER.format(stores=stores, match="s.region = w.region")
    return WEATHER.format(stores=sold, match="TRUE")
