"""Watches what past forecasts turned out to be worth."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from shelfcast.errors import BundleError, NothingToDo
from shelfcast.settings import Settings
from shelfcast_provider.business_date import business_date_of
from shelfcast_provider.connections import COLD_STORE

if TYPE_CHECKING:
    from airflow.sdk import Context

    from shelfcast.monitoring.realised_error import Score


class RealisedErrorOperator(BaseOperator):
    """Scores the forecasts whose last day is the business date, against what was sold as known at its close.

    Args:
        business_date: The date whose close ends the forecasts' days, `YYYY-MM-DD` (templated).
        model: Model whose releases promised an error.
        connection_id: The cold store.

    Returns:
        `business_date` and one entry in `scores` for each vintage: its date, state, WAPE and bias.
    """

    template_fields: Sequence[str] = ("business_date",)

    def __init__(
        self, *, business_date: str, model: str = "demand", connection_id: str = COLD_STORE, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.business_date = business_date
        self.model = model
        self.connection_id = connection_id

    def execute(self, context: "Context") -> dict[str, Any]:
        """Scores; a vintage that cannot be scored is a row with its state, not a failure."""
        from shelfcast.monitoring.realised_error import score_vintages
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

        day = business_date_of(self.business_date)
        releases = Settings.from_environment().artifacts / "releases" / self.model
        with ColdStoreHook(self.connection_id) as store:
            try:
                scores = score_vintages(store, day, releases=releases)
            except NothingToDo as reason:
                raise AirflowSkipException(str(reason)) from reason
            except BundleError as error:
                raise AirflowFailException(str(error)) from error
        found = [
            {
                "vintage": score.business_date.isoformat(),
                "state": score.state.value,
                "wape": score.wape,
                "bias": score.bias,
                "strongest_simple_wape": score.strongest_simple_wape,
                "rows": score.row_count,
            }
            for score in scores
        ]
        for score in scores:
            self.log.info("%s", _sentence(score))
        return {"business_date": day.isoformat(), "scores": found}


def _sentence(score: "Score") -> str:
    """What came of one vintage."""
    days = f"the vintage of {score.business_date}, {score.horizon_from} to {score.horizon_to} days ahead"
    if score.wape is None or score.bias is None:
        return f"Did not score {days}: {score.state.value}."
    simple = score.strongest_simple_wape
    beside = "" if simple is None else f" (the strongest simple method: {simple:.1%})"
    return f"Scored {score.row_count} rows of {days}: WAPE {score.wape:.1%}{beside}, bias {score.bias:+.1%}."
