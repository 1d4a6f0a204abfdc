"""Takes rows out of quarantine that pass the row checks now in force, for a check that has changed since.

A row is merged at its own position in the change log, so a newer version of it wins as if this one had never been refused.
It becomes known after the newest close: totals and features that were told before stay what they were. Each step may
run twice, and rows leave the quarantine last.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import duckdb
import pandas as pd
import pyarrow as pa

from shelfcast.cold_store.cold_store import ColdStore
from shelfcast.cold_store.load_batch import check_versions
from shelfcast.cold_store.raw_tables import changes_of, current_of, definitions_of, landed_of
from shelfcast.cold_store.statements import Names
from shelfcast.ingestion.row_checks import cast, in_duckdb, reason
from shelfcast.sources.shop_schema import TABLES, Table

LOG_COLUMNS = {
    "op": pa.string(),
    "position": pa.int64(),
    "position_ordinal": pa.int64(),
    "generation": pa.int64(),
    "committed_at": pa.timestamp("us"),
    "batch_id": pa.string(),
    "row_key": pa.string(),
}


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What a replay did.

    Attributes:
        merged: Rows that passed and left the quarantine.
        still_bad: Rows that were checked and stay.
    """

    merged: int
    still_bad: int


def replay(store: ColdStore) -> Replayed:
    """Checks the quarantined rows anew and merges those that pass.

    Raises:
        PostConditionFailed: The history lacks a row that was merged; it is still in quarantine.
    """
    waiting = store.fetch("cold_store/replayable_rows")
    merged = sum(_replay_table(store, TABLES[str(name)], rows) for name, rows in waiting.groupby("table_name"))
    return Replayed(merged=merged, still_bad=len(waiting) - merged)


def _replay_table(store: ColdStore, table: Table, rows: pd.DataFrame) -> int:
    passed = passing_rows(rows, table)
    if not len(passed):
        return 0
    landed = landed_of(table)
    names: dict[str, Names] = {"changes": changes_of(table), "keys": table.key, "columns": table.column_names}
    store.run("cold_store/create_landed", table=landed, definitions=[*definitions_of(table), "row_key VARCHAR"])
    with TemporaryDirectory(prefix="shelfcast-replay-") as folder:
        passed.write_parquet(str(Path(folder) / "rows.parquet"))
        store.load_parquet(Path(folder), table=landed, batch_id=f"replay/{uuid4()}")
    store.run("cold_store/merge_changes", None, landed=landed, is_replay="TRUE", **names)
    for batch_id in sorted(set(rows["batch_id"])):
        store.run("cold_store/merge_current", {"batch_id": batch_id}, current=current_of(table), **names)
    check_versions(store, table, "the replay of the quarantine")
    store.run("cold_store/delete_replayed", {"table_name": table.name}, landed=landed)
    return len(passed)


def passing_rows(rows: pd.DataFrame, table: Table) -> duckdb.DuckDBPyRelation:
    """The rows that pass the table's checks, typed.

    Args:
        rows: Quarantined rows of the table, with `row_json` and the log's columns.
        table: The table.
    """
    texts = [json.loads(text, parse_int=str, parse_float=str, parse_constant=str) for text in rows["row_json"]]
    columns = {name: pa.array([text.get(name) for text in texts], pa.string()) for name in table.column_names}
    log = {name: pa.array(rows[name], type, from_pandas=True) for name, type in LOG_COLUMNS.items()}
    typed = [f"{in_duckdb(cast(column))} AS {column.name}" for column in table.columns]
    came = duckdb.connect().from_arrow(pa.table({**columns, **log}))
    return came.filter(f"({in_duckdb(reason(table))}) IS NULL").project(", ".join([*typed, *LOG_COLUMNS]))
