"""A business date's features out of the cold store, as rows in the order of the packed vector."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from shelfcast.cold_store.cold_store import ColdStore
from shelfcast.errors import HotStoreError
from shelfcast.model.declaration import ModelDeclaration


@dataclass(frozen=True, kw_only=True)
class Partition:
    """Rows of one business date.

    Attributes:
        entities: Names, length n, ascending.
        numbers: float32 of shape (n, fields).
    """

    entities: list[str]
    numbers: npt.NDArray[np.float32]


def read_partition(store: ColdStore, declaration: ModelDeclaration, business_date: date) -> Partition:
    """Reads what the hot store is to hold; raises `HotStoreError` if a series lacks a day ahead."""
    features = store.fetch(f"hot_store/{declaration.name}_vectors", {"business_date": business_date})
    entities = [str(name) for name in features[declaration.entity]]
    if not entities:
        raise HotStoreError(
            f"The cold store has no features of {declaration.name} for {business_date}; build them first."
        )
    numbers = _floats(features, declaration.as_of_features)
    if declaration.ahead_covariates:
        numbers = np.hstack([numbers, _ahead(store, declaration, business_date, entities)])
    with np.errstate(over="ignore"):  # what is beyond float32 is infinite, which readers say of its series
        return Partition(entities=entities, numbers=numbers.astype(np.float32))


def _ahead(
    store: ColdStore, declaration: ModelDeclaration, business_date: date, entities: list[str]
) -> npt.NDArray[np.float64]:
    parameters = {"business_date": business_date, "horizon_days": declaration.horizon}
    ahead = store.fetch(f"hot_store/{declaration.name}_ahead_vectors", parameters)
    expected = len(entities) * declaration.horizon
    if len(ahead) != expected or list(ahead[declaration.entity].iloc[:: declaration.horizon]) != entities:
        raise HotStoreError(
            f"{len(ahead)} rows of days ahead for {len(entities)} series on {business_date}, {expected} were expected. "
            "Clear feature_views of that date."
        )
    table = _floats(ahead, declaration.ahead_covariates).reshape(len(entities), declaration.horizon, -1)
    return table.transpose(0, 2, 1).reshape(len(entities), -1)


def _floats(frame: pd.DataFrame, names: tuple[str, ...]) -> npt.NDArray[np.float64]:
    values: Any = frame[list(names)].to_numpy(dtype=np.float64, na_value=np.nan)
    return values  # type: ignore[no-any-return]
