"""Compares the hot store with the cold one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from shelfcast.errors import NothingToDo, PostConditionFailed
from shelfcast.model import declaration as declarations
from shelfcast_provider.business_date import business_date_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class ParityOperator(BaseOperator):
    """Fails unless every vector that is served equals the cold store's features of the business date.

    Args:
        models: Names of the models to compare.
        business_date: ISO date (templated).

    Returns:
        Number of vectors compared, by model; `None` where a newer date is served, so that there is nothing to compare.
    """

    template_fields: Sequence[str] = ("business_date",)

    def __init__(self, *, models: Sequence[str], business_date: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.models = list(models)
        self.business_date = business_date

    def execute(self, context: "Context") -> dict[str, int | None]:
        """Reads both sides and compares every number; where they differ, another try finds the same."""
        try:
            compared = {model: self._compare(model) for model in self.models}
        except PostConditionFailed as error:
            raise AirflowFailException(str(error)) from error
        counts = ", ".join(f"{model} {count}" for model, count in compared.items() if count is not None)
        if counts:
            self.log.info("Compared vectors of %s with the cold store: %s; all are equal.", self.business_date, counts)
        return compared

    def _compare(self, model: str) -> int | None:
        from shelfcast.hot_store.generation import refuse_older
        from shelfcast.hot_store.parity import check_parity
        from shelfcast.hot_store.partition import read_pieces
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook
        from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook

        day, declaration, hook = business_date_of(self.business_date), declarations.load(model), HotStoreHook()
        manifest = hook.current(model)
        try:
            refuse_older(manifest.generation, business_date=day, model=model)
        except NothingToDo as reason:
            self.log.info("Nothing is compared: %s", reason)
            return None
        with ColdStoreHook() as store:
            return check_parity(
                read_pieces(store, declaration, day),
                hook.reader(manifest, entity_kind=declaration.entity),
                fields=declaration.vector_fields,
                business_date=day,
                model=model,
            )
