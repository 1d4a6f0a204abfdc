"""How old what is known of a series may be."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Self

from shelfcast.model.declaration import ModelDeclaration


@dataclass(frozen=True, kw_only=True)
class Freshness:
    """A limit to the age of vectors: whole days from their business date to today.

    The day after a business date, its vectors are one day old. Where no day was closed for longer than the limit, the
    loop stands still, and a forecast of "tomorrow" would be one of a day long past.

    Attributes:
        limit_days: Model to the oldest age that is served, 1 or more.
        today: Tells the date in the shop's time zone; the forecaster's process brings its clock.
    """

    limit_days: Mapping[str, int]
    today: Callable[[], date]

    @classmethod
    def declared(cls, models: Iterable[ModelDeclaration], *, today: Callable[[], date]) -> Self:
        """The limits that the models declare."""
        return cls(limit_days={model.name: model.stale_after_days for model in models}, today=today)

    def age_days(self, business_date: date) -> int:
        """Days since the business date."""
        return (self.today() - business_date).days

    def allows(self, model: str, business_date: date) -> bool:
        """Whether vectors of that date may still be served; raises `KeyError` for a model without a limit."""
        return self.age_days(business_date) <= self.limit_days[model]
