"""Forecasts every active series into the ledger."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from shelfcast.errors import BundleError, ReleaseError
from shelfcast.settings import Settings
from shelfcast_provider.business_date import business_date_of

if TYPE_CHECKING:
    import pandas as pd
    from airflow.sdk import Context

    from shelfcast.cold_store.cold_store import ColdStore
    from shelfcast.hot_store.generation_reader import GenerationReader
    from shelfcast.serving.predictor import Predictor

COLD_STORE = "cold_store"
"""What the ledger names in a generation's place when the vectors were packed from the cold store."""

Piece = tuple[list[str], Mapping[str, bytes]]
"""Names of active series, and the vectors of those that have one."""


class ForecastActiveSeriesOperator(BaseOperator):
    """Writes the vintage of a business date: for each active series a forecast or a reason.

    Args:
        model: Name of the model, a forecast.
        business_date: ISO date (templated).

    Returns:
        `release_id`, `generation` (or `cold_store`), and the counts of `forecasts` and `reasons`.
    """

    template_fields: Sequence[str] = ("business_date",)

    def __init__(self, *, model: str, business_date: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.business_date = business_date

    def execute(self, context: "Context") -> dict[str, Any]:
        """Forecasts, swaps the vintage in whole with its release's cutoff, and checks that nobody was left out."""
        from shelfcast.serving.vintage import check_contract, forecast_all, write_piece
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

        day, settings = business_date_of(self.business_date), Settings.from_environment()
        predictor = self._serving(settings)
        release_id = predictor.bundle.release_id
        with ColdStoreHook() as store:
            active = _active_series(store, day)
            if not active:
                raise AirflowFailException(
                    f"No series is active on {day}: there is nothing to forecast. Clear feature_views of that date."
                )
            cutoff = self._cutoff_of(store, release_id, day)
            generation, pieces = self._vectors(store, predictor, day)
            about = {"release_id": release_id, "generation": generation, "run_id": context["run_id"]}
            with TemporaryDirectory() as folder:
                for number, (names, values) in enumerate(pieces):
                    rows = forecast_all(predictor, names, values, business_date=day)
                    write_piece(rows.assign(**about, release_cutoff=cutoff), Path(folder), number)
                counts = self._swap_in(store, Path(folder), day, run_id=context["run_id"])
        check_contract(active, **counts, horizon_days=predictor.declaration.horizon)
        self.log.info(
            "Forecast %s active series of %s with %s and the vectors of %s: %s forecasts, %s reasons, %s rows in the ledger.",
            active, day, release_id, generation, counts["forecasts"], counts["reasons"], counts["rows"],
        )  # fmt: skip
        return {"release_id": release_id, "generation": generation, **counts}

    def _serving(self, settings: Settings) -> "Predictor":
        """The release that serves; before the first one there is nothing to do."""
        from shelfcast.deployment import bundle, pointer
        from shelfcast.serving.predictor import Predictor

        releases = settings.artifacts / "releases" / self.model
        try:
            release_id = pointer.read(releases).current
            if release_id is None:
                raise AirflowSkipException(f"No release of {self.model} serves yet; the first one is still to come.")
            return Predictor(bundle.load(releases / release_id), num_threads=settings.num_threads)
        except (BundleError, ReleaseError) as error:
            raise AirflowFailException(str(error)) from error

    def _cutoff_of(self, store: "ColdStore", release_id: str, day: date) -> date:
        """The last day that the release knows; skips when that is later and the date has a vintage, which stays."""
        from shelfcast.deployment import bundle
        from shelfcast.serving.vintage import prepare_ledger

        prepare_ledger(store)
        cutoff = bundle.cutoff_of(release_id)
        if cutoff <= day:
            return cutoff
        if int(_counted(store, day)["row_count"]):
            raise AirflowSkipException(
                f"{release_id} knows days up to {cutoff}: its forecasts would not be those of {day}, and the vintage of "
                f"{day} stays."
            )
        self.log.warning(
            "%s knows days up to %s. %s has no vintage, so it gets one in hindsight, which is not scored.",
            release_id, cutoff, day,
        )  # fmt: skip
        return cutoff

    def _vectors(self, store: "ColdStore", predictor: "Predictor", day: date) -> "tuple[str, Iterator[Piece]]":
        """The generation that serves, if it is of the date; dates that close together are packed from the cold store."""
        from shelfcast.hot_store.partition import packed_pieces
        from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook

        hot = HotStoreHook()
        manifest = hot.current(self.model)
        if manifest.business_date == day.isoformat():
            reader = hot.reader(manifest, entity_kind=predictor.declaration.entity)
            return manifest.generation, _served_pieces(store, reader, day)
        self.log.info("The hot store serves %s, so %s is packed from the cold store.", manifest.business_date, day)
        return COLD_STORE, ((list(piece), piece) for piece in packed_pieces(store, predictor.declaration, day))

    def _swap_in(self, store: "ColdStore", folder: Path, day: date, *, run_id: str) -> dict[str, int]:
        """Replaces the vintage by what the folder's files hold; returns what the ledger then holds."""
        store.run("serving/create_ledger_draft")
        store.load_parquet(folder, table="FORECASTS.LEDGER_DRAFT", batch_id=f"vintage/{day}/{run_id}")
        store.run("serving/swap_vintage", {"business_date": day})
        counted = _counted(store, day)
        return {
            "forecasts": int(counted["forecasts"]),
            "reasons": int(counted["reasons"]),
            "rows": int(counted["row_count"]),
        }


def _served_pieces(store: "ColdStore", reader: "GenerationReader", day: date) -> "Iterator[Piece]":
    """The active series and their vectors, and in the end that the generation is whole."""
    from shelfcast.hot_store.generation import PIECE_ENTITIES

    for piece in store.batches("serving/active_series", {"business_date": day}, rows=PIECE_ENTITIES):
        names = list(piece["series_id"])
        yield names, reader.take(names)
    reader.finish()


def _active_series(store: "ColdStore", day: date) -> int:
    """How many series a forecast or a reason is owed for."""
    from shelfcast.cold_store.feature_views import DEMAND

    names = {"table": DEMAND, "entity": "series_id", "has_activity": "TRUE"}
    return int(store.fetch("cold_store/count_partition", {"business_date": day}, **names)["active"].iloc[0])


def _counted(store: "ColdStore", day: date) -> "pd.Series[int]":
    """The vintage of a date in numbers."""
    return store.fetch("serving/count_vintage", {"business_date": day}).iloc[0]
