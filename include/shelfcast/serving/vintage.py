"""A vintage: the forecasts of every active series made at the close of one business date.

One that is made later, by a release that was trained on later days, is hindsight: the ledger keeps the release's cutoff
beside each row, and whatever scores forecasts leaves out those whose `release_cutoff` is after their `business_date`.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from shelfcast.cold_store.cold_store import ColdStore
from shelfcast.errors import HotStoreError, PostConditionFailed, first_offenders
from shelfcast.hot_store.vector import unpack
from shelfcast.serving.predictor import Predictor, Reason

QUANTILES = ("q05", "q25", "q50", "q75", "q95")
NUMBERS = ("mean", *QUANTILES)
TEXTS = ("series_id", "store_id", "item_id", "release_id", "generation", "reason_code", "run_id")
DATES = ("business_date", "sales_date", "release_cutoff")
SCHEMA = pa.schema(
    {
        **dict.fromkeys(DATES, pa.date32()),
        **dict.fromkeys(TEXTS, pa.string()),
        "horizon_days": pa.int64(),
        **dict.fromkeys(NUMBERS, pa.float64()),
    }
)
"""Of the ledger's files, which are told alike though a piece may hold reasons only, or none."""


def prepare_ledger(store: ColdStore) -> None:
    """Creates `FORECASTS.LEDGER` if it is missing; one of before gets the column that it lacks."""
    store.run("serving/create_ledger")
    store.run("serving/add_release_cutoff")


def forecast_all(
    predictor: Predictor, active: Sequence[str], values: Mapping[str, bytes], *, business_date: date
) -> pd.DataFrame:
    """Rows of the ledger for active series: forecasts, or the reason why there are none.

    Args:
        predictor: The release that serves.
        active: Names of the active series.
        values: Packed vectors by series.
        business_date: At whose close the vectors were made.

    Raises:
        HotStoreError: A vector is of another business date.
    """
    horizon, fields = predictor.declaration.horizon, predictor.declaration.vector_fields
    vectors = {name: unpack(values[name], fields=fields) for name in active if name in values}
    stale = [name for name, vector in vectors.items() if vector.business_date != business_date]
    if stale:
        raise HotStoreError(
            f"The hot store is not of {business_date}: {first_offenders(stale)}. Clear feature_cache_refresh."
        )
    reasons = {name: Reason.UNKNOWN_SERIES for name in active if name not in vectors}
    reasons |= {name: reason for name, vector in vectors.items() if (reason := predictor.reason_of(vector))}
    asked = [name for name in active if name not in reasons]
    parts = []
    if asked:
        made = predictor.forecast([vectors[name] for name in asked], horizon_days=horizon)
        reasons |= {
            name: Reason.NOT_FINITE for name, is_finite in zip(asked, made.is_finite, strict=True) if not is_finite
        }
        told = [name for name in asked if name not in reasons]
        numbers = np.concatenate([made.mean[..., None], made.quantiles], axis=2)[made.is_finite]
        rows = pd.DataFrame(numbers.reshape(-1, len(NUMBERS)), columns=NUMBERS)
        parts.append(rows.assign(**_keys(told, horizon, business_date), reason_code=None))
    parts.append(_reason_rows(reasons, horizon, business_date))
    return pd.concat(parts, ignore_index=True).sort_values(["series_id", "horizon_days"], ignore_index=True)


def write_piece(rows: pd.DataFrame, folder: Path, number: int) -> None:
    """Writes rows of a vintage as one of the files that the ledger is loaded from."""
    pq.write_table(pa.Table.from_pandas(rows, schema=SCHEMA, preserve_index=False), folder / f"{number:05d}.parquet")


def check_contract(active: int, *, forecasts: int, reasons: int, rows: int, horizon_days: int) -> None:
    """Raises `PostConditionFailed` unless active = forecasts + reasons and every day ahead has its row."""
    if forecasts + reasons != active or rows != active * horizon_days:
        raise PostConditionFailed(
            f"{active} series are active; the ledger holds {forecasts} with forecasts and {reasons} with reasons, "
            f"{rows} rows against {active * horizon_days}. Clear this task; if it repeats, feature_cache_refresh."
        )


def _reason_rows(reasons: Mapping[str, Reason], horizon: int, business_date: date) -> pd.DataFrame:
    keys = _keys(list(reasons), horizon, business_date)
    codes = [str(reason) for reason in reasons.values() for _ in range(horizon)]
    return pd.DataFrame(keys).assign(reason_code=codes, **dict.fromkeys(NUMBERS, np.nan))


def _keys(names: Sequence[str], horizon: int, business_date: date) -> dict[str, Any]:
    days = list(range(1, horizon + 1))
    parts = [name.rpartition("@") for name in names]
    return {
        "business_date": business_date,
        "series_id": [name for name in names for _ in range(horizon)],
        "store_id": [store for _, _, store in parts for _ in range(horizon)],
        "item_id": [item for item, _, _ in parts for _ in range(horizon)],
        "horizon_days": days * len(names),
        "sales_date": [business_date + timedelta(days=day) for day in days] * len(names),
    }
