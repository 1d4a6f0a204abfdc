"""Builds the feature tables, one partition a business date, from the statements that define each feature.

A partition holds what was known at its date's close. Of the first snapshot a row is known from one moment on, so its
dates are built in one statement; every later date has a statement of its own, because the sales that were known at its
close differ from those that are known now. Dates are gone through in the order of their closes, which a late day-end job
makes another than that of the dates: each close knows what came since the close before it, so nothing comes in twice or
never.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import pandas as pd

from shelfcast.cold_store.cold_store import ColdStore
from shelfcast.errors import NothingToDo, PostConditionFailed, first_offenders

TABLES = ("daily_sales", "demand", "demand_ahead", "order_total")
DEMAND = "FEATURES.DEMAND"
DEMAND_AHEAD = "FEATURES.DEMAND_AHEAD"
ORDER_TOTAL = "FEATURES.ORDER_TOTAL"
REBUILT = "FEATURES.DAILY_SALES_REBUILT"
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


@dataclass(frozen=True, kw_only=True)
class _Close:
    """When a date was closed, and whether it came with the first snapshot."""

    closed_at: datetime
    in_snapshot: bool


def prepare(store: ColdStore) -> None:
    """Makes the feature tables that are missing."""
    for name in TABLES:
        store.run(f"cold_store/create_{name}")


def build_partitions(store: ColdStore, business_date: date, *, horizon_days: int) -> PartitionReport:
    """Builds the partitions of a business date and of every one closed before it that is missing.

    A date whose partition is there and that was closed before an earlier one is built again with it.

    Args:
        store: The cold store.
        business_date: A complete business date.
        horizon_days: Days ahead in `FEATURES.DEMAND_AHEAD`, 1 or more.

    Raises:
        NothingToDo: The date is not complete.
        PostConditionFailed: A partition is empty or holds a series twice, or days that were known would be lost.
    """
    prepare(store)
    closes = _closes(store)
    if business_date not in closes:
        raise NothingToDo(
            f"The shop has not closed {business_date}, or its changes are not loaded; there is nothing to build."
        )
    missing = _missing(closes, business_date, _built(store, DEMAND))
    history = [day for day in missing if closes[day].in_snapshot]
    if history:
        _build_history(store, history, closes)
    for day in missing:
        if not closes[day].in_snapshot:
            _build_date(store, day, closes)
    ensure_ahead(store, [business_date], horizon_days=horizon_days, rebuild=True)
    _swap(store, ORDER_TOTAL, "order_total", business_date, business_date, _parameters(closes, business_date))
    return _check(store, business_date, len(missing))


def ensure_ahead(store: ColdStore, dates: list[date], *, horizon_days: int, rebuild: bool = False) -> int:
    """Builds the partitions of `FEATURES.DEMAND_AHEAD` that are missing; returns how many it built.

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
    closes = _closes(store)
    for day in wanted:
        parameters = {**_parameters(closes, day), "horizon_days": horizon_days}
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
    closes = _closes(store)
    if business_date not in closes:
        raise NothingToDo(f"{business_date} is not a complete business date.")
    return closes[business_date].closed_at


def _closes(store: ColdStore) -> dict[date, _Close]:
    """Every complete business date, in the order of the closes."""
    found = store.fetch("cold_store/business_dates")
    rows = zip(found["business_date"], found["closed_at"], found["in_snapshot"], strict=True)
    return {_day(day): _Close(closed_at=_moment(at), in_snapshot=bool(first)) for day, at, first in rows}


def _missing(closes: dict[date, _Close], business_date: date, built: set[date]) -> list[date]:
    """The date, those closed before it that have no partition, and those that have one without an earlier one of these.

    Returns them in the order of the closes.
    """
    days = list(closes)
    missing: list[date] = []
    for day in reversed(days[: days.index(business_date) + 1]):
        if day not in built or day == business_date or any(late < day for late in missing):
            missing.append(day)
    return missing[::-1]


def _build_history(store: ColdStore, history: list[date], closes: dict[date, _Close]) -> None:
    """Builds dates of the first snapshot; its sales always as a whole, for they are all known by its last close."""
    whole = max(close.closed_at for close in closes.values() if close.in_snapshot)
    _restate(store, BEFORE_ALL, whole, is_history=True)
    parameters: dict[str, object] = {
        "oldest_date": min(history) - timedelta(days=MEMORY_DAYS),
        "known_until": max(closes[day].closed_at for day in history),
    }
    _swap(store, DEMAND, "demand", min(history), max(history), parameters)


def _build_date(store: ColdStore, business_date: date, closes: dict[date, _Close]) -> None:
    until = closes[business_date].closed_at
    before = max((close.closed_at for close in closes.values() if close.closed_at < until), default=BEFORE_ALL)
    _restate(store, before, until)
    parameters: dict[str, object] = {"oldest_date": business_date - timedelta(days=MEMORY_DAYS), "known_until": until}
    _swap(store, DEMAND, "demand", business_date, business_date, parameters)


def _restate(store: ColdStore, after: datetime, until: datetime, *, is_history: bool = False) -> None:
    """Replaces the versions of daily sales that became known in a span by what RAW says of it.

    Raises:
        PostConditionFailed: A day of a series that was known would be known no more; nothing was replaced.
    """
    known = {"known_after": after, "known_until": until}
    store.run("cold_store/create_daily_sales_rebuilt")
    names = {"is_history": "TRUE"} if is_history else {}
    store.run("cold_store/insert_daily_sales", known, table=REBUILT, **names)
    lost = store.fetch("cold_store/lost_daily_sales", known)
    if not lost.empty:
        days = [f"{row.series_id} on {_day(row.sales_date)}" for row in lost.itertuples()]
        raise PostConditionFailed(
            f"RAW knows {len(lost)} fewer days of series than FEATURES.DAILY_SALES does of what became known after {after} and "
            f"until {until}: {first_offenders(days)}. A day that is lost counts as one without demand, in features and in "
            "training, so nothing was replaced. See that nothing was deleted from RAW; then drop FEATURES.DAILY_SALES and "
            "FEATURES.DEMAND and clear this task: both are made anew, from RAW alone."
        )
    with store.transaction():
        store.run("cold_store/delete_daily_sales", known)
        store.run("cold_store/add_rebuilt_daily_sales")


def _swap(
    store: ColdStore, table: str, name: str, from_date: date, until_date: date, parameters: dict[str, object]
) -> None:
    """Replaces the partitions of a range at once: a reader finds those that were there until he finds the others."""
    span: dict[str, object] = {"from_date": from_date, "until_date": until_date}
    with store.transaction():
        store.run("cold_store/delete_partition", {**parameters, **span}, table=table)
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


def _parameters(closes: dict[date, _Close], business_date: date) -> dict[str, object]:
    return {"business_date": business_date, "known_until": closes[business_date].closed_at}


def _built(store: ColdStore, table: str) -> set[date]:
    return {_day(value) for value in store.fetch("cold_store/built_dates", table=table)["business_date"]}


def _day(value: object) -> date:
    return pd.Timestamp(value).date()  # type: ignore[arg-type]


def _moment(value: object) -> datetime:
    return pd.Timestamp(value).to_pydatetime()  # type: ignore[arg-type]
