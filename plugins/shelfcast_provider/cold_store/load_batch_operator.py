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

    from shelfcast_provider.cold_store.quarantined import Quarantined

MAILED_SHARE = 0.01
"""Share of a batch's rows in quarantine above which a mail tells of them; a batch with far more is refused."""


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
    """Merges a batch into RAW, and mails if many of its rows went to quarantine.

    Args:
        export: Folder that the landing job wrote, which is called as the batch is (templated).
        mail_above: Share of the batch's rows, 0 to 1.

    Returns:
        `rows`, `quarantined`, and the `business_dates` that are complete now, ISO text.
    """

    template_fields: Sequence[str] = ("export",)

    def __init__(self, *, export: str, mail_above: float = MAILED_SHARE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.export = export
        self.mail_above = mail_above

    def execute(self, context: "Context") -> dict[str, Any]:
        """Loads the batch; one with too many bad rows is not tried again."""
        from shelfcast.cold_store.load_batch import load
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook
        from shelfcast_provider.cold_store.quarantined import Quarantined

        with ColdStoreHook() as store, storage.local_copy(storage.location(self.export)) as export:
            try:
                loaded = load(store, export)
            except BatchRefused as error:
                raise AirflowFailException(str(error)) from error
            counts = {"rows": loaded.quarantined, "rows_read": loaded.rows + loaded.quarantined}
            quarantined = Quarantined.of(store, export.name, **counts)
        dates = [day.isoformat() for day in loaded.business_dates]
        self.log.info(
            "Merged %s versions of rows into RAW. Business dates that are complete now: %s.",
            loaded.rows, ", ".join(dates) or "none",
        )  # fmt: skip
        self.log.info("%s", quarantined)
        if quarantined.share > self.mail_above:
            self._mail(quarantined, context)
        return {"rows": loaded.rows, "quarantined": loaded.quarantined, "business_dates": dates}

    def _mail(self, quarantined: "Quarantined", context: "Context") -> None:
        """Mails; the batch is loaded, and a mail server that is away must not have it loaded again."""
        try:
            quarantined.mail(link=context["ti"].log_url)
        except Exception:
            self.log.exception("The mail about the quarantine could not be sent; the batch is loaded")
