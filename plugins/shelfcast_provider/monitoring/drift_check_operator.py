"""Watches the inputs of the forecasts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from shelfcast.errors import NothingToDo
from shelfcast.settings import Settings
from shelfcast_provider.business_date import business_date_of
from shelfcast_provider.connections import COLD_STORE

if TYPE_CHECKING:
    from airflow.sdk import Context


class DriftCheckOperator(BaseOperator):
    """Tests whether the inputs of a business date left their references, and keeps the result and a page to look at.

    Args:
        business_date: The date to check, `YYYY-MM-DD` (templated).
        connection_id: The cold store.

    Returns:
        `business_date`, the names in `drifted` and `judged`, the number of quantities `checked`, and `page`: the URI
        of Evidently's report, or `None` while there is no reference to compare with.
    """

    template_fields: Sequence[str] = ("business_date",)

    def __init__(self, *, business_date: str, connection_id: str = COLD_STORE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.business_date = business_date
        self.connection_id = connection_id

    def execute(self, context: "Context") -> dict[str, Any]:
        """Checks the date; a date without features is a skip, a shop without a past is not."""
        from shelfcast.monitoring.drift import DriftRules, check_drift
        from shelfcast.monitoring.drift_inputs import read_samples, write_report
        from shelfcast.monitoring.drift_page import write_page
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

        day = business_date_of(self.business_date)
        rules = DriftRules()
        with ColdStoreHook(self.connection_id) as store:
            try:
                samples = read_samples(store, day)
            except NothingToDo as reason:
                raise AirflowSkipException(str(reason)) from reason
            report = check_drift(samples.newest, samples.references, business_date=day, rules=rules)
            checked = write_report(store, report)
        page = write_page(samples, report, Settings.from_environment().artifacts / "reports" / "drift", rules=rules)
        self.log.info(
            "Checked %s quantities of %s and judged %s. Drifted: %s.",
            checked, day, ", ".join(report.judged) or "none", ", ".join(report.drifted) or "none",
        )  # fmt: skip
        return {
            "business_date": day.isoformat(),
            "drifted": list(report.drifted),
            "judged": list(report.judged),
            "checked": checked,
            "page": page.as_uri() if page else None,
        }
