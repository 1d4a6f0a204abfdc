"""What the gate is told of the champion: its own words in the ledger, and its forecasts of today's vectors."""

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from shelfcast.cold_store.cold_store import ColdStore
    from shelfcast.hot_store.vector import Vector
    from shelfcast.registry.gate import Evidence
    from shelfcast.registry.refresh import Nearness
    from shelfcast.serving.predictor import Predictor
    from shelfcast.training.declaration import ModelDeclaration
    from shelfcast.training.metrics import Floats

NEWEST_DAYS = 7
"""Before a candidate's cutoff, of which it counts what the champion missed."""

MOST_VECTORS = 5000
"""Entities whose forecasts are compared; of more, each so many-th by name."""


def evidence_of(
    store: "ColdStore", parts: Path, about: Mapping[str, Any], declaration: "ModelDeclaration"
) -> "Evidence":
    """What is known of a candidate beside its champion.

    Args:
        store: The cold store.
        parts: The candidate's files.
        about: Its `training.json`.
        declaration: The model.
    """
    import pandas as pd

    from shelfcast.registry.gate import Evidence
    from shelfcast.training.champion import SINCE_CHAMPION, Question

    question, champion, since = Question(about["question"]), about["champion"], None
    if question is Question.FIRST:
        return Evidence()
    if (parts / SINCE_CHAMPION).exists():
        forecasts = pd.read_parquet(parts / SINCE_CHAMPION)
        since = rows_beside_served(store, forecasts, declaration, release_id=champion)
    is_refresh = question is Question.REFRESH
    return Evidence(
        question=question,
        changes=about["changes"],
        since_champion=since,
        nearness=_nearness(store, parts, about, declaration) if is_refresh else None,
        is_older=about["cutoff"] < about["champion_cutoff"],
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
    store: "ColdStore", parts: Path, about: Mapping[str, Any], declaration: "ModelDeclaration"
) -> "Nearness | None":
    """How far the candidate's forecasts of the vectors of its cutoff lie from the champion's; `None` without vectors."""
    from shelfcast.deployment import bundle
    from shelfcast.errors import HotStoreError
    from shelfcast.hot_store.vector import unpack
    from shelfcast.registry.refresh import nearness
    from shelfcast.serving.predictor import Predictor
    from shelfcast_provider.deployment.build_bundle_operator import releases_folder
    from shelfcast_provider.hot_store.publish_generation_operator import packed

    try:
        entities, values = packed(store, declaration, date.fromisoformat(about["cutoff"]))
    except HotStoreError:  # the partition of an older cutoff is not kept; the decision says that there are no vectors
        return None
    step = len(entities) // MOST_VECTORS + 1
    fields = declaration.vector_fields
    vectors = [unpack(value, fields=fields) for value in values[::step]]
    with TemporaryDirectory() as folder:
        candidate = Predictor(bundle.load(Path(folder) / bundle.build(parts, Path(folder))))
    champion = Predictor(bundle.load(releases_folder(declaration.name) / about["champion"]))
    own, other = (_totals(predictor, vectors) for predictor in (candidate, champion))
    stores = [name.rpartition("@")[2] for name in entities[::step]] if declaration.kind == "forecast" else None
    by_store = _grouped(own, other, stores or [""] * len(vectors))
    sold = _sold_and_forecast(store, about) if stores else None
    return nearness(by_store, business_date=about["cutoff"], has_stores=stores is not None, sold=sold)


def _sold_and_forecast(store: "ColdStore", about: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Of each store what was sold in the week up to the candidate's cutoff, and what the champion had forecast of it."""
    from shelfcast.serving.vintage import prepare_ledger

    prepare_ledger(store)
    store.run("monitoring/create_scored_forecasts")
    last = date.fromisoformat(about["cutoff"])
    asked = {"release_id": about["champion"], "first_day": last - timedelta(days=NEWEST_DAYS - 1), "last_day": last}
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
