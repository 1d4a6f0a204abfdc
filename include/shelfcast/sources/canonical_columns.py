"""How the columns of a folder of canonical Parquet files are taken: known ahead, observed only, static, or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shelfcast.errors import DatasetError
from shelfcast.sources.dataset_declaration import Problem, dataset_error, nearest

Role = Literal["key", "target", "known-ahead", "observed-only", "static", "not used"]

SALES_KEY = ("store_id", "item_id", "sales_date")
TARGET = "units_sold"
DAY_COLUMNS: Mapping[str, Sequence[Role]] = {
    "price": ("observed-only", "known-ahead"),
    "on_promotion": ("known-ahead", "observed-only"),
    "discount": ("known-ahead", "observed-only"),
    "is_open": ("known-ahead", "observed-only"),
    "is_public_holiday": ("known-ahead",),
    "is_school_holiday": ("known-ahead",),
    "is_stocked_out": ("observed-only",),
    "units_on_hand": ("observed-only",),
}
"""Columns of `sales.parquet` that the model can use, and the roles each may have; the first is what is inferred."""

CALENDAR_COLUMNS = ("is_public_holiday", "is_school_holiday", "is_open")
STATIC_COLUMNS = {
    "items.parquet": ("item_id", "introduced_on", "discontinued_on"),
    "stores.parquet": ("store_id", "region", "opened_on", "closed_on"),
}
WEATHER_COLUMNS = ("issued_at", "target_date", "temperature_celsius", "precipitation_mm")


class FolderDeclaration(BaseModel):
    """What a `dataset.yaml` may say about a folder of canonical files.

    Attributes:
        name: Of the dataset.
        columns: Role of a column of `sales.parquet`, where the inferred one is wrong.
        negative_sales: Whether days below zero (returns) are refused or count as zero.
        duplicate_days: Whether a second row of a series and day is refused or added to the first.
        outliers: Whether days beyond anything that their series ever sold are refused or ignored.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1)] = "canonical"
    columns: dict[str, Role] = {}
    negative_sales: Literal["refuse", "zero"] = "refuse"
    duplicate_days: Literal["refuse", "sum"] = "refuse"
    outliers: Literal["refuse", "ignore"] = "refuse"


@dataclass(frozen=True, kw_only=True)
class ColumnUse:
    """How one column was taken.

    Attributes:
        file: Name of the file.
        column: Name of the column.
        role: What it counts as.
        why: Where the role comes from, in a few words.
    """

    file: str
    column: str
    role: Role
    why: str


def read_folder_declaration(path: Path) -> FolderDeclaration:
    """Reads a canonical folder's `dataset.yaml`; all defaults if there is none.

    Raises:
        DatasetError: Names key, what was found and what to write.
    """
    if not path.is_file():
        return FolderDeclaration(name=path.parent.resolve().name or "canonical")
    try:
        return FolderDeclaration.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is no YAML: {error}. Mend the file.") from error
    except ValidationError as error:
        problems = [
            Problem(
                file=path.name,
                field=".".join(str(part) for part in fault["loc"]) or "the file",
                found=f"{fault['input']!r:.80}",
                write=nearest(str(fault["loc"][-1]), FolderDeclaration.model_fields)
                if fault["type"] == "extra_forbidden"
                else fault["msg"],
            )
            for fault in error.errors()
        ]
        raise dataset_error(path.parent.name, problems) from error


def sales_uses(
    columns: Sequence[str], future: Sequence[str], declaration: FolderDeclaration
) -> tuple[list[ColumnUse], list[Problem]]:
    """How each column of `sales.parquet` is taken, and which declared roles cannot be.

    Args:
        columns: Of `sales.parquet`.
        future: Of `future.parquet`; a column that it has is known ahead.
        declaration: The folder's.
    """
    problems = [
        Problem(file="dataset.yaml", field=f"columns.{name}", found="no such column", write=nearest(name, columns))
        for name in declaration.columns
        if name not in columns
    ]
    uses = []
    for name in columns:
        allowed = DAY_COLUMNS.get(name, ())
        declared = declaration.columns.get(name)
        if declared is not None and declared != "not used" and allowed and declared not in allowed:
            write = " or ".join([*allowed, "not used"])
            problems.append(Problem(file="dataset.yaml", field=f"columns.{name}", found=repr(declared), write=write))
        uses.append(_use(name, allowed, declared, is_in_future=name in future))
    return uses, problems


def other_uses(file: str, columns: Sequence[str], used: Mapping[str, Role]) -> list[ColumnUse]:
    """How each column of another file is taken."""
    return [
        ColumnUse(
            file=file, column=name, role=used.get(name, "not used"), why="" if name in used else "no such feature"
        )
        for name in columns
    ]


def _use(name: str, allowed: Sequence[Role], declared: Role | None, *, is_in_future: bool) -> ColumnUse:
    if name in SALES_KEY or name == TARGET:
        return ColumnUse(file="sales.parquet", column=name, role="target" if name == TARGET else "key", why="")
    if not allowed:
        why = "declared, but the model has no such feature yet" if declared else "no such feature yet"
        return ColumnUse(file="sales.parquet", column=name, role="not used", why=why)
    if declared is not None:
        return ColumnUse(file="sales.parquet", column=name, role=declared, why="dataset.yaml")
    if is_in_future and "known-ahead" in allowed:
        return ColumnUse(file="sales.parquet", column=name, role="known-ahead", why="future.parquet has it")
    return ColumnUse(file="sales.parquet", column=name, role=allowed[0], why="inferred from its name")
