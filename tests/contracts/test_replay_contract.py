"""A quarantined row is replayed alike in both cold stores."""

import json
from datetime import datetime

import pandas as pd
import pyarrow as pa
from exported_shop import LOG, TYPES, versioned, write

from shelfcast.cold_store import load_batch
from shelfcast.cold_store.replay_quarantine import Replayed, replay
from shelfcast.ingestion.batch import Batch
from shelfcast.sources.shop_schema import TABLES

ORDERED_AT = datetime(2024, 1, 1, 9, 30)
CLOSED_AT = datetime(2024, 1, 1, 23, 59, 59)


def export(folder):
    rows = {
        "orders": [
            {
                "order_id": number,
                "customer_id": 1,
                "store_id": "S1",
                "ordered_at": ORDERED_AT,
                "status": "completed",
                "order_amount": 10.0,
            }
            for number in range(1, 5)
        ],
        "business_days": [{"business_date": CLOSED_AT.date(), "closed_at": CLOSED_AT}],
    }
    for name, found in rows.items():
        schema = {column.name: TYPES[column.type] for column in TABLES[name].columns} | LOG
        versions = [versioned(row, op="c", position=100, ordinal=100 + at) for at, row in enumerate(found)]
        write(folder / name, [row | {"batch_id": "b1"} for row in versions], pa.schema(schema.items()))
    texts = {"order_id": 9, "customer_id": 1, "store_id": "S'1", "status": "completed", "order_amount": "12.50"}
    bad = {"batch_id": "b1", "table_name": "orders", "row_key": "9", "reason": "r"}
    bad |= {"row_json": json.dumps(texts | {"ordered_at": "2024-01-01T09:30:00.25Z"})}
    write(folder / "quarantine" / "orders", [versioned(bad, op="c", position=100, ordinal=150)], None)
    counts = {"rows": {"orders": 4, "business_days": 1}, "quarantined": {"orders": 1}}
    Batch(batch_id="b1", generation=1, first_drain=1, last_drain=1, **counts).save(folder)
    return folder


def test_a_row_that_passes_now_is_merged_once_and_leaves_the_quarantine(store, tmp_path):
    load_batch.prepare(store)
    load_batch.load(store, export(tmp_path / "b1"))
    assert replay(store) == Replayed(merged=1, still_bad=0)
    assert replay(store) == Replayed(merged=0, still_bad=0)
    orders = store.fetch("contract/rows", table="RAW.ORDERS").set_index("order_id")
    assert sorted(orders.index) == [1, 2, 3, 4, 9]
    assert (orders.loc[9, "store_id"], float(orders.loc[9, "order_amount"])) == ("S'1", 12.5)
    assert pd.Timestamp(orders.loc[9, "ordered_at"]) == pd.Timestamp("2024-01-01 09:30:00.25")
    versions = store.fetch("contract/rows", table="RAW.ORDERS_CHANGES").set_index("order_id")
    assert pd.Timestamp(versions.loc[9, "known_at"]) == pd.Timestamp(CLOSED_AT) + pd.Timedelta(microseconds=1)
    assert store.fetch("contract/rows", table="QUARANTINE.BAD_ROWS").empty
