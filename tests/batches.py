"""A cold store and batches for it, made row by row."""

import json
from datetime import date, datetime, time, timedelta

import pandas as pd

from shelfcast.cold_store import load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.ingestion.batch import Batch

FIRST = date(2024, 1, 1)
DAY = timedelta(days=1)
TABLES = ("RAW.ORDERS", "RAW.ORDERS_CHANGES", "OPERATIONS.BUSINESS_DATES", "QUARANTINE.BAD_ROWS")


def order(number, *, op="c", position, amount=10.0, generation=1):
    at = datetime.combine(FIRST, time(9)) + timedelta(minutes=number)
    known = {"op": op, "position": position, "position_ordinal": position, "generation": generation, "committed_at": at}
    row = {"order_id": number, "customer_id": 1, "store_id": "S1", "ordered_at": at, "status": "completed"}
    empty = dict.fromkeys(("customer_id", "store_id", "ordered_at", "status", "order_amount"))
    return {**row, "order_amount": amount, **known} | (empty if op == "d" else {})


def closed(number, *, position, op="c", generation=1):
    on = FIRST + timedelta(days=number)
    at = datetime.combine(on, time(23, 59, 59))
    known = {"op": op, "position": position, "position_ordinal": position, "generation": generation, "committed_at": at}
    return {"business_date": on, "closed_at": at, **known}


SNAPSHOT = ([order(1, op="r", position=0), order(2, op="r", position=0)], [closed(0, op="r", position=0)])
CHANGES = (
    [
        order(1, op="u", position=5, amount=20.0),
        order(3, position=6),
        order(2, op="d", position=7),
        order(3, op="u", position=12, amount=30.0),
    ],
    [closed(1, position=10)],
)


class World:
    """A cold store and batches for it."""

    def __init__(self, folder, store=None):
        self.folder = folder
        self.store = store or DuckDBStore()
        load_batch.prepare(self.store)

    def export(self, number, orders, days, *, bad=(), generation=1):
        folder = self.folder / f"b{number}"
        rows = {"orders": pd.DataFrame(orders), "business_days": pd.DataFrame(days)}
        for name, frame in rows.items():
            if len(frame):
                (folder / name).mkdir(parents=True)
                frame.assign(batch_id=f"b{number}").to_parquet(folder / name / "part.parquet")
        if bad:
            (folder / "quarantine" / "orders").mkdir(parents=True)
            pd.DataFrame(bad).to_parquet(folder / "quarantine" / "orders" / "part.parquet")
        folder.mkdir(parents=True, exist_ok=True)
        counts = {name: len(frame) for name, frame in rows.items() if len(frame)}
        quarantined = {"orders": len(bad)} if bad else {}
        Batch(
            batch_id=f"b{number}",
            generation=generation,
            first_drain=number,
            last_drain=number,
            rows=counts,
            quarantined=quarantined,
            **self.keys(orders, bad),
        ).save(folder)
        return folder

    def keys(self, orders, bad):
        """The landing job's counts, by a loop: the keys, and those whose newest version is bad."""
        newest = {}
        versions = [(row["position_ordinal"], str(row["order_id"]), False) for row in orders]
        for _, key, is_bad in sorted(versions + [(row["position_ordinal"], row["row_key"], True) for row in bad]):
            newest[key] = is_bad
        return {"keys": {"orders": len(newest)}, "bad_keys": {"orders": sum(newest.values())}} if bad else {}

    def load(self, number, orders, days, **about):
        return load_batch.load(self.store, self.export(number, orders, days, **about))

    def content(self):
        """Rows of every table in no order, without the name of the batch that brought them."""
        return {
            name: sorted(
                map(
                    repr,
                    self.store.connection.execute(f"SELECT * FROM {name}")
                    .df()
                    .drop(columns="batch_id", errors="ignore")
                    .values.tolist(),
                )
            )
            for name in TABLES
        }


class Dying(DuckDBStore):
    """Fails at the n-th statement, once."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def run(self, name, parameters=None, **names):
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("killed")
        return super().run(name, parameters, **names)


def refused(number, *, position, batch=1, generation=1, op="c", **changes):
    """A row that a check refused which is no longer in force; `changes` to it are text as Debezium writes it."""
    row = {"order_id": number, "customer_id": 1, "store_id": "S1", "ordered_at": "2024-01-01T09:30:00Z"}
    row |= {"status": "completed", "order_amount": "12.50"} | changes
    log = {"op": op, "position": position, "position_ordinal": position, "generation": generation}
    about = {"batch_id": f"b{batch}", "table_name": "orders", "row_key": str(number), "reason": "r"}
    return about | log | {"committed_at": datetime.combine(FIRST, time(10)), "row_json": json.dumps(row)}


ORDERS = [order(number, position=number) for number in range(1, 61)]


def orders_of(world, *columns):
    return world.store.connection.execute(f"SELECT {', '.join(columns)} FROM RAW.ORDERS ORDER BY order_id").fetchall()
