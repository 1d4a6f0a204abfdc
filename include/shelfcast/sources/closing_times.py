"""When a shop closes its business days: the same time on each of them, or one for each day of the week."""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field

DAYS_A_WEEK = 7
EARLIEST, LATEST = timedelta(hours=12), timedelta(hours=29)
"""Sales that have no time of their own are stamped at noon, and a day that was left open is closed at half past five."""

Clock = Annotated[str, Field(pattern=r"^[0-2]\d:[0-5]\d(:[0-5]\d)?$")]


def _checked(closes_at: tuple[str, ...]) -> tuple[str, ...]:
    if len(closes_at) not in (1, DAYS_A_WEEK):
        raise ValueError(f"write one time, or seven of them from Monday to Sunday, not {len(closes_at)}")
    for clock in closes_at:
        if not EARLIEST < after_midnight(clock) <= LATEST:
            raise ValueError(
                f"{clock} is not later than 12:00 and not later than 29:00, five in the morning behind the day"
            )
    return closes_at


ClosingTimes = Annotated[tuple[Clock, ...], AfterValidator(_checked)]
"""`HH:MM` or `HH:MM:SS`, one for all days or seven from Monday on; hours from 24 on are of the day behind."""

BEFORE_MIDNIGHT = ("23:59:59",)


def closed_at(business_date: date, closes_at: Sequence[str]) -> datetime:
    """The moment at which a business day is closed.

    Args:
        business_date: The day.
        closes_at: One time, or seven from Monday on, as `ClosingTimes` allows.
    """
    clock = closes_at[business_date.weekday() % len(closes_at)]
    return datetime.combine(business_date, time()) + after_midnight(clock)


def after_midnight(clock: str) -> timedelta:
    """How long after the day's first moment a time is; `26:00` is two in the morning behind it."""
    hours, minutes, seconds = map(int, f"{clock}:00".split(":")[:3])
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)
