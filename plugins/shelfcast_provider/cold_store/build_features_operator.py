"""Builds the feature partitions of a business date."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from shelfcast.errors import NothingToDo
from shelfcast.model import declaration as declarations
from shelfcast_provider.business_date import business_date_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class BuildFeaturesOperator(BaseOperator):
    """Builds what is missing up to a business date, and that date's partitions in any case.

    Args:
        business_date: ISO date (templated).

    Returns:
        Counts of the date's partitions, and how many dates were built.
    """

    template_fields: Sequence[str] = ("business_date",)

    def __init__(self, *, business_date: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.business_date = business_date

    def execute(self, context: "Context") -> dict[str, Any]:
        """Builds the partitions; skips a date that the shop has not closed."""
        from shelfcast.cold_store.feature_views import build_partitions
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

        day = business_date_of(self.business_date)
        with ColdStoreHook() as store:
            try:
                report = build_partitions(store, day, horizon_days=declarations.longest_horizon())
            except NothingToDo as reason:
                raise AirflowSkipException(str(reason)) from reason
        self.log.info(
            "Built the features of %s business dates up to %s, which has %s series, %s of them active, and %s customers.",
            report.dates_built, day, report.series, report.active_series, report.customers,
        )  # fmt: skip
        return {**asdict(report), "business_date": self.business_date}
