"""The file of forecasts that a backtest leaves: one row a series, cutoff, day ahead and model."""

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from types import TracebackType

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from shelfcast.model.declaration import QUANTILE_NAMES, ModelDeclaration
from shelfcast.training.backtest.scores import SIMPLE

QUANTILES = tuple(QUANTILE_NAMES.values())
PART_ROWS = 100_000
"""Rows of a row group."""


class ForecastFile:
    """Written cutoff by cutoff; has its name only when it is whole.

    Args:
        path: To write to; its folder is made.
        declaration: The model.
        id_types: DuckDB types that `store_id` and `item_id` had in the input; whole numbers come back as such.
        baselines: Whether the simple methods are written too, without quantiles.
    """

    def __init__(
        self, path: Path, declaration: ModelDeclaration, id_types: Mapping[str, str], *, baselines: bool
    ) -> None:
        self.path, self.declaration, self.baselines, self.rows = path, declaration, baselines, 0
        self._ids = {name: _id_type(id_types.get(name, "VARCHAR")) for name in ("store_id", "item_id")}
        days = [("cutoff", pa.date32()), ("sales_date", pa.date32())]
        numbers = [(name, pa.float32()) for name in ("mean", *QUANTILES)]
        self._schema = pa.schema([*self._ids.items(), *days, *numbers, ("model", pa.string())])
        self._draft = path.with_name(f".{path.name}.part")

    def __enter__(self) -> "ForecastFile":
        """Opens the draft."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._writer = pq.ParquetWriter(self._draft, self._schema, compression="zstd")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Gives the draft its name, or removes it after an error."""
        self._writer.close()
        if kind is None:
            self._draft.replace(self.path)
        else:
            self._draft.unlink()

    def write(self, cutoff: date, rows: pd.DataFrame, *, silent: pd.DataFrame) -> None:
        """Writes a cutoff's forecasts, and zeros for the series that are `silent` (`store_id`, `item_id`)."""
        everything = pd.concat([rows, self._zeros(cutoff, rows, silent)]) if len(silent) else rows
        # categories are compared by their number, which is their position in order
        everything = everything.astype(dict.fromkeys(self._ids, "category"))
        ordered = everything.sort_values(["store_id", "item_id", "sales_date"], ignore_index=True)
        for part in self._by_model(ordered):
            frame = part.assign(cutoff=cutoff, sales_date=pd.to_datetime(part["sales_date"]).dt.date)
            frame = frame.astype(
                {name: "int64" if pa.types.is_integer(kind) else str for name, kind in self._ids.items()}
            )
            self._writer.write_table(pa.Table.from_pandas(frame, schema=self._schema, preserve_index=False))
            self.rows += len(frame)

    def _by_model(self, rows: pd.DataFrame) -> Iterator[pd.DataFrame]:
        """Rows as they are written, part by part."""
        parts = [rows.iloc[start : start + PART_ROWS] for start in range(0, len(rows), PART_ROWS)]
        for part in parts:
            yield part.assign(model=self.declaration.name)
        for column in _simple(rows) if self.baselines else []:
            for part in parts:
                named = part.assign(mean=part[column], model=column.removeprefix(SIMPLE))
                yield named.assign(**dict.fromkeys(QUANTILES, float("nan")))

    def _zeros(self, cutoff: date, rows: pd.DataFrame, silent: pd.DataFrame) -> pd.DataFrame:
        days = range(1, self.declaration.horizon + 1)
        ahead = pd.DataFrame({"sales_date": pd.to_datetime([cutoff + timedelta(days=day) for day in days])})
        return silent.merge(ahead, how="cross").assign(**dict.fromkeys(["mean", *QUANTILES, *_simple(rows)], 0.0))


def _simple(rows: pd.DataFrame) -> list[str]:
    return [str(name) for name in rows.columns if str(name).startswith(SIMPLE)]


def _id_type(name: str) -> pa.DataType:
    return pa.int64() if "INT" in name else pa.string()
