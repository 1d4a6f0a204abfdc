"""Loads a batch into the cold store's RAW tables: the history of every row, and the rows as they are now.

Each statement may run twice, and the row in OPERATIONS.BATCHES comes last: a load that was cut off is run again from
the start and gives what an undisturbed one gives. If it is given up instead, the next batch brings the same changes
once more under its own name and takes over what the first one left.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from shelfcast.cold_store.cold_store import ColdStore
from shelfcast.cold_store.raw_tables import changes_of, current_of, definitions_of, known_of, landed_of
from shelfcast.cold_store.statements import Names
from shelfcast.errors import PostConditionFailed, first_offenders
from shelfcast.ingestion.batch import QUARANTINE, Batch
from shelfcast.sources.shop_schema import TABLES, Table

SCHEMAS = ("RAW", "QUARANTINE", "FEATURES", "FORECASTS", "OPERATIONS")
QUARANTINE_ROWS = "QUARANTINE.BAD_ROWS"


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """What a load brought.

    Attributes:
        rows: Versions of rows that the history gained.
        quarantined: Rows that went to quarantine.
        business_dates: Dates to announce: those the batch completed, or the newest one of a first snapshot.
    """

    rows: int
    quarantined: int
    business_dates: list[date]


@dataclass(frozen=True, kw_only=True)
class Drain:
    """A drain that is loaded; generation 0 before the first one."""

    generation: int = 0
    drain: int = 0


def prepare(store: ColdStore) -> None:
    """Makes schemas and tables that are missing."""
    for schema in SCHEMAS:
        store.run("cold_store/create_schema", schema=schema)
    for name in ("batches", "business_dates", "quarantine"):
        store.run(f"cold_store/create_{name}")
    for table in TABLES.values():
        definitions = definitions_of(table)
        store.run("cold_store/create_changes", table=changes_of(table), definitions=definitions)
        store.run("cold_store/create_current", table=current_of(table), definitions=definitions)


def last_drain(store: ColdStore) -> Drain:
    """The last drain that is loaded whole."""
    found = store.fetch("cold_store/last_drain")
    if found.empty:
        return Drain()
    return Drain(generation=int(found["generation"].iloc[0]), drain=int(found["drain"].iloc[0]))


def load(store: ColdStore, export: Path) -> Loaded:
    """Loads the batch that the landing job wrote into `export`.

    Raises:
        BatchRefused: Too many of its keys end with a bad row; those rows are in quarantine and nothing else was loaded.
        PostConditionFailed: The tables do not hold what the batch brought.
    """
    batch = Batch.read(export)
    loaded_before = last_drain(store)
    _adopt(store, batch)
    _load_quarantine(store, batch, export)
    batch.refuse_if_bad()
    for name in (name for name in TABLES if name in batch.rows):
        _load_table(store, TABLES[name], batch, export / name)
    if batch.generation > max(loaded_before.generation, 1):
        _mark_vanished(store, batch)
    store.run("cold_store/merge_business_dates")
    for table in TABLES.values():
        store.run("cold_store/set_known_at", None, changes=changes_of(table), **known_of(table))
    _check(store, batch)
    record = _record(batch) | _span(store, batch)
    with store.transaction():
        store.run("cold_store/delete_batch", {"batch_id": batch.batch_id}, table="OPERATIONS.BATCHES")
        store.run("cold_store/insert_batch", record)
    return Loaded(
        rows=sum(batch.rows.values()),
        quarantined=sum(batch.quarantined.values()),
        business_dates=_to_announce(store, batch),
    )


def _adopt(store: ColdStore, batch: Batch) -> None:
    """Puts the rows of a load that was given up under this batch's name, so that each step below sees them."""
    for table in (*map(changes_of, TABLES.values()), "OPERATIONS.BUSINESS_DATES", QUARANTINE_ROWS):
        store.run("cold_store/adopt_rows", {"batch_id": batch.batch_id}, table=table)


def _load_table(store: ColdStore, table: Table, batch: Batch, folder: Path) -> None:
    landed = landed_of(table)
    names: dict[str, Names] = {"changes": changes_of(table), "keys": table.key, "columns": table.column_names}
    store.run("cold_store/create_landed", table=landed, definitions=definitions_of(table))
    rows = store.load_parquet(folder, table=landed, batch_id=_stage_path(batch, table.name))
    if rows != batch.rows[table.name]:
        raise PostConditionFailed(
            f"{rows} rows of {table.name} were loaded, the batch holds {batch.rows[table.name]}. The files in {folder} "
            "and batch.json do not belong together; clear the landing task and those after it."
        )
    parameters = {"first_generation": _first_generation(store, batch)}
    store.run("cold_store/merge_changes", parameters, landed=landed, **known_of(table), **names)
    store.run("cold_store/merge_current", {"batch_id": batch.batch_id}, current=current_of(table), **names)


