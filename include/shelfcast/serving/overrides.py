"""What a caller assumes of days ahead, worked into the plan as if it had been planned so.

A model learned from plans that agree with themselves: a promotion has a discount and a running day, a closed day is seen
by the days around it. An assumption about one of these therefore changes the others as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfcast.serving.plan_distances import close, promote

USUAL_DISCOUNT = 0.2
"""Of a promotion whose discount nobody gave, at a series with no other promotion ahead."""

Plan = Mapping[str, npt.NDArray[np.float32]]
"""Covariates by name, each of shape (series, days ahead)."""


@dataclass(frozen=True, kw_only=True)
class Override:
    """What a caller assumes of a day ahead; `None` keeps what is planned.

    Attributes:
        horizon_day: The day, 1 or more.
        on_promotion: Without a promotion there is no discount either.
        discount: Share off the price; above 0 it means a promotion, unless `on_promotion` says no.
        price: Shelf price.
        is_open: Whether the store is open.
    """

    horizon_day: int
    on_promotion: bool | None = None
    discount: float | None = None
    price: float | None = None
    is_open: bool | None = None

    @property
    def has_promotion(self) -> bool | None:
        """Whether there is a promotion on the day; `None` if nothing is assumed."""
        return True if self.on_promotion is None and self.discount else self.on_promotion


def apply(plan: Plan, overrides: Sequence[Override]) -> None:
    """Changes a plan in place; of two overrides that say something of the same thing the later one counts."""
    merged = _merged(overrides)
    for override in merged:
        if override.price is not None:
            plan["price"][:, override.horizon_day - 1] = override.price
    _open(plan, [override for override in merged if override.is_open is not None])
    _promote(plan, [override for override in merged if override.has_promotion is not None])


def _merged(overrides: Sequence[Override]) -> list[Override]:
    """One override a day."""
    days: dict[int, dict[str, float]] = {}
    for override in overrides:
        given = {name: value for name, value in vars(override).items() if value is not None}
        days.setdefault(override.horizon_day, {}).update(given)
    return [Override(**given) for given in days.values()]  # type: ignore[arg-type]


def _open(plan: Plan, overrides: Sequence[Override]) -> None:
    """Opens or closes days, and lets the days around them know."""
    switched = {override.horizon_day: bool(override.is_open) for override in overrides}
    if switched:
        for number in range(len(plan["is_open"])):
            close({name: values[number] for name, values in plan.items()}, switched)
    for day, is_open in switched.items():
        plan["is_open"][:, day - 1] = is_open


def _promote(plan: Plan, overrides: Sequence[Override]) -> None:
    """Switches promotions on and off, with their discounts and running days."""
    switched = {override.horizon_day: bool(override.has_promotion) for override in overrides}
    if switched:
        for number in range(len(plan["on_promotion"])):
            promote({name: values[number] for name, values in plan.items()}, switched)
    was_on, discounts = plan["on_promotion"] > 0, plan["discount"].copy()
    for override in overrides:
        day, has_promotion = override.horizon_day - 1, bool(override.has_promotion)
        discount = override.discount if override.discount is not None else _nearest(discounts, was_on, day)
        plan["on_promotion"][:, day] = has_promotion
        plan["discount"][:, day] = discount if has_promotion else 0.0


def _nearest(discounts: npt.NDArray[np.float32], was_on: npt.NDArray[np.bool_], day: int) -> npt.NDArray[np.float32]:
    """The discount of each series' nearest planned day of promotion, which may be the day itself."""
    distance = np.where(was_on, np.abs(np.arange(was_on.shape[1]) - day), was_on.shape[1])
    found = discounts[np.arange(len(discounts)), distance.argmin(axis=1)]
    return np.where(was_on.any(axis=1), found, np.float32(USUAL_DISCOUNT))
