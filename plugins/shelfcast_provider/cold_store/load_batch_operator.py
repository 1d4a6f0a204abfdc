"""Loads a batch into the cold store, and says where the next one begins."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from shelfcast import storage
from shelfcast.errors import BatchRefused

if TYPE_CHECKING:
    from airflow.sdk import Context


class LastDrainOperator(BaseOperator):
    """Looks up the last drain that is loaded whole; makes the tables the first time.

    Returns:
        `generation` and `drain`, both 0 before the first batch.
    """

    def execute(self, context: "Context") -> dict[str, int]:
        """Asks the cold store, which is the authority on what is loaded."""
        from shelfcast.cold_store.load_batch import last_drain, prepare
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

        with ColdStoreHook() as store:
            prepare(store)
            last = last_drain(store)
        if last.generation:
            self.log.info("Found drain %s of generation %s loaded last.", last.drain, last.generation)
        else:
            self.log.info("Found nothing loaded yet: the first snapshot is still to come.")
        return asdict(last)


class LoadBatchOperator(BaseOperator):
    """Merges a batch into RAW.

    Args:
        export: Folder that the landing job wrote (templated).

    Returns:
        `rows`, `quarantined`, and the `business_dates` that are complete now, ISO text.
    """

    template_fields: Sequence[str] = ("export",)

    def __init__(self, *, export: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.export = export

    def execute(self, context: "Context") -> dict[str, Any]:
        """Loads the batch; one with too many bad rows is not tried again."""
        from shelfcast.cold_store.load_batch import load
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

        with ColdStoreHook() as store, storage.local_copy(storage.location(self.export)) as export:
            try:
                loaded = load(store, export)
            except BatchRefused as error:
                raise AirflowFailException(str(error)) from error
        dates = [day.isoformat() for day in loaded.business_dates]
        self.log.info(
            "Merged %s versions of rows into RAW and put %s rows into quarantine. Business dates that are complete now: %s.",
            loaded.rows, loaded.quarantined, ", ".join(dates) or "none",
        )  # fmt: skip
        return {"rows": loaded.rows, "quarantined": loaded.quarantined, "business_dates": dates}