def _mark_vanished(store: ColdStore, batch: Batch) -> None:
    parameters = {"generation": batch.generation, "batch_id": batch.batch_id}
    for table in TABLES.values():
        names: dict[str, Names] = {"changes": changes_of(table), "current": current_of(table), "keys": table.key}
        definitions = [f"{name} {table.column(name).type}" for name in table.key]
        store.run(
            "cold_store/add_vanished", {**parameters, "table_name": table.name}, key_definitions=definitions, **names
        )
        store.run("cold_store/merge_current", parameters, columns=table.column_names, **names)


def _load_quarantine(store: ColdStore, batch: Batch, export: Path) -> None:
    store.run("cold_store/delete_batch", {"batch_id": batch.batch_id}, table=QUARANTINE_ROWS)
    for name in batch.quarantined:
        folder = export / QUARANTINE / name
        store.load_parquet(folder, table=QUARANTINE_ROWS, batch_id=_stage_path(batch, f"{QUARANTINE}/{name}"))


def _check(store: ColdStore, batch: Batch) -> None:
    """Raises `PostConditionFailed` when a key is there twice or a version is missing."""
    for table in (TABLES[name] for name in batch.rows):
        twice = store.fetch("cold_store/duplicate_keys", current=current_of(table), keys=table.key)
        if not twice.empty:
            raise PostConditionFailed(
                f"{current_of(table)} holds keys more than once: "
                f"{first_offenders(twice[list(table.key)].to_numpy().tolist())}. Two loads "
                "wrote at the same time; only one may (pool cold_store_writers). Clear this task."
            )
        check_versions(store, table, f"batch {batch.batch_id}")


def check_versions(store: ColdStore, table: Table, brought_by: str) -> None:
    """Raises `PostConditionFailed` when the history lacks a version that has landed."""
    names: dict[str, Names] = {"changes": changes_of(table), "landed": landed_of(table), "keys": table.key}
    missing = store.fetch("cold_store/missing_versions", None, **names)
    if not missing.empty:
        raise PostConditionFailed(
            f"{changes_of(table)} lacks {len(missing)} of the versions that {brought_by} brought, keys "
            f"{first_offenders(missing[list(table.key)].to_numpy().tolist())}. Features made of it would be wrong. See that "
            "nothing else writes to RAW, then clear this task."
        )


def _span(store: ColdStore, batch: Batch) -> dict[str, Any]:
    """First and last log position and commit time of what the batch brought; without a commit time `None`."""
    asked = {"batch_id": batch.batch_id}
    spans = [store.fetch("cold_store/batch_positions", asked, changes=changes_of(TABLES[name])) for name in batch.rows]

    def found(name: str) -> list[Any]:
        return [span[name].iloc[0] for span in spans if pd.notna(span[name].iloc[0])]

    first, last = min(found("first_committed_at"), default=None), max(found("last_committed_at"), default=None)
    return {
        "first_position": int(min(found("first_position"), default=0)),
        "last_position": int(max(found("last_position"), default=0)),
        "first_committed_at": None if first is None else first.to_pydatetime(),
        "last_committed_at": None if last is None else last.to_pydatetime(),
    }


def _record(batch: Batch) -> dict[str, Any]:
    return {
        "batch_id": batch.batch_id,
        "generation": batch.generation,
        "first_drain": batch.first_drain,
        "last_drain": batch.last_drain,
        "rows_read": batch.rows_read,
        "rows_loaded": sum(batch.rows.values()),
        "rows_quarantined": sum(batch.quarantined.values()),
        "checksum": batch.checksum,
    }


def _to_announce(store: ColdStore, batch: Batch) -> list[date]:
    """The dates that the batch completed. A first snapshot brings years: only its newest date is announced."""
    found = store.fetch("cold_store/business_dates_of_batch", {"batch_id": batch.batch_id})
    dates = [value.date() if hasattr(value, "date") else value for value in found["business_date"]]
    in_snapshot = [day for day, position in zip(dates, found["position"], strict=True) if not position]
    streamed = [day for day, position in zip(dates, found["position"], strict=True) if position]
    return [*in_snapshot[-1:], *streamed]


def _first_generation(store: ColdStore, batch: Batch) -> int:
    """The generation whose snapshot holds the shop's past; not always 1, a first snapshot may be cut off."""
    found = store.fetch("cold_store/first_generation", {"generation": batch.generation})
    return int(found["generation"].iloc[0])


def _stage_path(batch: Batch, part: str) -> str:
    """A path for files on the stage, another one for other files: an export made anew keeps the batch's name."""
    return f"{batch.batch_id}/{batch.checksum}/{part}"
