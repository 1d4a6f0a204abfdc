"""What the gate is told of the champion: its own words in the ledger, and its forecasts of today's vectors."""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from shelfcast.cold_store.cold_store import ColdStore
    from shelfcast.hot_store.vector import Vector
    from shelfcast.model.candidate import TrainingRecord
    from shelfcast.model.declaration import ModelDeclaration
    from shelfcast.model.metrics import Floats
    from shelfcast.registry.gate import Evidence
    from shelfcast.registry.refresh import Nearness
    from shelfcast.serving.predictor import Predictor

NEWEST_DAYS = 7
"""Before a candidate's cutoff, of which it counts what the champion missed."""

MOST_VECTORS = 5000
"""Entities whose forecasts are compared; of more, each so many-th by name."""


def evidence_of(
    store: "ColdStore", parts: Path, record: "TrainingRecord", declaration: "ModelDeclaration"
) -> "Evidence":
    """What is known of a candidate beside its champion.

    Args:
        store: The cold store.
        parts: The candidate's files.
        record: What it was made of.
        declaration: The model.
    """
    import pandas as pd

    from shelfcast.model.candidate import SINCE_CHAMPION, Question
    from shelfcast.registry.gate import Evidence

    since = None
    if record.question is Question.FIRST:
        return Evidence()
    if (parts / SINCE_CHAMPION).exists():
        forecasts = pd.read_parquet(parts / SINCE_CHAMPION)
        since = rows_beside_served(store, forecasts, declaration, release_id=record.champion)
    is_refresh = record.question is Question.REFRESH
    return Evidence(
        question=record.question,
        changes=record.changes,
        since_champion=since,
        nearness=_nearness(store, parts, record, declaration) if is_refresh else None,
        is_older=record.champion_cutoff is not None and record.cutoff < record.champion_cutoff,
    )


def rows_beside_served(
    store: "ColdStore", rows: "pd.DataFrame", declaration: "ModelDeclaration", *, release_id: str | None = None
) -> "pd.DataFrame":
    """Forecasts with what was served at their origins, by one release or by whichever served then, hindsight left out."""
    import pandas as pd

    from shelfcast.registry.refresh import beside_served
    from shelfcast.serving.vintage import prepare_ledger

    prepare_ledger(store)
    origins = sorted(set(rows["business_date"])) if declaration.kind == "forecast" else []
    if not origins:
        return rows
    found = [store.fetch("registry/served_vintage", {"business_date": origin}) for origin in origins]
    ledger = pd.concat(found, ignore_index=True)
    return beside_served(rows, ledger if release_id is None else ledger[ledger["release_id"] == release_id])


def _nearness(
    store: "ColdStore", parts: Path, record: "TrainingRecord", declaration: "ModelDeclaration"
) -> "Nearness | None":
    """How far the candidate's forecasts of the vectors of its cutoff lie from the champion's; `None` without vectors."""
    from shelfcast.deployment import bundle
    from shelfcast.deployment.build_bundle import build
    from shelfcast.errors import HotStoreError
    from shelfcast.hot_store.partition import packed
    from shelfcast.hot_store.vector import unpack
    from shelfcast.registry.refresh import nearness
    from shelfcast.serving.predictor import Predictor
    from shelfcast_provider.deployment.build_bundle_operator import releases_folder

    try:
        values = packed(store, declaration, record.cutoff)
    except HotStoreError:  # the partition of an older cutoff is not kept; the decision says that there are no vectors
        return None
    entities = list(values)[:: len(values) // MOST_VECTORS + 1]
    fields = declaration.vector_fields
    vectors = [unpack(values[name], fields=fields) for name in entities]
    with TemporaryDirectory() as folder:
        candidate = Predictor(bundle.load(Path(folder) / build(parts, Path(folder))))
    champion = Predictor(bundle.load(releases_folder(declaration.name) / str(record.champion)))
    own, other = (_totals(predictor, vectors) for predictor in (candidate, champion))
    stores = [name.rpartition("@")[2] for name in entities] if declaration.kind == "forecast" else None
    by_store = _grouped(own, other, stores or [""] * len(vectors))
    sold = _sold_and_forecast(store, record) if stores else None
    return nearness(by_store, business_date=record.cutoff.isoformat(), has_stores=stores is not None, sold=sold)


def _sold_and_forecast(store: "ColdStore", record: "TrainingRecord") -> dict[str, tuple[float, float]]:
    """Of each store what was sold in the week up to the candidate's cutoff, and what the champion had forecast of it."""
    from shelfcast.serving.vintage import prepare_ledger

    prepare_ledger(store)
    store.run("monitoring/create_scored_forecasts")
    last = record.cutoff
    asked = {"release_id": record.champion, "first_day": last - timedelta(days=NEWEST_DAYS - 1), "last_day": last}
    rows = store.fetch("registry/sold_and_forecast", asked)
    columns = zip(rows["store_id"], rows["sold"].astype(float), rows["forecast"].astype(float), strict=True)
    return {str(store): (sold, forecast) for store, sold, forecast in columns}


def _totals(predictor: "Predictor", vectors: "list[Vector]") -> "Floats":
    """What is forecast of each vector, over the whole horizon; 0 of a series without a forecast."""
    import numpy as np

    if predictor.declaration.kind == "regression":
        return predictor.predict(np.stack([vector.numbers for vector in vectors]).astype(float))[0]
    made = predictor.forecast(vectors, horizon_days=predictor.declaration.horizon)
    return np.asarray(np.where(made.is_finite, made.mean.sum(axis=1), 0.0))


def _grouped(own: "Floats", other: "Floats", stores: list[str]) -> "dict[str, tuple[Floats, Floats]]":
    import numpy as np

    names = np.asarray(stores)
    return {str(name): (own[names == name], other[names == name]) for name in np.unique(names)}
