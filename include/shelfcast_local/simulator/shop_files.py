"""A simulated shop as the files that `shelfcast backtest` reads, and beside them what only the simulator knows."""

from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from shelfcast.errors import ConfigurationError, first_offenders
from shelfcast.sources.canonical_columns import SALES_KEY, STATIC_COLUMNS
from shelfcast_local.simulator.simulator import Simulator

SALES = "sales.parquet"
TRUE_DEMAND = "true_demand.parquet"
"""No file of a canonical folder: nothing in it can reach a forecast."""

KEY = list(SALES_KEY)
HOLIDAYS = ("is_public_holiday", "is_school_holiday")
OBSERVED = ["units_sold", "is_stocked_out", "on_promotion", "discount", "price", "is_open", *HOLIDAYS]
TRUE = ["units_demanded", "expected_units"]


@dataclass(frozen=True, kw_only=True)
class ShopFiles:
    """What was written.

    Attributes:
        folder: Where.
        rows: Rows of `sales.parquet`.
        series: Different pairs of store and item in it.
        stocked_out_share: Share of its rows that ended with an empty shelf.
        lost_share: Share of the true demand that was not sold, for want of stock.
    """

    folder: Path
    rows: int
    series: int
    stocked_out_share: float
    lost_share: float

    def __str__(self) -> str:
        """One line for a person."""
        return (
            f"{self.folder}: {self.series} series, {self.rows:,} rows. {self.stocked_out_share:.1%} of them ended with an "
            f"empty shelf, which hid {self.lost_share:.1%} of the demand; {TRUE_DEMAND} has all of it."
        )


def write_shop_files(simulator: Simulator, folder: Path) -> ShopFiles:
    """Writes the history as a canonical folder, and `true_demand.parquet`, which no backtest reads.

    `sales.parquet` has a row for each day that an item is in a store's range, with the promotions that took place. The
    true demand is told as `units_demanded` and as `expected_units`, its mean given everything but chance.

    Args:
        simulator: The shop.
        folder: To write to; made if missing.

    Raises:
        ConfigurationError: The folder holds something already.
    """
    _refuse_files(folder)
    tables = dict(takewhile(lambda named: named[0] != "orders", simulator.history_tables()))
    days = simulator.truth(simulator.settings.first_day, simulator.last_history_date)
    days = _with_holidays(days, tables).sort_values(KEY, ignore_index=True)
    folder.mkdir(parents=True, exist_ok=True)
    for file, names in STATIC_COLUMNS.items():
        table = tables[Path(file).stem]
        pq.write_table(table.select([name for name in names if name in table.column_names]), folder / file)
    pq.write_table(tables["weather_forecasts"], folder / "weather_forecasts.parquet")
    _write(days[KEY + TRUE], folder / TRUE_DEMAND)
    _write(days[KEY + OBSERVED], folder / SALES)
    return ShopFiles(
        folder=folder,
        rows=len(days),
        series=len(days[["store_id", "item_id"]].drop_duplicates()),
        stocked_out_share=float(days["is_stocked_out"].mean()),
        lost_share=float(1 - days["units_sold"].sum() / days["units_demanded"].sum()),
    )


def _refuse_files(folder: Path) -> None:
    """Nobody's own `sales.parquet` is to be lost by a word too few on a command line."""
    found = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if found:
        raise ConfigurationError(
            f"{folder} holds {first_offenders(found)}; a simulated shop is only written to a folder of its own. Name one "
            "that is empty or does not exist yet."
        )


def _with_holidays(days: pd.DataFrame, tables: dict[str, pa.Table]) -> pd.DataFrame:
    """Adds whether a day is a public, and whether it is a school holiday in the store's region."""
    regions = tables["stores"].select(["store_id", "region"]).to_pandas()
    holidays = tables["holidays"].to_pandas().merge(regions, on="region")
    holidays["sales_date"] = pd.to_datetime(holidays["holiday_on"]).astype(days["sales_date"].dtype)
    flags = pd.crosstab([holidays["store_id"], holidays["sales_date"]], holidays["kind"]) > 0
    flags = flags.rename(columns={"public": HOLIDAYS[0], "school": HOLIDAYS[1]})
    of_day = flags.reindex(pd.MultiIndex.from_frame(days[["store_id", "sales_date"]]), fill_value=False)
    return days.assign(**{name: of_day[name].to_numpy() for name in HOLIDAYS})


def _write(rows: pd.DataFrame, path: Path) -> None:
    table = pa.Table.from_pandas(rows.assign(sales_date=rows["sales_date"].dt.date), preserve_index=False)
    pq.write_table(table.replace_schema_metadata(None), path, compression="zstd")
