"""A user's dataset as a `ShopHistory`: its past at once, and the days held back one by one."""

from collections.abc import Iterator, Sequence
from datetime import date

import pyarrow as pa

from shelfcast.errors import DatasetError
from shelfcast.sources.dataset import WRITTEN_ON, Dataset
from shelfcast.sources.shop_schema import TABLES
from shelfcast_local.playback import shop_history
from shelfcast_local.playback.changes import Change, Transaction
from shelfcast_local.playback.ddl import Connection
from shelfcast_local.playback.shop_history import Written


class DatasetHistory:
    """Writes a dataset into a shop's database.

    Args:
        dataset: What was read.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    @property
    def last_history_date(self) -> date:
        """The last day that `write_history` writes."""
        return self.dataset.last_history_date

    @property
    def days_to_come(self) -> Sequence[date]:
        """The days held back."""
        return self.dataset.days_to_come

    def write_history(self, connection: Connection) -> Written:
        """Writes all days up to `last_history_date` in one transaction."""
        dataset = self.dataset
        return shop_history.write_history(
            connection,
            history_name=dataset.declaration.name,
            last_history_date=self.last_history_date,
            settings={
                "declaration": str(dataset.path.resolve()),
                "data": str(dataset.folder.resolve()),
                "stores": dataset.stores,
                "hold_back_days": dataset.hold_back_days,
            },
            tables=((name, dataset.rows(name, f"<= DATE '{self.last_history_date}'")) for name in TABLES),
        )

    def write_day(self, connection: Connection, business_date: date) -> Written:
        """Writes the next of the days held back; one transaction a table, and one a store for its orders."""
        dataset = self.dataset
        if business_date > dataset.last_date:
            raise DatasetError(
                f"Dataset {dataset.declaration.name} ends on {dataset.last_date}; "
                f"there is no {business_date} in its files."
            )
        return shop_history.write_day(
            connection,
            business_date,
            transactions=self.transactions(business_date),
            closes_at=dataset.declaration.closes_at,
        )

    def transactions(self, business_date: date) -> Iterator[Transaction]:
        """A day's changes in the order of their commits, the close left out."""
        for name in TABLES:
            if name in ("orders", "order_lines", "business_days"):
                continue
            rows = self._rows_of(name, business_date)
            if rows.num_rows and name in WRITTEN_ON:
                yield [Change(table=name, kind="insert", rows=rows)]
        yield from self._orders_by_store(business_date)

    def _orders_by_store(self, business_date: date) -> Iterator[Transaction]:
        orders = self._rows_of("orders", business_date).to_pandas()
        lines = self._rows_of("order_lines", business_date).to_pandas()
        for _, part in orders.groupby("store_id", sort=True):
            of_part = lines[lines["order_id"].isin(part["order_id"])]
            yield [
                Change(table="orders", kind="insert", rows=pa.Table.from_pandas(part, preserve_index=False)),
                Change(table="order_lines", kind="insert", rows=pa.Table.from_pandas(of_part, preserve_index=False)),
            ]

    def _rows_of(self, table: str, business_date: date) -> pa.Table:
        return self.dataset.rows(table, f"= DATE '{business_date}'")
