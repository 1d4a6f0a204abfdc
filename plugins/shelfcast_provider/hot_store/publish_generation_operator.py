"""Publishes a business date's features as a generation of the hot store."""

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from shelfcast.errors import HotStoreError, NothingToDo
from shelfcast.model import declaration as declarations
from shelfcast.model.declaration import ModelDeclaration
from shelfcast_provider.business_date import business_date_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from shelfcast.cold_store.cold_store import ColdStore


def packed(store: "ColdStore", declaration: ModelDeclaration, day: date) -> tuple[list[str], list[bytes]]:
    """Entities of a business date and their vectors, out of the cold store; raises `HotStoreError` if it has not all."""
    from shelfcast.hot_store.partition import read_partition
    from shelfcast.hot_store.vector import pack

    partition = read_partition(store, declaration, day)
    return partition.entities, pack(partition.numbers, business_date=day, fields=declaration.vector_fields)


class PublishGenerationOperator(BaseOperator):
    """Writes the generation of a model for a business date and points at it, unless a newer date is served.

    Args:
        model: Name of the model.
        business_date: ISO date of a built partition (templated).

    Returns:
        `outcome` (`published`, or `superseded` by a newer date), `generation` and `vectors`.
    """

    template_fields: Sequence[str] = ("business_date",)

    def __init__(self, *, model: str, business_date: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.business_date = business_date

    def execute(self, context: "Context") -> dict[str, Any]:
        """Reads the partition, packs it, publishes it; what the cold store lacks, a retry does not bring."""
        from shelfcast.hot_store.generation import describe
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook
        from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook

        day, declaration = business_date_of(self.business_date), declarations.load(self.model)
        try:
            with ColdStoreHook() as store:
                entities, values = packed(store, declaration, day)
        except HotStoreError as error:
            raise AirflowFailException(str(error)) from error
        run = f"{context['run_id']}/{context['ti'].try_number}"
        manifest = describe(values, model=self.model, business_date=day, fields=declaration.vector_fields, run=run)
        try:
            HotStoreHook().publish(manifest, entities, values, entity_kind=declaration.entity)
        except NothingToDo as reason:
            self.log.info("Superseded: %s", reason)
            return {"outcome": "superseded", "generation": None, "vectors": 0}
        self.log.info("Published %s vectors of %s as generation %s.", manifest.count, self.model, manifest.generation)
        return {"outcome": "published", "generation": manifest.generation, "vectors": manifest.count}
