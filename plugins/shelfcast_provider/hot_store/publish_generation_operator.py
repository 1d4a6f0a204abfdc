"""Publishes a business date's features as a generation of the hot store."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from shelfcast.errors import HotStoreError, NothingToDo
from shelfcast.model import declaration as declarations
from shelfcast_provider.business_date import business_date_of

if TYPE_CHECKING:
    from datetime import date

    from airflow.sdk import Context

    from shelfcast.hot_store.draft import Draft
    from shelfcast.model.declaration import ModelDeclaration


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
        """Reads the partition and packs it, piece by piece, publishes it; what the cold store lacks, a retry does not bring."""
        from shelfcast.hot_store.generation import describe
        from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook

        day, declaration = business_date_of(self.business_date), declarations.load(self.model)
        run = f"{context['run_id']}/{context['ti'].try_number}"
        with TemporaryDirectory() as folder:
            draft = self._draft(declaration, day, Path(folder))
            manifest = describe(
                draft.values(), model=self.model, business_date=day, fields=declaration.vector_fields, run=run
            )
            try:
                HotStoreHook().publish(manifest, draft, entity_kind=declaration.entity)
            except NothingToDo as reason:
                self.log.info("Superseded: %s", reason)
                return {"outcome": "superseded", "generation": None, "vectors": 0}
        self.log.info("Published %s vectors of %s as generation %s.", manifest.count, self.model, manifest.generation)
        return {"outcome": "published", "generation": manifest.generation, "vectors": manifest.count}

    def _draft(self, declaration: "ModelDeclaration", day: "date", folder: Path) -> "Draft":
        from shelfcast.hot_store.draft import Draft
        from shelfcast.hot_store.partition import packed_pieces
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

        try:
            with ColdStoreHook() as store:
                return Draft(packed_pieces(store, declaration, day), folder / "vectors.parquet")
        except HotStoreError as error:
            raise AirflowFailException(str(error)) from error
