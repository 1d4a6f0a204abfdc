"""Reads the shop's change log into change files."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from shelfcast.errors import ChangeLogLost, ConfigurationError
from shelfcast.ingestion.change_files import ChangeFolder
from shelfcast.settings import Settings
from shelfcast_provider.connections import SHOP_DATABASE

if TYPE_CHECKING:
    from airflow.sdk import Context


class DrainChangeLogOperator(BaseOperator):
    """Reads all that was committed before the task began; skips when nothing waits to be loaded.

    Args:
        loaded: `{"generation": int, "drain": int}` of the last drain that is in the cold store (templated).
        take_snapshot: `True` to read the shop's tables anew (templated).
        connection_id: The shop's database.

    Returns:
        `generation`, `drain` and `changes` of this read, and `after_drain`, the last drain that is loaded.
    """

    template_fields: Sequence[str] = ("loaded", "take_snapshot")

    def __init__(
        self, *, loaded: Any, take_snapshot: Any = False, connection_id: str = SHOP_DATABASE, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.loaded = loaded
        self.take_snapshot = take_snapshot
        self.connection_id = connection_id

    def execute(self, context: "Context") -> dict[str, int]:
        """Drains the log; what a mending hand must do first is no case for a retry."""
        from shelfcast_provider.ingestion.debezium_hook import DebeziumHook

        folder = ChangeFolder(Settings.from_environment().landing)
        is_new_snapshot = str(self.take_snapshot).lower() == "true"
        loaded = int(self.loaded["generation"]), int(self.loaded["drain"])
        try:
            drained = DebeziumHook(self.connection_id).drain(folder, loaded=loaded, take_snapshot=is_new_snapshot)
        except (ChangeLogLost, ConfigurationError) as error:
            raise AirflowFailException(str(error)) from error
        after = loaded[1] if loaded[0] == drained.generation else 0
        waiting = [
            file for file in folder.waiting(drained.generation, after_drain=after) if file.drain != drained.drain
        ]
        if not drained.changes and not waiting:
            raise AirflowSkipException("Nothing was changed in the shop since the last run.")
        self.log.info(
            "Read %s changes into %s files as drain %s of generation %s; %s earlier files wait to be loaded too.",
            drained.changes, drained.files, drained.drain, drained.generation, len(waiting),
        )  # fmt: skip
        return {
            "generation": drained.generation,
            "drain": drained.drain,
            "after_drain": after,
            "changes": drained.changes,
        }
