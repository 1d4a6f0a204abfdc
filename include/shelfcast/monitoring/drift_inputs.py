"""What the drift check reads from the cold store and what it leaves there."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pandas as pd

from shelfcast.cold_store.cold_store import ColdStore
from shelfcast.cold_store.feature_views import closed_at
from shelfcast.errors import NothingToDo, PostConditionFailed
from shelfcast.monitoring.drift import DriftReport, Sample

QUANTITIES = ("demand_level", "demand_variability", "zero_share", "stockout_share", "price_level")
"""What is tested; `sql/monitoring/drift_samples.sql` defines each."""

REFERENCES = ("recent_weeks", "last_year")
RECENT_WEEKS = 8
WEEKS_A_YEAR = 52
LAST_YEAR_WEEKS = 4
"""Weeks before and after the same week of last year."""

MOST_SERIES = 5000
"""A Kolmogorov-Smirnov test on more series finds nothing that matters and this does not."""


@dataclass(frozen=True, kw_only=True)
class DriftSamples:
    """Values of the tested quantities.

    Attributes:
        business_date: Of the newest window.
        newest: Quantity to values, shape (active series,).
        references: Name to the windows of each reference, one a date; none if the history does not reach there.
    """

    business_date: date
    newest: Sample
    references: dict[str, list[Sample]]


def read_samples(store: ColdStore, business_date: date) -> DriftSamples:
    """Reads the newest window and its references, all as known at the close of the newest date.

    Raises:
        NothingToDo: The date is not complete or has no features.
    """
    parameters = {
        "business_date": business_date,
        "known_until": closed_at(store, business_date),
        "recent_from": business_date - timedelta(weeks=RECENT_WEEKS),
        "last_year_from": business_date - timedelta(weeks=WEEKS_A_YEAR + LAST_YEAR_WEEKS),
        "last_year_until": business_date - timedelta(weeks=WEEKS_A_YEAR - LAST_YEAR_WEEKS),
        "series_limit": MOST_SERIES,
    }
    rows = store.fetch("monitoring/drift_samples", parameters)
    if not (rows["sample_name"] == "newest").any():
        raise NothingToDo(f"FEATURES.DEMAND has no active series on {business_date}; there is no input to watch.")
    return DriftSamples(
        business_date=business_date,
        newest=_windows(rows, "newest")[0],
        references={name: _windows(rows, name) for name in REFERENCES},
    )


def write_report(store: ColdStore, report: DriftReport) -> int:
    """Replaces the business date's rows in `OPERATIONS.DRIFT_CHECKS`; returns how many it wrote."""
    store.run("monitoring/create_drift_checks")
    written = {"business_date": report.business_date}
    with store.transaction():
        store.run("monitoring/delete_drift_checks", written)
        for feature in report.features:
            store.run("monitoring/insert_drift_check", {**written, **feature.as_dict()})
    found = store.fetch("monitoring/count_drift_checks", written).iloc[0]
    if not int(found["row_count"]) == int(found["features"]) == len(report.features):
        raise PostConditionFailed(
            f"OPERATIONS.DRIFT_CHECKS holds {found['row_count']} rows of {found['features']} quantities for "
            f"{report.business_date}, expected {len(report.features)}. Two checks wrote at once; clear this task."
        )
    return len(report.features)


def _windows(rows: pd.DataFrame, name: str) -> list[Sample]:
    own = rows[rows["sample_name"] == name]
    return [
        {quantity: window[quantity].to_numpy(dtype=np.float64, na_value=np.nan) for quantity in QUANTITIES}
        for _, window in own.groupby("business_date")
    ]
