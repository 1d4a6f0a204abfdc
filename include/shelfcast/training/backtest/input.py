"""What a backtest reads: a dataset declaration or a folder of canonical Parquet, written as the shop's tables."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import yaml

from shelfcast.errors import DatasetError
from shelfcast.sources.canonical_columns import ColumnUse
from shelfcast.sources.canonical_folder import SALES, CanonicalFolder
from shelfcast.sources.canonical_shop import write_shop
from shelfcast.sources.dataset import DECLARATION_FILE, Dataset, find_declaration
from shelfcast.sources.dataset_declaration import read_declaration
from shelfcast.sources.shop_schema import TABLES

ALL_STORES = 1_000_000_000
DECLARATION_KEYS = {"sales", "tables", "files", "simulator"}


@dataclass(frozen=True, kw_only=True)
class History:
    """A past that was read.

    Attributes:
        name: Of the dataset.
        id_types: DuckDB types that `store_id` and `item_id` had in the files; text unless told.
        uses: How each column of a canonical folder was taken; empty for a declaration, which says so itself.
        notes: What a reader of the figures should know.
        series: `store_id`, `item_id` and `first_on` of every series of a canonical folder; `None` for a declaration.
        ignores_outliers: Whether days beyond belief, as known at a cutoff, are to be ignored at it.
    """

    name: str
    id_types: dict[str, str] = field(default_factory=dict)
    uses: list[ColumnUse] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    series: pd.DataFrame | None = None
    ignores_outliers: bool = False


def write_history(
    dataset: Path, out: Path, *, data: Path | None, lead_days: int, num_threads: int, memory_gib: float | None = None
) -> History:
    """Reads and checks a dataset and writes the shop's tables to `out`, one sub-folder of Parquet each.

    Args:
        dataset: A declaration, a folder with one, or a folder with `sales.parquet`.
        out: To write to.
        data: The declaration's data folder, if it is another.
        lead_days: Days ahead that a known-ahead column of a canonical folder is known.
        num_threads: Threads for reading, 1 or more.
        memory_gib: GiB that reading a canonical folder may hold before it spills to `out`; DuckDB's own choice if `None`.

    Raises:
        DatasetError: Up to ten problems at once.
    """
    if is_canonical(dataset):
        database = out / "canonical.duckdb"
        folder = CanonicalFolder(dataset, database=database, num_threads=num_threads, memory_gib=memory_gib)
        return _write_canonical(folder, out, lead_days=lead_days)
    path, _ = find_declaration(dataset, data)
    if read_declaration(path).simulator is not None:
        raise DatasetError(
            f"{path.name} declares a simulated shop, which has no files to read. Play it (`shelfcast demo`), or name a "
            "dataset of files."
        )
    read = Dataset(dataset, data=data, stores=ALL_STORES, hold_back_days=0, num_threads=num_threads)
    for name in TABLES:
        rows = read.rows(name)
        if rows.num_rows:
            (out / name).mkdir(parents=True, exist_ok=True)
            pq.write_table(rows, out / name / "part.parquet")
    return History(name=read.declaration.name)


def is_canonical(dataset: Path) -> bool:
    """Whether this is a folder with `sales.parquet` that no dataset declaration maps to the shop."""
    if not (dataset / SALES).is_file():
        return False
    try:
        content = yaml.safe_load((dataset / DECLARATION_FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, yaml.YAMLError):
        return True
    return not (isinstance(content, dict) and DECLARATION_KEYS & content.keys())


def _write_canonical(read: CanonicalFolder, out: Path, *, lead_days: int) -> History:
    try:
        write_shop(read, out, lead_days=lead_days)
        series = read.connection.execute(
            "SELECT store_id, item_id, min(sales_date) AS first_on FROM sales GROUP BY ALL"
        ).df()
        return History(
            name=read.declaration.name,
            id_types=read.id_types,
            uses=read.uses,
            notes=read.notes,
            series=series,
            ignores_outliers=read.declaration.outliers == "ignore",
        )
    finally:
        read.connection.close()
        (out / "canonical.duckdb").unlink()
