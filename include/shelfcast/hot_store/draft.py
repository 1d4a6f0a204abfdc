"""Packed vectors on their way into the hot store: in pieces on disk, for they are gone through more than once."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SCHEMA = pa.schema({"entity": pa.string(), "vector": pa.binary()})


class Draft:
    """The vectors of a generation that is about to be written, a mapping by entity at a time.

    Its name tells its content, so all of them are seen before the first one is written.

    Args:
        pieces: Packed vectors by entity; they are gone through once.
        path: A file to be made.
    """

    def __init__(self, pieces: Iterable[Mapping[str, bytes]], path: Path) -> None:
        self._path = path
        with pq.ParquetWriter(path, SCHEMA, compression="none", use_dictionary=False, write_statistics=False) as file:
            for piece in pieces:
                columns = [pa.array(list(piece), pa.string()), pa.array(list(piece.values()), pa.binary())]
                file.write_table(pa.table(columns, schema=SCHEMA))

    def __iter__(self) -> Iterator[dict[str, bytes]]:
        """The pieces as they were given."""
        with pq.ParquetFile(self._path) as file:
            for number in range(file.num_row_groups):
                piece = file.read_row_group(number)
                yield dict(zip(piece["entity"].to_pylist(), piece["vector"].to_pylist(), strict=True))

    def values(self) -> Iterator[bytes]:
        """All vectors in order."""
        return (value for piece in self for value in piece.values())
