"""A business date's features out of the cold store, as rows in the order of the packed vector."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shelfcast.cold_store.cold_store import ColdStore
from shelfcast.errors import HotStoreError, first_offenders
from shelfcast.hot_store.generation import PIECE_ENTITIES
from shelfcast.hot_store.vector import pack
from shelfcast.model.declaration import ModelDeclaration

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Partition:
    """Rows of one business date.

    Attributes:
        entities: Names, length n, each once, in the cold store's order.
        numbers: float32 of shape (n, fields).
    """

    entities: list[str]
    numbers: npt.NDArray[np.float32]


def read_pieces(store: ColdStore, declaration: ModelDeclaration, business_date: date) -> Iterator[Partition]:
    """Reads what the hot store is to hold, `PIECE_ENTITIES` at a time.

    Raises:
        HotStoreError: There are no features of the date, an entity comes twice, a series lacks a day ahead, or less came
            out of the cold store than it says that it holds.
    """
    name, horizon = declaration.name, declaration.horizon
    asked: dict[str, object] = {"business_date": business_date, "horizon_days": horizon}
    count, read = _checked_count(store, declaration, asked), 0
    features = store.batches(f"hot_store/{name}_vectors", asked, rows=PIECE_ENTITIES)
    ahead: Iterator[pd.DataFrame | None] = repeat(None)
    if declaration.ahead_covariates:
        ahead = store.batches(f"hot_store/{name}_ahead_vectors", asked, rows=PIECE_ENTITIES * horizon)
    for rows, days in zip(features, ahead, strict=False):
        piece = _piece(rows, days, declaration)
        read += len(piece.entities)
        yield piece
    if read != count:
        raise HotStoreError(
            f"{read} of {count} vectors of {name} for {business_date} came out of the cold store; what is missing would "
            "not be served. Its partition was built again meanwhile, or the result was cut off: clear this task."
        )


def packed_pieces(store: ColdStore, declaration: ModelDeclaration, business_date: date) -> Iterator[dict[str, bytes]]:
    """Packed vectors of what `read_pieces` reads, by entity."""
    for piece in read_pieces(store, declaration, business_date):
        values = pack(piece.numbers, business_date=business_date, fields=declaration.vector_fields)
        yield dict(zip(piece.entities, values, strict=True))


def packed(store: ColdStore, declaration: ModelDeclaration, business_date: date) -> dict[str, bytes]:
    """All of `packed_pieces` at once: about 5 KiB a vector in memory, for whoever picks out of them."""
    return {name: value for piece in packed_pieces(store, declaration, business_date) for name, value in piece.items()}


def _checked_count(store: ColdStore, declaration: ModelDeclaration, asked: dict[str, object]) -> int:
    """How many vectors there are to be."""
    name, day = declaration.name, asked["business_date"]
    count, entities = _count(store, declaration, f"{name}_vectors", asked)
    if not count:
        raise HotStoreError(f"The cold store has no features of {name} for {day}; build them first.")
    if entities != count:
        raise HotStoreError(
            f"The cold store has {count} rows of {entities} different {declaration.entity} for {day}: which of them "
            "counts is not known. Clear feature_views of that date."
        )
    if declaration.ahead_covariates:
        expected = count * declaration.horizon
        rows, series = _count(store, declaration, f"{name}_ahead_vectors", asked)
        if (rows, series) != (expected, count):
            raise HotStoreError(
                f"{rows} rows of days ahead for {count} series on {day}, {expected} were expected. "
                "Clear feature_views of that date."
            )
    return count


def _count(
    store: ColdStore, declaration: ModelDeclaration, statement: str, asked: dict[str, object]
) -> tuple[int, int]:
    """Rows of a statement of `sql/hot_store`, and different entities in them."""
    counted = store.fetch("hot_store/count_vectors", asked, statement=statement, entity=declaration.entity).iloc[0]
    return int(counted["vectors"]), int(counted["entities"])


def _piece(features: pd.DataFrame, ahead: pd.DataFrame | None, declaration: ModelDeclaration) -> Partition:
    entities = [str(name) for name in features[declaration.entity]]
    numbers = _floats(features, declaration.as_of_features)
    if ahead is not None:
        numbers = np.hstack([numbers, _ahead(ahead, declaration, entities)])
    with np.errstate(over="ignore"):  # what is beyond float32 is infinite, which readers say of its series
        return Partition(entities=entities, numbers=numbers.astype(np.float32))


def _ahead(ahead: pd.DataFrame, declaration: ModelDeclaration, entities: list[str]) -> Floats:
    """Covariates of the days ahead, covariate by covariate, shape (n, covariates × days)."""
    horizon = declaration.horizon
    named = [str(name) for name in ahead[declaration.entity]]
    expected = [name for name in entities for _ in range(horizon)]
    if named != expected:
        strange = sorted(set(named) ^ set(expected))
        raise HotStoreError(
            f"The days ahead of {entities[0]} to {entities[-1]} are not {horizon} of each series: {first_offenders(strange)}. "
            "Days of one series would be taken for those of another. Clear feature_views of that date."
        )
    table = _floats(ahead, declaration.ahead_covariates).reshape(len(entities), horizon, -1)
    return table.transpose(0, 2, 1).reshape(len(entities), -1)


def _floats(frame: pd.DataFrame, names: tuple[str, ...]) -> Floats:
    values: Any = frame[list(names)].to_numpy(dtype=np.float64, na_value=np.nan)
    return values  # type: ignore[no-any-return]
