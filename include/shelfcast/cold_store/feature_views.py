"""Builds the feature tables, one partition a business date, from the statements that define each feature.

A partition holds what was known at its date's close. The dates of the first snapshot were all known when they
happened, so they are built in one statement; every later date has a statement of its own, because what was known at its
close differs from what is known now.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pandas as pd

from shelfcast.cold_store.cold_store import ColdStore
from shelfcast.errors import NothingToDo, PostConditionFailed

TABLES = ("daily_sales", "demand", "demand_ahead", "order_total")
DEMAND = "FEATURES.DEMAND"
DEMAND_AHEAD = "FEATURES.DEMAND_AHEAD"
ORDER_TOTAL = "FEATURES.ORDER_TOTAL"
MEMORY_DAYS = 800
"""Days of history that a partition of `FEATURES.DEMAND` looks at; the longest window is 364 days."""

BEFORE_ALL = datetime(1900, 1, 1)


@dataclass(frozen=True, kw_only=True)
class PartitionReport:
    """What a build brought.

    Attributes:
        business_date: The date that was asked for.
        dates_built: Partitions of `FEATURES.DEMAND` written, the one asked for among them.
        series: Series in its partition.
        active_series: Those of them that are active.
        customers: Customers in its partition of `FEATURES.ORDER_TOTAL`.
    """

    business_date: date
    dates_built: int
    series: int
    active_series: int
    customers: int


def prepare(store: ColdStore) -> None:
    """Makes the feature tables that are missing."""
    for name in TABLES:
        store.run(f"cold_store/create_{name}")


def build_partitions(store: ColdStore, business_date: date, *, horizon_days: int) -> PartitionReport:
    """Builds the partitions of a business date and of every earlier one that is missing.

    Args:
        store: The cold store.
        business_date: A complete business date.
        horizon_days: Days ahead in `FEATURES.DEMAND_AHEAD`, 1 or more.

    Raises:
        NothingToDo: The date is not complete.
        PostConditionFailed: A partition is empty or holds a series twice.
    """
    prepare(store)
    dates = store.fetch("cold_store/business_dates", {"business_date": business_date})
    dates["business_date"] = [_day(value) for value in dates["business_date"]]
    if dates.empty or dates["business_date"].iloc[-1] != business_date:
        raise NothingToDo(
            f"The shop has not closed {business_date}, or its changes are not loaded; there is nothing to build."
        )
    built = _built(store, DEMAND)
    missing = dates[[day not in built or day == business_date for day in dates["business_date"]]]
    history = missing[missing["in_snapshot"].astype(bool)]
    if len(history):
        _build_history(store, history)
    for day in missing.loc[~missing["in_snapshot"].astype(bool), "business_date"]:
        _build_date(store, day, dates)
    ensure_ahead(store, [business_date], horizon_days=horizon_days, rebuild=True)
    _swap(store, ORDER_TOTAL, "order_total", business_date, business_date, _parameters(dates, business_date))
    return _check(store, business_date, len(missing))


def ensure_ahead(store: ColdStore, dates: list[date], *, horizon_days: int, rebuild: bool = False) -> int:
    """Builds the partitions of `FEATURES.DEMAND_AHEAD` that are missing; answers how many it built.

    Args:
        store: The cold store.
        dates: Business dates that `FEATURES.DEMAND` holds.
        horizon_days: Days ahead, 1 or more.
        rebuild: Build those that are there already too.
    """
    prepare(store)
    built = set() if rebuild else _built(store, DEMAND_AHEAD)
    wanted = sorted(set(dates) - built)
    if not wanted:
        return 0
    known = store.fetch("cold_store/business_dates", {"business_date": wanted[-1]})
    known["business_date"] = [_day(value) for value in known["business_date"]]
    for day in wanted:
        parameters = {**_parameters(known, day), "horizon_days": horizon_days}
        _swap(store, DEMAND_AHEAD, "demand_ahead", day, day, parameters)
    return len(wanted)


def latest_business_date(store: ColdStore) -> date | None:
    """The newest date with features; `None` before the first."""
    prepare(store)
    value = store.fetch("cold_store/latest_business_date")["business_date"].iloc[0]
    return None if pd.isna(value) else _day(value)


def built_dates(store: ColdStore) -> set[date]:
    """Business dates that `FEATURES.DEMAND` holds."""
    return _built(store, DEMAND)


def closed_at(store: ColdStore, business_date: date) -> datetime:
    """When a complete business date was closed; raises `NothingToDo` for any other date."""
    dates = store.fetch("cold_store/business_dates", {"business_date": business_date})
    if dates.empty or _day(dates["business_date"].iloc[-1]) != business_date:
        raise NothingToDo(f"{business_date} is not a complete business date.")
    return pd.Timestamp(dates["closed_at"].iloc[-1]).to_pydatetime()


def _build_history(store: ColdStore, history: pd.DataFrame) -> None:
    first, last = history["business_date"].iloc[0], history["business_date"].iloc[-1]
    known = {"known_after": BEFORE_ALL, "known_until": _moment(history["closed_at"].iloc[-1])}
    store.run("cold_store/delete_daily_sales", known)
    store.run("cold_store/insert_daily_sales", known, is_history="TRUE")
    parameters: dict[str, object] = {
        "oldest_date": first - timedelta(days=MEMORY_DAYS),
        "known_until": known["known_until"],
    }
    _swap(store, DEMAND, "demand", first, last, parameters)


def _build_date(store: ColdStore, business_date: date, dates: pd.DataFrame) -> None:
    position = list(dates["business_date"]).index(business_date)
    before = _moment(dates["closed_at"].iloc[position - 1]) if position else BEFORE_ALL
    until = _moment(dates["closed_at"].iloc[position])
    known = {"known_after": before, "known_until": until}
    store.run("cold_store/delete_daily_sales", known)
    store.run("cold_store/insert_daily_sales", known)
    parameters: dict[str, object] = {"oldest_date": business_date - timedelta(days=MEMORY_DAYS), "known_until": until}
    _swap(store, DEMAND, "demand", business_date, business_date, parameters)


def _swap(
    store: ColdStore, table: str, name: str, from_date: date, until_date: date, parameters: dict[str, object]
) -> None:
    """Replaces the partitions of a range; a reader between the two statements finds none of them, never half of one."""
    span: dict[str, object] = {"from_date": from_date, "until_date": until_date}
    store.run("cold_store/delete_partition", span, table=table)
    store.run(f"cold_store/insert_{name}", {**parameters, **span})


def _check(store: ColdStore, business_date: date, dates_built: int) -> PartitionReport:
    demand = _count(store, business_date, DEMAND, "series_id", has_activity=True)
    customers = _count(store, business_date, ORDER_TOTAL, "customer_id", has_activity=False)
    return PartitionReport(
        business_date=business_date,
        dates_built=dates_built,
        series=demand["entities"],
        active_series=demand["active"],
        customers=customers["entities"],
    )


def _count(store: ColdStore, business_date: date, table: str, entity: str, *, has_activity: bool) -> dict[str, int]:
    names = {"has_activity": "TRUE"} if has_activity else {}
    row = store.fetch(
        "cold_store/count_partition", {"business_date": business_date}, table=table, entity=entity, **names
    )
    found = {name: int(row[name].iloc[0]) for name in ("row_count", "entities", "active")}
    if not found["active"] or found["row_count"] != found["entities"]:
        raise PostConditionFailed(
            f"The partition {business_date} of {table} holds {found['row_count']} rows of {found['entities']} "
            f"different {entity}, {found['active']} active; expected one row each and at least one active. Look at the "
            "batch of that date in OPERATIONS.BATCHES, then clear this task."
        )
    return found


def _parameters(dates: pd.DataFrame, business_date: date) -> dict[str, object]:
    position = list(dates["business_date"]).index(business_date)
    return {"business_date": business_date, "known_until": _moment(dates["closed_at"].iloc[position])}


def _built(store: ColdStore, table: str) -> set[date]:
    return {_day(value) for value in store.fetch("cold_store/built_dates", table=table)["business_date"]}


def _day(value: object) -> date:
    return pd.Timestamp(value).date()  # type: ignore[arg-type]


def _moment(value: object) -> datetime:
    return pd.Timestamp(value).to_pydatetime()  # type: ignore[arg-type]
