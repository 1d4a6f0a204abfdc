"""The shop's schema `sales`: what each table holds, its key, and when a row of it happened and was known.

Everything that moves shop data reads this declaration: the DDL of the shop, the change capture, the landing job,
the cold store's RAW tables and the dataset declarations. Types are PostgreSQL's and Snowflake's common subset.
"""

from dataclasses import dataclass
from functools import cached_property

SOURCE_SCHEMA = "sales"

TEXT = "VARCHAR"
INTEGER = "BIGINT"
NUMBER = "DOUBLE PRECISION"
MONEY = "NUMERIC(14,2)"
DATE = "DATE"
TIMESTAMP = "TIMESTAMP"


MOST_UNITS = 1e9
"""What no line or shelf holds: more is a fault of whoever wrote it, and sums of it could not be told apart."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a shop table.

    Attributes:
        name: Lower-case name.
        type: One of the types of this module.
        required: Whether NULL is refused.
        minimum: Smallest value allowed, `None` for no bound.
        maximum: Largest value allowed, `None` for no bound.
        choices: The only values allowed, empty for any.
        without: A character that no value may have in it, empty for none.
        is_end: Whether a span of time ends here: PostgreSQL's `infinity` then means that it is open.
    """

    name: str
    type: str
    required: bool = True
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    without: str = ""
    is_end: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table of the shop.

    Attributes:
        name: Lower-case name.
        columns: In the order of the table.
        key: Names of the primary key's columns.
        event_column: The column that says when the row happened, a date or timestamp; `None` for master data,
            which counts as having always been there.
        known_column: The column that says when a row of the *first snapshot* was known; `None` for "always".
            Rows that arrive later are known at the close of the business day that the source wrote them in.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    event_column: str | None = None
    known_column: str | None = None

    @cached_property
    def column_names(self) -> tuple[str, ...]:
        """Names of all columns, in the table's order."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """The column of that name; raises `KeyError` if there is none."""
        return {column.name: column for column in self.columns}[name]


STORE_ID = Column(name="store_id", type=TEXT, without="@")
"""A series is called `item@store`: its last `@` tells where the store begins."""

TEMPERATURE = Column(name="temperature_celsius", type=NUMBER, minimum=-273, maximum=1000)
PRECIPITATION = Column(name="precipitation_mm", type=NUMBER, minimum=0, maximum=10_000)

STORES = Table(
    name="stores",
    key=("store_id",),
    columns=(
        STORE_ID,
        Column(name="region", type=TEXT),
        Column(name="store_group", type=TEXT),
        Column(name="opened_on", type=DATE),
        Column(name="closed_on", type=DATE, required=False, is_end=True),
    ),
)
ITEMS = Table(
    name="items",
    key=("item_id",),
    columns=(
        Column(name="item_id", type=TEXT),
        Column(name="category", type=TEXT),
        Column(name="introduced_on", type=DATE),
        Column(name="discontinued_on", type=DATE, required=False, is_end=True),
    ),
)
ORDERS = Table(
    name="orders",
    key=("order_id",),
    event_column="ordered_at",
    known_column="ordered_at",
    columns=(
        Column(name="order_id", type=INTEGER),
        Column(name="customer_id", type=INTEGER),
        STORE_ID,
        Column(name="ordered_at", type=TIMESTAMP),
        Column(name="status", type=TEXT, choices=("completed", "cancelled", "returned")),
        Column(name="order_amount", type=MONEY, minimum=0),
    ),
)
ORDER_LINES = Table(
    name="order_lines",
    key=("order_id", "line_number"),
    columns=(
        Column(name="order_id", type=INTEGER),
        Column(name="line_number", type=INTEGER, minimum=1),
        Column(name="item_id", type=TEXT),
        Column(name="quantity", type=NUMBER, minimum=0, maximum=MOST_UNITS),
        Column(name="unit_price", type=MONEY, minimum=0),
    ),
)
PRICES = Table(
    name="prices",
    key=("store_id", "item_id", "valid_from"),
    event_column="valid_from",
    known_column="announced_at",
    columns=(
        STORE_ID,
        Column(name="item_id", type=TEXT),
        Column(name="valid_from", type=DATE),
        Column(name="price", type=MONEY, minimum=0),
        Column(name="announced_at", type=TIMESTAMP),
    ),
)
PROMOTIONS = Table(
    name="promotions",
    key=("promotion_id",),
    event_column="starts_on",
    known_column="announced_at",
    columns=(
        Column(name="promotion_id", type=INTEGER),
        STORE_ID,
        Column(name="item_id", type=TEXT),
        Column(name="starts_on", type=DATE),
        Column(name="ends_on", type=DATE, is_end=True),
        Column(name="discount", type=NUMBER, minimum=0, maximum=1),
        Column(name="announced_at", type=TIMESTAMP),
    ),
)
STOCK_LEVELS = Table(
    name="stock_levels",
    key=("store_id", "item_id", "stock_date"),
    event_column="stock_date",
    known_column="stock_date",
    columns=(
        STORE_ID,
        Column(name="item_id", type=TEXT),
        Column(name="stock_date", type=DATE),
        Column(name="units_on_hand", type=NUMBER, minimum=0, maximum=MOST_UNITS),
    ),
)
STORE_CLOSURES = Table(
    name="store_closures",
    key=("store_id", "closed_on"),
    event_column="closed_on",
    known_column="announced_at",
    columns=(
        STORE_ID,
        Column(name="closed_on", type=DATE),
        Column(name="reason", type=TEXT),
        Column(name="announced_at", type=TIMESTAMP),
    ),
)
HOLIDAYS = Table(
    name="holidays",
    key=("region", "holiday_on", "kind"),
    event_column="holiday_on",
    columns=(
        Column(name="region", type=TEXT),
        Column(name="holiday_on", type=DATE),
        Column(name="kind", type=TEXT, choices=("public", "school")),
        Column(name="name", type=TEXT),
    ),
)
WEATHER_FORECASTS = Table(
    name="weather_forecasts",
    key=("region", "issued_at", "target_date"),
    event_column="issued_at",
    known_column="issued_at",
    columns=(
        Column(name="region", type=TEXT),
        Column(name="issued_at", type=TIMESTAMP),
        Column(name="target_date", type=DATE),
        TEMPERATURE,
        PRECIPITATION,
    ),
)
WEATHER_OBSERVATIONS = Table(
    name="weather_observations",
    key=("region", "observed_on"),
    event_column="observed_on",
    known_column="observed_on",
    columns=(
        Column(name="region", type=TEXT),
        Column(name="observed_on", type=DATE),
        TEMPERATURE,
        PRECIPITATION,
    ),
)
BUSINESS_DAYS = Table(
    name="business_days",
    key=("business_date",),
    event_column="business_date",
    known_column="closed_at",
    columns=(
        Column(name="business_date", type=DATE),
        Column(name="closed_at", type=TIMESTAMP),
    ),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        STORES,
        ITEMS,
        ORDERS,
        ORDER_LINES,
        PRICES,
        PROMOTIONS,
        STOCK_LEVELS,
        STORE_CLOSURES,
        HOLIDAYS,
        WEATHER_FORECASTS,
        WEATHER_OBSERVATIONS,
        BUSINESS_DAYS,
    )
}
"""All tables of the shop, master data first."""
