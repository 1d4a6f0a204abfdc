"""The form of a dataset declaration, and what is wrong with one: where, what was found, what to write instead."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shelfcast.errors import OFFENDERS_SHOWN, DatasetError
from shelfcast.sources.closing_times import BEFORE_MIDNIGHT, ClosingTimes
from shelfcast.sources.shop_schema import TABLES
from shelfcast.sources.simulation_settings import SimulationSettings

SALES_COLUMNS = ("store_id", "item_id", "sales_date", "units", "unit_price", "customer_id")
SALES_REQUIRED = ("store_id", "sales_date", "units")
DERIVED_TABLES = ("business_days",)


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expression(_Form):
    """A column that is computed or constant.

    Attributes:
        sql: DuckDB expression over the columns of the file; it can read and nothing else.
        value: The same value in every row.
    """

    sql: str | None = None
    value: str | int | float | None = None


class TableSource(_Form):
    """Where the rows of a table come from: a file, or a SELECT over the declared files.

    Attributes:
        file: A name under `files`, or a file of the data folder (CSV or Parquet).
        sql: A SELECT over the names under `files`, in place of `file`.
        where: Condition that keeps rows of `file`.
        columns: For each column of the shop the name of a column of the file, `{sql: …}` or `{value: …}`. Columns
            that the file has under the shop's own name need no line.
    """

    file: str | None = None
    sql: str | None = None
    where: str | None = None
    columns: dict[str, str | Expression] = {}


class DatasetDeclaration(_Form):
    """A user's files as a shop.

    Attributes:
        name: Lower-case name of the dataset.
        description: One line.
        files: Short names for files of the data folder, for use in `sql`.
        sales: One row a store, item and day with units sold; each row becomes an order of one line.
        tables: Sources by table of the shop; what is missing is derived or stays empty.
        stores: Keep the first so many stores by `store_id`; all if left out.
        hold_back_days: The last so many days are kept back, to be replayed day by day.
        closes_at: When the shop closed its days: one time for all, or seven from Monday on, such as `["18:00"]`; hours
            from 24 on are of the day behind. Just before midnight if left out.
        simulator: In place of all this: the settings of a simulated shop.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    description: str = ""
    files: dict[str, str] = {}
    sales: TableSource | None = None
    tables: dict[str, TableSource] = {}
    stores: Annotated[int, Field(ge=1)] | None = None
    hold_back_days: Annotated[int, Field(ge=0)] = 28
    closes_at: ClosingTimes = BEFORE_MIDNIGHT
    simulator: SimulationSettings | None = None


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a dataset.

    Attributes:
        file: The declaration or data file.
        field: Where in it.
        found: What is there.
        write: What to write instead.
    """

    file: str
    field: str
    found: str
    write: str

    def __str__(self) -> str:
        return f"{self.file}, {self.field}: found {self.found}; write {self.write}"


def dataset_error(name: str, problems: Sequence[Problem]) -> DatasetError:
    """The error that lists up to ten problems and counts the rest."""
    shown = [f"  {number}. {problem}" for number, problem in enumerate(problems[:OFFENDERS_SHOWN], start=1)]
    rest = len(problems) - len(shown)
    more = [f"  and {rest} more"] if rest else []
    count = "1 thing is" if len(problems) == 1 else f"{len(problems)} things are"
    return DatasetError("\n".join([f"Dataset {name} cannot be used, {count} wrong:", *shown, *more]))


def nearest(word: str, known: Iterable[str]) -> str:
    """Advice that names the known word nearest to `word`, or all of them if none is near."""
    names = list(known)
    lowered = {name.lower(): name for name in names}
    close = get_close_matches(word.lower(), lowered, n=1, cutoff=0.5)
    if close:
        return repr(lowered[close[0]])
    return "one of: " + ", ".join(sorted(names)[:20]) if names else "another name"


def read_declaration(path: Path) -> DatasetDeclaration:
    """Reads and checks the form of a declaration.

    Raises:
        DatasetError: It is not YAML, has unknown or missing keys, or names tables and columns that no shop has.
    """
    content = _yaml(path)
    try:
        declaration = DatasetDeclaration.model_validate(content)
    except ValidationError as error:
        raise dataset_error(path.name, [_form_problem(path.name, one) for one in error.errors()]) from error
    problems = list(_meaning_problems(path.name, declaration))
    if problems:
        raise dataset_error(declaration.name, problems)
    return declaration


def _yaml(path: Path) -> Any:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        problem = Problem(file=str(path), field="the file", found="nothing readable", write="the path of a declaration")
        raise dataset_error(path.name, [problem]) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        found = " ".join(str(error).split())
        problem = Problem(file=path.name, field="the file", found=f"text that is no YAML ({found})", write="valid YAML")
        raise dataset_error(path.name, [problem]) from error
    if not isinstance(content, dict):
        found = f"a {type(content).__name__}, not keys and values"
        problem = Problem(file=path.name, field="the file", found=found, write="`name:`, then `sales:` or `tables:`")
        raise dataset_error(path.name, [problem])
    return content


def _form_problem(file: str, error: Any) -> Problem:
    location = [str(part) for part in error["loc"] if part not in ("str", "Expression")]
    field = ".".join(location) or "the file"
    if error["type"] == "extra_forbidden":
        return Problem(file=file, field=field, found=f"the unknown key {location[-1]!r}", write=_known_key(location))
    if error["type"] == "missing":
        return Problem(file=file, field=field, found="nothing", write=f"`{location[-1]}: …`")
    advice = error["msg"][0].lower() + error["msg"][1:]
    return Problem(file=file, field=field, found=repr(error["input"]), write=f"a value that fits ({advice})")


def _known_key(location: list[str]) -> str:
    form: type[BaseModel] = DatasetDeclaration
    if "columns" in location[:-1]:
        form = Expression
    elif location[0] in ("sales", "tables") and len(location) > 1:
        form = TableSource
    elif location[0] == "simulator" and len(location) > 1:
        form = SimulationSettings
    return nearest(location[-1], form.model_fields)


def _meaning_problems(file: str, declaration: DatasetDeclaration) -> Iterable[Problem]:
    tables = declaration.tables
    if declaration.simulator is None and declaration.sales is None and not {"orders", "order_lines"} <= set(tables):
        advice = "`sales:` (one row a store, item and day), or `tables:` with both orders and order_lines"
        yield Problem(file=file, field="sales", found="no source of sales", write=advice)
    if declaration.sales is not None:
        if {"orders", "order_lines"} & set(tables):
            found = "`sales` and also tables.orders or tables.order_lines"
            yield Problem(file=file, field="sales", found=found, write="one of the two")
        yield from _source_problems(file, "sales", declaration.sales, SALES_COLUMNS)
    allowed = [name for name in TABLES if name not in DERIVED_TABLES]
    for name, source in tables.items():
        if name in allowed:
            yield from _source_problems(file, f"tables.{name}", source, TABLES[name].column_names)
        else:
            found = f"{name!r}, which is no table that a dataset fills"
            yield Problem(file=file, field=f"tables.{name}", found=found, write=nearest(name, allowed))


def _source_problems(file: str, field: str, source: TableSource, columns: Sequence[str]) -> Iterable[Problem]:
    if (source.file is None) == (source.sql is None):
        found = "neither `file` nor `sql`" if source.file is None else "both `file` and `sql`"
        yield Problem(file=file, field=field, found=found, write="one of the two")
    for name, given in source.columns.items():
        if name not in columns:
            found = f"{name!r}, which is no column of {field.removeprefix('tables.')}"
            yield Problem(file=file, field=f"{field}.columns.{name}", found=found, write=nearest(name, columns))
        elif isinstance(given, Expression) and len(given.model_fields_set) != 1:
            found = "an expression with " + (" and ".join(sorted(given.model_fields_set)) or "nothing in it")
            yield Problem(file=file, field=f"{field}.columns.{name}", found=found, write="`{sql: …}` or `{value: …}`")
