"""Great Expectations over a batch: what must hold of its rows as a whole, beyond each row for itself."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from shelfcast import storage
from shelfcast.errors import BatchRefused, first_offenders
from shelfcast.ingestion.batch import Batch
from shelfcast.sources.shop_schema import TABLES, Table
from shelfcast.storage import Location

TECHNICAL = ("op", "position", "position_ordinal", "generation", "batch_id")
OPERATIONS = ["r", "c", "u", "d"]


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What the expectations found.

    Attributes:
        checked: Number of expectations.
        rows: Good rows of the batch.
        quarantined: Its bad rows, which are not looked at.
        failed: `table.expectation(column)` of each that failed.
        path: JSON report with every result.
    """

    checked: int
    rows: int
    quarantined: int
    failed: list[str]
    path: Location


def check(export: Path, reports: Location) -> CheckReport:
    """Validates each table of a batch and writes a report.

    Raises:
        BatchRefused: An expectation failed; the message names table, expectation and column.
    """
    batch = Batch.read(export)
    results = {name: _validate(export / name, TABLES[name], batch.rows[name]) for name in batch.rows}
    failed = [f"{name}.{label}" for name, found in results.items() for label, is_met in found.items() if not is_met]
    path = reports / f"{batch.batch_id}.json"
    storage.write(path, json.dumps({"batch_id": batch.batch_id, "results": results}, indent=1).encode())
    if failed:
        raise BatchRefused(
            f"Batch {batch.batch_id} is not what a batch must be: {first_offenders(failed)}. Nothing was loaded. The "
            f"report is {path}; mend the landing job or the source, then clear the run."
        )
    return CheckReport(
        checked=sum(map(len, results.values())),
        rows=sum(batch.rows.values()),
        quarantined=sum(batch.quarantined.values()),
        failed=failed,
        path=path,
    )


def _validate(folder: Path, table: Table, rows: int) -> dict[str, bool]:
    """Expectation by label, and whether it is met."""
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}  # type: ignore[assignment]
    source = context.data_sources.add_pandas(table.name)
    definition = source.add_dataframe_asset(table.name).add_batch_definition_whole_dataframe("all")
    suite = gx.ExpectationSuite(name=table.name, expectations=_expectations(gx, table, rows))
    frame = pd.read_parquet(folder, columns=[*table.key, *_bounded(table), *TECHNICAL])
    result = definition.get_batch({"dataframe": frame}).validate(suite)
    return {_label(each): bool(each.success) for each in result.results}


def _expectations(gx: Any, table: Table, rows: int) -> list[Any]:
    made = [
        gx.expectations.ExpectTableRowCountToEqual(value=rows),
        gx.expectations.ExpectCompoundColumnsToBeUnique(column_list=[*table.key, "generation", "position_ordinal"]),
        gx.expectations.ExpectColumnValuesToBeInSet(column="op", value_set=OPERATIONS),
        gx.expectations.ExpectColumnValuesToBeBetween(column="position", min_value=0),
    ]
    made += [gx.expectations.ExpectColumnValuesToNotBeNull(column=name) for name in table.key]
    for name in _bounded(table):
        column = table.column(name)
        made.append(
            gx.expectations.ExpectColumnValuesToBeBetween(
                column=name, min_value=column.minimum, max_value=column.maximum
            )
        )
    return made


def _bounded(table: Table) -> list[str]:
    return [column.name for column in table.columns if column.minimum is not None and column.name not in table.key]


def _label(result: Any) -> str:
    settings = result.expectation_config.kwargs
    where = settings.get("column") or ", ".join(settings.get("column_list", []))
    return f"{result.expectation_config.type}({where})"
