"""What a cold store unloaded, read piece by piece and alike whichever store wrote it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def count_rows(folder: Path) -> int:
    """Rows of the Parquet files in a folder."""
    return sum(pq.read_metadata(path).num_rows for path in folder.glob("*.parquet"))


def pieces(folder: Path, *, rows: int) -> Iterator[pa.Table]:
    """The rows of the Parquet files in a folder, file by file, `rows` of them at a time and the rest last.

    Columns have lower-case names and one type a kind: whole numbers of 64 bits, double precision, microseconds.
    """
    files = (pq.ParquetFile(path) for path in sorted(folder.glob("*.parquet")))
    tables = (_plain(batch) for file in files for batch in file.iter_batches(batch_size=rows))
    return (piece.combine_chunks() for piece in cut(tables, rows))


def cut(tables: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """The rows of tables of any size, `rows` of them at a time and the rest last."""
    waiting: list[pa.Table] = []
    for table in tables:
        joined = pa.concat_tables([*waiting, table], promote_options="permissive")
        whole = joined.num_rows // rows * rows
        yield from (joined.slice(start, rows) for start in range(0, whole, rows))
        waiting = [joined.slice(whole)]
    yield from (table for table in waiting if table.num_rows)


def _plain(batch: pa.RecordBatch) -> pa.Table:
    schema = pa.schema([(field.name.lower(), _kind(field.type)) for field in batch.schema])
    return pa.Table.from_batches([batch]).rename_columns(schema.names).cast(schema)


def _kind(type_: pa.DataType) -> pa.DataType:
    if pa.types.is_integer(type_) or (pa.types.is_decimal(type_) and type_.scale == 0):
        return pa.int64()
    if pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return pa.float64()
    return pa.timestamp("us") if pa.types.is_timestamp(type_) else type_
