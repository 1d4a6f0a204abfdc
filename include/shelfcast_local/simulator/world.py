"""The stores and items of a simulated shop and what sets each apart, drawn once from the seed."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from shelfcast.sources.simulation_settings import SimulationSettings
from shelfcast_local.simulator.streams import Purpose, stream

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]

REGIONS = ("north", "east", "south", "west")
GROUPS = ("city", "suburb", "rural")
CATEGORIES = ("beverages", "bakery", "produce", "frozen", "household", "seasonal")
WEEKDAY_PROFILES = np.array(
    [
        [0.98, 0.96, 0.98, 1.03, 1.18, 1.22, 0.65],  # city, Monday first
        [0.82, 0.80, 0.85, 0.95, 1.28, 1.62, 0.68],  # suburb
        [0.90, 0.88, 0.92, 1.00, 1.22, 1.38, 0.70],  # rural
    ]
)
# by category: price, units a line, strength of the season, its peak (day of the year), demand a degree above 15 °C
CATEGORY_TRAITS = np.array(
    [
        [1.6, 5.5, 0.18, 195, 0.022],
        [2.4, 3.0, 0.05, 350, -0.004],
        [2.9, 3.6, 0.15, 170, 0.006],
        [4.2, 2.8, 0.22, 200, 0.018],
        [5.5, 2.2, 0.06, 110, 0.0],
        [8.0, 2.0, 0.55, 345, -0.010],
    ]
)
NEVER = date(9999, 12, 31)


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """Traits of stores (length S) and items (length I).

    Attributes:
        settings: What the world was drawn from.
        region, group: Index into `REGIONS` and `GROUPS` by store.
        store_size: Demand of a store against the mean store.
        delivery_weekday: Day a store is delivered, 0 = Monday.
        opened_on, introduced_on, discontinued_on: Ordinal days; `NEVER` where none.
        category: Index into `CATEGORIES` by item.
        base: Mean units a day at a store of size 1.
        line_units: Usual units of an order line.
        reference_price: Shelf price at the start.
        elasticity, display_uplift: How demand answers to price, and to a promotion beyond its price.
        growth: Change of the level a year, as a share.
        dispersion: Variance of the daily rate as a share of its square.
        is_intermittent: Items that are asked for on few days.
    """

    settings: SimulationSettings
    region: Integers
    group: Integers
    store_size: Floats
    delivery_weekday: Integers
    opened_on: Integers
    category: Integers
    introduced_on: Integers
    discontinued_on: Integers
    base: Floats
    line_units: Floats
    reference_price: Floats
    elasticity: Floats
    display_uplift: Floats
    growth: Floats
    dispersion: Floats
    is_intermittent: Booleans

    @cached_property
    def store_ids(self) -> NDArray[np.object_]:
        """Names of the stores, such as `S001`."""
        return np.array([f"S{index + 1:03d}" for index in range(len(self.region))], dtype=object)

    @cached_property
    def item_ids(self) -> NDArray[np.object_]:
        """Names of the items, such as `I0001`."""
        return np.array([f"I{index + 1:04d}" for index in range(len(self.category))], dtype=object)

    @cached_property
    def regions(self) -> list[int]:
        """Indices of the regions that have a store."""
        return sorted(set(self.region.tolist()))

    def is_sold(self, store: int, days: Integers) -> Booleans:
        """Whether each item is in the range of a store, by day: shape (days, items)."""
        by_item = (days[:, None] >= self.introduced_on) & (days[:, None] <= self.discontinued_on)
        return np.asarray(by_item & (days[:, None] >= self.opened_on[store]))

    def stores_written(self, first: int, last: int) -> pd.DataFrame:
        """Rows of `stores` that the shop wrote in these days: each 28 days before it opens."""
        announced = self.opened_on - 28
        chosen = np.flatnonzero((announced >= first) & (announced <= last))
        return pd.DataFrame(
            {
                "store_id": self.store_ids[chosen],
                "region": np.array(REGIONS, dtype=object)[self.region[chosen]],
                "store_group": np.array(GROUPS, dtype=object)[self.group[chosen]],
                "opened_on": as_days(self.opened_on[chosen]),
                "closed_on": np.full(len(chosen), None),
            }
        )

    def items_written(self, first: int, last: int, *, discontinued_known_by: int) -> pd.DataFrame:
        """Rows of `items` written in these days: each when it was announced, 14 days before it is introduced."""
        announced = self.introduced_on - 14
        chosen = np.flatnonzero((announced >= first) & (announced <= last))
        known = self.discontinued_on[chosen] - 14 <= discontinued_known_by
        return self._item_rows(chosen, np.where(known, self.discontinued_on[chosen], NEVER.toordinal()))

    def items_discontinued(self, day: int) -> pd.DataFrame:
        """Rows of `items` whose end is announced on that day, 14 days ahead."""
        chosen = np.flatnonzero(self.discontinued_on - 14 == day)
        return self._item_rows(chosen, self.discontinued_on[chosen])[["item_id", "discontinued_on"]]

    def _item_rows(self, chosen: NDArray[np.intp], discontinued_on: Integers) -> pd.DataFrame:
        ends = as_days(discontinued_on).astype("datetime64[s]").astype(object)
        return pd.DataFrame(
            {
                "item_id": self.item_ids[chosen],
                "category": np.array(CATEGORIES, dtype=object)[self.category[chosen]],
                "introduced_on": as_days(self.introduced_on[chosen]),
                "discontinued_on": [
                    None if day == NEVER.toordinal() else end for day, end in zip(discontinued_on, ends, strict=True)
                ],
            }
        )


def as_days(ordinals: Integers) -> NDArray[np.datetime64]:
    """Ordinal days (1 = 0001-01-01) as `datetime64[D]`."""
    return (np.asarray(ordinals, dtype=np.int64) - date(1970, 1, 1).toordinal()).astype("datetime64[D]")


def build_world(settings: SimulationSettings) -> World:
    """Draws stores and items."""
    return World(settings=settings, **_stores(settings), **_items(settings))


def _stores(settings: SimulationSettings) -> dict[str, Any]:
    rng = stream(settings.seed, Purpose.STORES)
    count = settings.stores
    opened_on = np.full(count, settings.first_day.toordinal())
    # every eighth store opens in the middle of the history
    opened_on[7::8] += int(settings.history_days * 0.45)
    return {
        "region": np.arange(count) % min(len(REGIONS), count),
        "group": np.arange(count) // 2 % len(GROUPS),
        "store_size": np.exp(rng.normal(0, 0.3, count)),
        "delivery_weekday": rng.integers(0, 6, count),
        "opened_on": opened_on,
    }


def _items(settings: SimulationSettings) -> dict[str, Any]:
    rng = stream(settings.seed, Purpose.ITEMS)
    count = settings.items
    index = np.arange(count)
    category = index % len(CATEGORIES)
    is_intermittent = index % 6 == 4
    level = np.exp(rng.normal(0, 0.55, count))
    level *= settings.units_per_day / level[~is_intermittent].mean() if (~is_intermittent).any() else 1.0
    price, line_units = CATEGORY_TRAITS[category, 0], CATEGORY_TRAITS[category, 1]
    introduced_on, discontinued_on = _lifetimes(settings, rng)
    return {
        "category": category,
        "introduced_on": introduced_on,
        "discontinued_on": discontinued_on,
        "base": np.where(is_intermittent, rng.uniform(0.15, 0.55, count), level),
        "line_units": np.where(is_intermittent, 1.3, line_units),
        "reference_price": np.round(price * np.exp(rng.normal(0, 0.35, count)), 1) + 0.09,
        "elasticity": rng.uniform(1.1, 2.3, count),
        "display_uplift": rng.uniform(1.1, 1.5, count),
        "growth": rng.normal(0.04, 0.12, count),
        "dispersion": rng.uniform(0.02, 0.06, count),
        "is_intermittent": is_intermittent,
    }


def _lifetimes(settings: SimulationSettings, rng: np.random.Generator) -> tuple[Integers, Integers]:
    """About one item in eight is introduced on the way, one in twelve is given up; one of each after the history."""
    count, days, start = settings.items, settings.history_days, settings.first_day.toordinal()
    introduced_on = np.full(count, start)
    discontinued_on = np.full(count, NEVER.toordinal())
    newcomers = np.arange(count)[5::8]
    introduced_on[newcomers] = start + (days * rng.uniform(0.35, 0.95, len(newcomers))).astype(int)
    introduced_on[newcomers[-1:]] = start + days + 18
    leavers = np.arange(count)[2::12]
    discontinued_on[leavers] = start + (days * rng.uniform(0.4, 0.9, len(leavers))).astype(int)
    discontinued_on[leavers[-1:]] = start + days + 20
    return introduced_on, discontinued_on
