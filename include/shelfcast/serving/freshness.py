"""How old what is known of a series may be."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """A limit to the age of vectors: whole days from their business date to today.

    The day after a business date, its vectors are one day old. Where no day was closed for longer than the limit, the
    loop stands still, and a forecast of "tomorrow" would be one of a day long past.

    Attributes:
        limit_days: Oldest age that is served, 1 or more.
        today: Tells the date in the shop's time zone; the forecaster's process brings its clock.
    """

    limit_days: int
    today: Callable[[], date]

    def age_days(self, business_date: date) -> int:
        """Days since the business date."""
        return (self.today() - business_date).days

    def allows(self, business_date: date) -> bool:
        """Whether vectors of that date may still be served."""
        return self.age_days(business_date) <= self.limit_days
