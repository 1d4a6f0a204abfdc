"""Checks a batch with Great Expectations before it is loaded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from shelfcast import storage
from shelfcast.errors import BatchRefused
from shelfcast.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context


class CheckBatchOperator(BaseOperator):
    """Fails when a batch as a whole is not what it must be; a retry cannot help then.

    Args:
        export: Folder that the landing job wrote (templated).

    Returns:
        `expectations` checked, `rows` they were checked on, `quarantined` ones beside those, and the `report`'s path.
    """

    template_fields: Sequence[str] = ("export",)

    def __init__(self, *, export: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.export = export

    def execute(self, context: "Context") -> dict[str, Any]:
        """Validates each table of the batch."""
        from shelfcast.ingestion.check_batch import check

        reports = Settings.from_environment().artifacts / "reports" / "batches"
        try:
            with storage.local_copy(storage.location(self.export)) as export:
                report = check(export, reports)
        except BatchRefused as error:
            raise AirflowFailException(str(error)) from error
        self.log.info(
            "Checked %s expectations on %s rows, and all were met; %s rows are set aside for the quarantine. Report: %s",
            report.checked, report.rows, report.quarantined, report.path,
        )  # fmt: skip
        counts = {"expectations": report.checked, "rows": report.rows, "quarantined": report.quarantined}
        return {**counts, "report": str(report.path)}
