"""Decides whether a model is trained again before its turn."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from shelfcast_provider.business_date import business_date_of
from shelfcast_provider.connections import COLD_STORE
from shelfcast_provider.retraining.retraining_trigger_operator import retraining_dag

if TYPE_CHECKING:
    from airflow.sdk import Context

IN_FLIGHT = ["queued", "running"]


class GovernorOperator(BaseOperator):
    """Judges the newest business dates and keeps one decision for the newest.

    Args:
        model: Name of the model.
        business_date: The date to decide for, `YYYY-MM-DD` (templated).
        connection_id: The cold store.

    Returns:
        `outcome` (`request` or `hold`), `decision_id`, `cause`, `reason`, `model` and `business_date`.
    """

    template_fields: Sequence[str] = ("business_date",)

    def __init__(self, *, model: str, business_date: str, connection_id: str = COLD_STORE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.business_date = business_date
        self.connection_id = connection_id

    def execute(self, context: "Context") -> dict[str, str]:
        """Decides; a hold is a result like a request."""
        from shelfcast.retraining.decisions import decide_and_keep
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

        day = business_date_of(self.business_date)
        task_instance = context["ti"]
        with ColdStoreHook(self.connection_id) as store:
            decision = decide_and_keep(
                store,
                model=self.model,
                business_date=day,
                is_retraining_in_flight=lambda: bool(
                    task_instance.get_dr_count(dag_id=retraining_dag(self.model), states=IN_FLIGHT)
                ),
            )
        self.log.info("%s: %s", decision.outcome.value, decision.reason)
        return {
            "outcome": decision.outcome.value,
            "decision_id": decision.decision_id,
            "cause": decision.cause.value,
            "reason": decision.reason,
            "model": decision.model,
            "business_date": day.isoformat(),
        }
