"""What the rest of Shelfcast asks of a cold store, whichever server answers."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import pandas as pd

from shelfcast.cold_store.statements import BATCH_ROWS, Names

Parameters = Mapping[str, object]


class ColdStore(Protocol):
    """A Snowflake-dialect warehouse with the schemas RAW, QUARANTINE, FEATURES, FORECASTS and OPERATIONS."""

    def run(self, name: str, parameters: Parameters | None = None, **names: Names) -> int:
        """Runs `sql/<name>.sql` and returns the number of rows it changed (0 for DDL)."""
        ...

    def fetch(self, name: str, parameters: Parameters | None = None, **names: Names) -> pd.DataFrame:
        """Runs `sql/<name>.sql` and returns its rows; column names are lower-case."""
        ...

    def batches(
        self, name: str, parameters: Parameters | None = None, *, rows: int = BATCH_ROWS, **names: Names
    ) -> Iterator[pd.DataFrame]:
        """Runs `sql/<name>.sql` and returns its rows in order, `rows` of them at a time and the rest last.

        Of an empty result there is no batch. Other statements may run, and other batches be read, in between.
        """
        ...

    def unload(self, name: str, parameters: Parameters | None, folder: Path, **names: Names) -> int:
        """Writes the rows of `sql/<name>.sql` to `folder`, in the statement's order; returns how many there are.

        They are written by the store and pass by this process as a file: `shelfcast.cold_store.unloaded` reads it. Of no
        rows there is no file.

        Args:
            name: Path below `sql/` without its ending.
            parameters: Values that the statement binds.
            folder: Takes one Parquet file; is there and empty.
            **names: Identifiers for the statement's variables.
        """
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """What is run within takes effect at its end as a whole, or not at all if an error leaves it.

        Until then others see what was there before. DDL and `load_parquet` have no place in it, nor has another
        transaction: Snowflake ends this one, unasked, before it makes anything.
        """
        ...

    def load_parquet(self, folder: Path, *, table: str, batch_id: str) -> int:
        """Appends the Parquet files directly in `folder` to `table` by column name; returns the rows loaded.

        Each call loads: whoever may call twice empties the table, or deletes his rows, before.

        Args:
            folder: Holds one or more Parquet files.
            table: Schema-qualified name.
            batch_id: Names the path of the files on the stage, unique for each content.
        """
        ...
