"""The simulated shop as a `ShopHistory`: what it wrote up to a day, and what it writes on each day after."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from functools import lru_cache, partial
from itertools import chain

import numpy as np
import pandas as pd
import pyarrow as pa

from shelfcast.sources.closing_times import closed_at
from shelfcast.sources.shop_schema import TABLES
from shelfcast.sources.simulation_settings import SimulationSettings
from shelfcast_local.playback import shop_history
from shelfcast_local.playback.changes import Transaction, arrow_rows, deleted, inserted, updated
from shelfcast_local.playback.ddl import Connection, playback_statement
from shelfcast_local.playback.shop_history import Written, closing
from shelfcast_local.simulator.baskets import LAG_DAYS, Baskets, day_baskets, joined
from shelfcast_local.simulator.climate import forecasts_written, observations_written
from shelfcast_local.simulator.demand import delivery_week, store_week
from shelfcast_local.simulator.faults import active, bad_rows, disturbed
from shelfcast_local.simulator.offers import prices_written, promotions_withdrawn, promotions_written
from shelfcast_local.simulator.order_rows import (
    hourly_insertions,
    insertions,
    later_changes,
    rows_as_of,
    rows_first_written,
    stock_rows,
)
from shelfcast_local.simulator.shop_calendar import closures_written, holiday_rows
from shelfcast_local.simulator.world import as_days, build_world

HISTORY_NAME = "simulated"
DAYS_SHOWN = 366
BEFORE_ALL = 60
"""Days before the first one from which announcements are looked for."""


class Simulator:
    """A synthetic shop; the same settings give the same rows.

    Args:
        settings: What the shop is made from, faults included.
    """

    def __init__(self, settings: SimulationSettings | None = None) -> None:
        self.settings = settings or SimulationSettings()
        self.world = build_world(self.settings)
        self._week = lru_cache(maxsize=8)(partial(store_week, self.world))

    @property
    def last_history_date(self) -> date:
        """The last day that `write_history` writes."""
        return self.settings.last_history_date

    @property
    def days_to_come(self) -> Sequence[date]:
        """A year of days; the simulator itself has no last day."""
        return [self.last_history_date + timedelta(days=day) for day in range(1, DAYS_SHOWN + 1)]

    def write_history(self, connection: Connection) -> Written:
        """Writes all days up to `last_history_date` in one transaction, later corrections applied."""
        return shop_history.write_history(
            connection,
            history_name=HISTORY_NAME,
            last_history_date=self.last_history_date,
            settings=self.settings.model_dump(mode="json"),
            tables=self.history_tables(),
        )

    def write_day(self, connection: Connection, business_date: date) -> Written:
        """Writes the next day: news in the morning, orders by store and hour, corrections, stock, the close."""
        day = business_date.toordinal()
        return shop_history.write_day(
            connection,
            business_date,
            transactions=self._transactions_and_schema(connection, day),
            closes_at=self.settings.closes_at,
            closes=active(self.settings, "outage", day) is None,
        )

    def history_tables(self, last_date: date | None = None) -> Iterator[tuple[str, pa.Table]]:
        """Table names and rows as they stand at the end of a day (the last history day), store by store."""
        last = (last_date or self.last_history_date).toordinal()
        for name, frame in chain(self._plans(last), self._weather(last), self._sales(last), self._closings(last)):
            yield name, arrow_rows(TABLES[name], frame)

    def transactions(self, business_date: date) -> Iterator[Transaction]:
        """A day's changes in the order of their commits, the close left out."""
        day = business_date.toordinal()
        yield [inserted("weather_forecasts", forecasts_written(self.world, day, day))]
        yield from self._announcements(day)
        for store in range(self.settings.stores):
            baskets = self._baskets_around(store, day)
            is_due = baskets.orders.written_on == day
            is_today = baskets.orders.sold_on == day
            yield from hourly_insertions(*rows_first_written(self.world, store, baskets, is_due & is_today))
            if (is_due & ~is_today).any():
                yield insertions(*rows_first_written(self.world, store, baskets, is_due & ~is_today))
            orders, lines = bad_rows(self.world, store, day)
            if len(orders):
                yield insertions(orders, lines)
            yield from later_changes(baskets, day)
            stock = stock_rows(self.world, self._week(store, delivery_week(self.world, store, day)), day, day)
            if len(stock):
                yield [inserted("stock_levels", stock)]
        yield [inserted("weather_observations", observations_written(self.world, day, day))]

    def truth(self, first_date: date, last_date: date) -> pd.DataFrame:
        """What no shop knows: one row a store, item in its range, and day.

        Columns: `store_id`, `item_id`, `sales_date`, `is_open`, `expected_units` (mean of the demand), `units_demanded`
        (what customers wanted, stock-outs undone), `units_sold` (what all corrections lead to), `is_stocked_out`
        (the shelf was empty in the evening), `on_promotion`, `discount`, `price` (of the shelf), `unit_price` (paid).
        """
        parts = [
            self._truth_of(store, day)
            for store in range(self.settings.stores)
            for day in range(first_date.toordinal(), last_date.toordinal() + 1)
        ]
        return pd.concat(parts, ignore_index=True)

    def _truth_of(self, store: int, day: int) -> pd.DataFrame:
        week = self._week(store, delivery_week(self.world, store, day))
        row = int(np.flatnonzero(week.days == day)[0])
        items = np.flatnonzero(week.is_sold[row])
        return pd.DataFrame(
            {
                "store_id": np.full(len(items), self.world.store_ids[store]),
                "item_id": self.world.item_ids[items],
                "sales_date": as_days(np.full(len(items), day)).astype("datetime64[s]"),
                "is_open": np.full(len(items), week.is_open[row]),
                "expected_units": week.expected[row, items],
                "units_demanded": week.wanted[row, items],
                "units_sold": week.sold[row, items],
                "is_stocked_out": week.on_hand[row, items] == 0,
                "on_promotion": week.discount[row, items] > 0,
                "discount": week.discount[row, items],
                "price": week.price[row, items],
                "unit_price": np.round(week.price * (1 - week.discount), 2)[row, items],
            }
        )

    def _baskets(self, store: int, day: int) -> Baskets:
        week = self._week(store, delivery_week(self.world, store, day))
        row = int(np.flatnonzero(week.days == day)[0])
        unit_price = week.price[row] * (1 - week.discount[row])
        baskets = day_baskets(self.world, store, day, sold=week.sold[row], unit_price=unit_price)
        return disturbed(self.world, store, day, baskets)

    def _baskets_around(self, store: int, day: int) -> Baskets:
        """Orders of a day and of the earlier days that it may still change."""
        first = self.settings.first_day.toordinal()
        return joined([self._baskets(store, day - lag) for lag in (*reversed(LAG_DAYS), 0) if day - lag >= first])

    def _plans(self, last: int) -> Iterator[tuple[str, pd.DataFrame]]:
        start = self.settings.first_day.toordinal() - BEFORE_ALL
        yield "stores", self.world.stores_written(start, last)
        yield "items", self.world.items_written(start, last, discontinued_known_by=last)
        yield "holidays", holiday_rows(self.world, range(self.settings.first_day.year, _holidays_until(last) + 1))
        yield "store_closures", closures_written(self.world, start - 366, last)
        yield "prices", prices_written(self.world, start, last)
        yield "promotions", promotions_written(self.world, start, last, as_of=last)

    def _weather(self, last: int) -> Iterator[tuple[str, pd.DataFrame]]:
        start = self.settings.first_day.toordinal()
        yield "weather_observations", observations_written(self.world, start, last)
        yield "weather_forecasts", forecasts_written(self.world, start, last)

    def _sales(self, last: int) -> Iterator[tuple[str, pd.DataFrame]]:
        start = self.settings.first_day.toordinal()
        for store in range(self.settings.stores):
            baskets = joined([self._baskets(store, day) for day in range(start, last + 1)])
            orders, lines = rows_as_of(self.world, store, baskets, last)
            yield "orders", orders
            yield "order_lines", lines
            weeks = range(delivery_week(self.world, store, start), delivery_week(self.world, store, last) + 1)
            stock = [stock_rows(self.world, self._week(store, week), start, last) for week in weeks]
            yield "stock_levels", pd.concat(stock, ignore_index=True)

    def _closings(self, last: int) -> Iterator[tuple[str, pd.DataFrame]]:
        start = self.settings.first_day.toordinal()
        days = [date.fromordinal(day) for day in range(start, last + 1)]
        rows = [closing(day, closed_at(day, self.settings.closes_at)) for day in days]
        yield "business_days", pd.concat(rows, ignore_index=True)

    def _announcements(self, day: int) -> Iterator[Transaction]:
        today = date.fromordinal(day)
        holidays = holiday_rows(self.world, range(today.year + 2, today.year + 3))
        changes = [
            inserted("stores", self.world.stores_written(day, day)),
            inserted("items", self.world.items_written(day, day, discontinued_known_by=day)),
            updated("items", self.world.items_discontinued(day)),
            inserted("holidays", holidays if (today.month, today.day) == (10, 1) else holidays.iloc[:0]),
            inserted("store_closures", closures_written(self.world, day, day)),
            inserted("prices", prices_written(self.world, day, day)),
            inserted("promotions", promotions_written(self.world, day, day, as_of=day)),
            deleted("promotions", promotions_withdrawn(self.world, day)),
        ]
        yield from ([change] for change in changes if change.rows.num_rows)

    def _transactions_and_schema(self, connection: Connection, day: int) -> Iterator[Transaction]:
        if active(self.settings, "schema_change", day):
            connection.execute(playback_statement("add_order_channel"))
        yield from self.transactions(date.fromordinal(day))


def _holidays_until(day: int) -> int:
    """The last year whose holidays are published by an ordinal day: next year's, and from October the one after."""
    today = date.fromordinal(day)
    return today.year + (2 if today.month >= 10 else 1)
