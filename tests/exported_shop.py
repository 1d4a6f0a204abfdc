"""A small simulated shop as the batches that the landing job exports: a snapshot, some days, one more snapshot."""

from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq

from shelfcast.ingestion.batch import Batch
from shelfcast.sources.closing_times import closed_at
from shelfcast.sources.shop_schema import MONEY, TABLES
from shelfcast.sources.simulation_settings import Fault, SimulationSettings
from shelfcast_local.playback.changes import ARROW_TYPES
from shelfcast_local.simulator.simulator import Simulator

HISTORY_DAYS = 42
DAYS = 2
LOG = {
    "op": pa.string(),
    "position": pa.int64(),
    "position_ordinal": pa.int64(),
    "generation": pa.int64(),
    "committed_at": pa.timestamp("us"),
    "batch_id": pa.string(),
}
TYPES = {**ARROW_TYPES, MONEY: pa.decimal128(14, 2)}


class ExportedShop:
    """Follows a simulated shop, and exports each step as a batch.

    Args:
        folder: Where the batches go, each into a folder of its name.
        settings: The shop; a tiny one that deletes orders too if `None`.
    """

    def __init__(self, folder, settings=None):
        self.folder = folder
        self.simulator = Simulator(settings or tiny())
        self.rows = {name: {} for name in TABLES}
        self.position = 0
        self.batches = 0

    def dates(self):
        """The last day of the history, and the days after it."""
        return [self.simulator.last_history_date + timedelta(days=number) for number in range(DAYS + 1)]

    def export_all(self):
        """Folders of a snapshot, of each day, and of a second snapshot that lacks rows."""
        yield self.snapshot()
        for day in self.dates()[1:]:
            yield self.day(day)
        yield self.snapshot_without(3)

    def snapshot(self):
        for name, table in self.simulator.history_tables():
            for row in table.to_pylist():
                self.rows[name][key_of(name, row)] = row
        rows = {name: list(found.values()) for name, found in self.rows.items()}
        return self.export({name: [versioned(row) for row in found] for name, found in rows.items()})

    def day(self, business_date):
        changes = {name: [] for name in TABLES}
        for transaction in self.simulator.transactions(business_date):
            self.position += 100
            for change in transaction:
                changes[change.table] += [self.change(change, row) for row in change.rows.to_pylist()]
        closed = {
            "business_date": business_date,
            "closed_at": closed_at(business_date, self.simulator.settings.closes_at) + timedelta(microseconds=123456),
        }
        self.position += 100
        self.rows["business_days"][(business_date,)] = closed
        changes["business_days"].append(versioned(closed, op="c", position=self.position, ordinal=self.position))
        return self.export(changes)

    def change(self, change, row):
        """A version as the change log holds it: the whole row, or of a deleted one its key."""
        self.position += 1
        op = {"insert": "c", "update": "u", "delete": "d"}[change.kind]
        key, found = key_of(change.table, row), self.rows[change.table]
        if op == "d":
            found.pop(key)
        else:
            found[key] = row = {**found.get(key, {}), **row}
        return versioned(row, op=op, position=self.position - self.position % 100, ordinal=self.position)

    def snapshot_without(self, count):
        """The second generation: the newest orders are gone, but for one that went to quarantine."""
        newest = sorted(self.rows["orders"])[-count:]
        kept = {key: row for key, row in self.rows["orders"].items() if key not in newest}
        rows = {**self.rows, "orders": kept}
        ((number,), *_) = newest
        bad = {"table_name": "orders", "row_key": str(number), "position": 0, "position_ordinal": 0}
        bad |= {"reason": "order_amount is NaN", "row_json": f'{{"order_id": {number}, "note": "it\'s \\"so\\""}}'}
        versions = {name: [versioned(row, generation=2) for row in found.values()] for name, found in rows.items()}
        return self.export(versions, generation=2, bad=[bad])

    def export(self, changes, *, generation=1, bad=()):
        self.batches += 1
        name = f"b{self.batches}"
        folder = self.folder / name
        counts = {table: len(rows) for table, rows in changes.items() if rows}
        for table in counts:
            schema = {column.name: TYPES[column.type] for column in TABLES[table].columns} | LOG
            write(folder / table, [row | {"batch_id": name} for row in changes[table]], pa.schema(schema.items()))
        if bad:
            write(folder / "quarantine" / "orders", [row | {"batch_id": name} for row in bad], None)
        quarantined = {"orders": len(bad)} if bad else {}
        numbers = {"first_drain": self.batches, "last_drain": self.batches, "generation": generation}
        Batch(batch_id=name, **numbers, rows=counts, quarantined=quarantined).save(folder)
        return folder


def tiny():
    base = SimulationSettings(stores=2, items=5, history_days=HISTORY_DAYS, units_per_day=4.0)
    late = Fault(kind="duplicate_orders", first_day=base.last_history_date, amount=0.2)
    return base.model_copy(update={"faults": (late,)})


def key_of(name, row):
    return tuple(row[column] for column in TABLES[name].key)


def versioned(row, *, op="r", position=0, ordinal=0, generation=1):
    log = {"op": op, "position": position, "position_ordinal": ordinal, "generation": generation}
    return row | log | {"committed_at": datetime(2024, 2, 1, 12, 0, 0, 654321)}


def write(folder, rows, schema):
    folder.mkdir(parents=True)
    for row in rows if schema else ():
        for field in schema:
            if pa.types.is_decimal(field.type) and row.get(field.name) is not None:
                row[field.name] = f"{row[field.name]:.2f}"
    pq.write_table(arrow(rows, schema), folder / "part-0.parquet")


def arrow(rows, schema):
    if schema is None:
        return pa.Table.from_pylist(rows)
    loose = pa.schema([(f.name, pa.string() if pa.types.is_decimal(f.type) else f.type) for f in schema])
    return pa.Table.from_pylist(rows, schema=loose).cast(schema)
