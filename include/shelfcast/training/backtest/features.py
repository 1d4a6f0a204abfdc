"""Features of a backtest's cutoff and its training origins, chunk by chunk of series, so that memory does not grow."""

from dataclasses import dataclass
from datetime import date, timedelta

from shelfcast.cold_store import feature_views
from shelfcast.cold_store.feature_views import DEMAND, DEMAND_AHEAD
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.training.backtest.store import BacktestStore
from shelfcast.training.progress import Progress, silent
from shelfcast.training.sample_of_series import SampleOfSeries, sample_of

PANEL_ROWS = 1_000_000
"""Series times days whose features are computed at a time; the windows over them take about 1 KiB each."""


@dataclass(frozen=True, kw_only=True)
class BuiltFeatures:
    """What was built.

    Attributes:
        origins: Training origins, oldest first; the cutoff is the last.
        rows: Rows that the training frame would have, roughly: active series × origins × days ahead.
        share: Of the series of each origin but the cutoff, the part that was kept, 1 for all.
    """

    origins: list[date]
    rows: int
    share: float


def build_features(
    store: BacktestStore,
    cutoff: date,
    declaration: ModelDeclaration,
    *,
    most_rows: int,
    panel_rows: int = PANEL_ROWS,
    progress: Progress = silent,
) -> BuiltFeatures:
    """Builds the features of the cutoff and its training origins as known at the cutoff, and no others.

    Args:
        store: Holds the history.
        cutoff: A business date of the history.
        declaration: A forecast, with the horizon that is wanted.
        most_rows: Roughly the most rows that the training frame may have: of more, each origin keeps a random part of its
            series. The cutoff keeps all.
        panel_rows: Series times days to compute at a time, roughly.
        progress: Told of each chunk.
    """
    origins = _origins(store, cutoff, declaration)
    for table in (DEMAND, DEMAND_AHEAD):
        store.connection.execute(f"DROP TABLE IF EXISTS {table}")
        store.run(f"cold_store/create_{table.partition('.')[2].lower()}")
    chunks = _insert_demand(store, origins, declaration, panel_rows=panel_rows, progress=progress)
    if chunks > 1:
        store.run("training/create_neighbour_means")
    sample = _keep_sample(store, origins, declaration, most_rows=most_rows)
    if chunks > 1:
        store.run("training/set_neighbour_means")
    for origin in origins:
        _insert_ahead(store, origin, declaration)
    return BuiltFeatures(origins=origins, rows=sample.rows, share=sample.share)


def _origins(store: BacktestStore, cutoff: date, declaration: ModelDeclaration) -> list[date]:
    first_business_date, step = store.span()[0], declaration.origin_step_days
    origins = [cutoff - timedelta(days=step * number) for number in reversed(range(declaration.origins))]
    return [origin for origin in origins if origin >= first_business_date]


def _insert_demand(
    store: BacktestStore,
    origins: list[date],
    declaration: ModelDeclaration,
    *,
    panel_rows: int,
    progress: Progress,
) -> int:
    """Features of all series at the origins; returns the number of chunks.

    A series' features come from its own past, but for the means of its store and its item: those of a chunk are of the
    chunk's series only.
    """
    oldest, cutoff = origins[0] - timedelta(days=feature_views.MEMORY_DAYS), origins[-1]
    days = (cutoff - max(oldest, store.span()[0])).days + 1
    parameters = {
        "oldest_date": oldest,
        "known_until": feature_views.closed_at(store, cutoff),
        "from_date": origins[0],
        "until_date": cutoff,
        "step_days": declaration.origin_step_days,
    }
    chunks = 0
    for chunk, chunks in store.in_chunks(most_series=max(1, panel_rows // days)):
        progress("features", part=chunk, parts=chunks)
        # the dates between are read for their windows; written, they would be most of the table
        store.run("cold_store/insert_demand", parameters, has_steps="TRUE")
    return chunks


def _keep_sample(
    store: BacktestStore, origins: list[date], declaration: ModelDeclaration, *, most_rows: int
) -> SampleOfSeries:
    """Drops what the training frame can do without."""
    asked = {
        "cutoff": origins[-1],
        "first_origin": origins[0],
        "origin_step_days": declaration.origin_step_days,
    }
    sample = sample_of(store, declaration, asked, horizon_days=declaration.horizon, most_rows=most_rows)
    if sample.is_part:
        kept = {"cutoff": origins[-1], "kept_thousandths": sample.thousandths}
        store.run("training/delete_unsampled", kept)
    return sample


def _insert_ahead(store: BacktestStore, origin: date, declaration: ModelDeclaration) -> None:
    """Covariates of the days after an origin, from the prices and promotions of the series that it kept."""
    kept = f"(SELECT store_id, item_id FROM {DEMAND} WHERE business_date = DATE '{origin}' AND is_active)"  # noqa: S608
    for table in ("RAW.PRICES_CHANGES", "RAW.PROMOTIONS_CHANGES"):
        store.see(table, f"SEMI JOIN {kept} USING (store_id, item_id)")
    known_until = feature_views.closed_at(store, origin)
    parameters = {"business_date": origin, "known_until": known_until, "horizon_days": declaration.horizon}
    store.run("cold_store/insert_demand_ahead", parameters)
    store.see_all()
