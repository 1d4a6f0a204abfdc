"""Which business dates are complete and were never processed."""

from datetime import date

import pandas as pd

from shelfcast.cold_store import feature_views
from shelfcast.cold_store.cold_store import ColdStore


def overdue_dates(store: ColdStore) -> list[date]:
    """Business dates that were announced and that no run has built features for, oldest first."""
    feature_views.prepare(store)
    found = store.fetch("cold_store/overdue_business_dates")
    return [pd.Timestamp(value).date() for value in found["business_date"]]
