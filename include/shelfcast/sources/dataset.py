"""A user's own sales as a shop, by a dataset declaration."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa

from shelfcast.sources.dataset_declaration import DatasetDeclaration, Problem, dataset_error, read_declaration
from shelfcast.sources.dataset_shop import (
    add_business_days,
    complete_shop,
    keep_first_stores,
    reference_problems,
)
from shelfcast.sources.dataset_tables import DatasetTables
from shelfcast.sources.shop_schema import TABLES

SHIPPED = Path(__file__).resolve().parents[2] / "datasets"
DECLARATION_FILE = "dataset.yaml"
WRITTEN_ON = {
    "stores": "opened_on",
    "items": "introduced_on",
    "orders": "CAST(ordered_at AS DATE)",
    "prices": "CAST(announced_at AS DATE)",
    "promotions": "CAST(announced_at AS DATE)",
    "stock_levels": "stock_date",
    "store_closures": "CAST(announced_at AS DATE)",
    "weather_forecasts": "CAST(issued_at AS DATE)",
    "weather_observations": "observed_on",
    "business_days": "business_date",
}
"""The day on which the shop would have written a row; holidays are published long before."""


class Dataset:
    """A shop made from a user's files.

    Args:
        path: A declaration, or a data folder that holds `dataset.yaml` or the files of a shipped declaration.
        data: The data folder; by default the declaration's own.
        stores: Keep the first so many stores; by default what the declaration says.
        hold_back_days: Days kept back to be replayed; by default what the declaration says.
        num_threads: Threads for reading, 1 or more.

    Raises:
        DatasetError: Up to ten problems at once: file, field, what was found, what to write instead.
    """

    def __init__(
        self,
        path: Path,
        *,
        data: Path | None = None,
        stores: int | None = None,
        hold_back_days: int | None = None,
        num_threads: int = 2,
    ) -> None:
        self.path, self.folder = find_declaration(path, data)
        self.declaration = read_declaration(self.path)
        self.stores = stores or self.declaration.stores
        self.hold_back_days = self.declaration.hold_back_days if hold_back_days is None else hold_back_days
        self._tables = _build(
            self.declaration, file=self.path.name, folder=self.folder, stores=self.stores, num_threads=num_threads
        )
        self.last_date = self._last_sale()

    @property
    def last_history_date(self) -> date:
        """The last day of the history, the days held back left out."""
        return self.last_date - timedelta(days=self.hold_back_days)

    @property
    def days_to_come(self) -> Sequence[date]:
        """The days held back."""
        first = self.last_history_date + timedelta(days=1)
        return [first + timedelta(days=day) for day in range((self.last_date - first).days + 1)]

    def rows(self, table: str, written: str = "IS NOT NULL") -> pa.Table:
        """Rows of a table of the shop in the order of its key.

        Args:
            table: Name of the table.
            written: Condition on the day the shop wrote them, such as `<= DATE '2015-06-19'`.
        """
        columns = ", ".join(f"t.{name}" for name in TABLES[table].column_names)
        key = ", ".join(f"t.{name}" for name in TABLES[table].key)
        if table == "order_lines":
            source, day = "shop.order_lines AS t JOIN shop.orders AS o USING (order_id)", "CAST(o.ordered_at AS DATE)"
        else:
            source, day = f"shop.{table} AS t", f"t.{WRITTEN_ON[table]}" if table in WRITTEN_ON else "DATE '0001-01-01'"
            day = day.replace("t.CAST(", "CAST(t.")
        return self._tables.rows(f"SELECT {columns} FROM {source} WHERE {day} {written} ORDER BY {key}")  # noqa: S608

    def _last_sale(self) -> date:
        first: date | None
        last: date | None
        query = "SELECT CAST(min(ordered_at) AS DATE), CAST(max(ordered_at) AS DATE) FROM shop.orders"
        first, last = self._tables.connection.execute(query).fetchone() or (None, None)
        problem = None
        if first is None or last is None:
            problem = Problem(file=self.path.name, field="sales", found="no sale at all", write="a source with sales")
        elif (last - first).days < self.hold_back_days:
            found = f"{(last - first).days + 1} days with sales, of which {self.hold_back_days} are held back"
            problem = Problem(file=self.path.name, field="hold_back_days", found=found, write="a smaller number")
        if problem:
            raise dataset_error(self.declaration.name, [problem])
        return last


def find_declaration(path: Path, data: Path | None = None) -> tuple[Path, Path]:
    """The declaration and the data folder that `path` (and `data`) mean.

    Raises:
        DatasetError: A folder holds neither `dataset.yaml` nor all files of one shipped declaration.
    """
    if path.is_dir():
        if (path / DECLARATION_FILE).is_file():
            return path / DECLARATION_FILE, data or path
        for shipped in sorted(SHIPPED.glob("*.yaml")):
            files = read_declaration(shipped).files.values()
            if files and all((path / file).is_file() for file in files):
                return shipped, data or path
        found = "neither dataset.yaml nor the files of a shipped dataset"
        advice = f"a dataset.yaml into it, or name a declaration such as those in {SHIPPED}"
        raise dataset_error(path.name, [Problem(file=str(path), field="the folder", found=found, write=advice)])
    shipped = SHIPPED / f"{path}.yaml"
    if not path.exists() and shipped.is_file():
        return shipped, data or Path()
    return path, data or path.parent


def check(path: Path, *, data: Path | None = None) -> str:
    """Checks a declaration and the files it names; returns one line that says what is there.

    Raises:
        DatasetError: Up to ten problems at once.
    """
    found, _ = find_declaration(path, data)
    declaration = read_declaration(found)
    if declaration.simulator is not None:
        settings = declaration.simulator
        return f"{declaration.name}: a simulated shop, {settings.stores} stores, {settings.items} items."
    dataset = Dataset(path, data=data)
    counts = ", ".join(f"{dataset.rows(name).num_rows} {name}" for name in TABLES)
    until, to_come = dataset.last_history_date, len(dataset.days_to_come)
    return f"{declaration.name}: history up to {until}, then {to_come} days to come; {counts}."


def _build(
    declaration: DatasetDeclaration, *, file: str, folder: Path, stores: int | None, num_threads: int
) -> DatasetTables:
    tables = DatasetTables(declaration, file=file, folder=folder, num_threads=num_threads)
    problems = tables.file_problems()
    if not problems:
        for name in tables.declared():
            problems += tables.build(name)
    if not problems:
        complete_shop(tables.connection)
        problems = list(reference_problems(tables.connection, file=file))
    if problems:
        raise dataset_error(declaration.name, problems)
    if stores is not None:
        keep_first_stores(tables.connection, stores)
    add_business_days(tables.connection, declaration.closes_at)
    return tables
