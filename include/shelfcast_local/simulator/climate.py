"""Weather by region: as it was, and as it was forecast each morning for the ten days ahead."""

from datetime import date, datetime, time
from functools import lru_cache

import numpy as np
import pandas as pd

from shelfcast_local.simulator.streams import Purpose, stream
from shelfcast_local.simulator.world import REGIONS, Floats, Integers, World

ISSUED_AT = time(6, 0)
LEAD_DAYS = 10
MEMORY_DAYS = 14
PERSISTENCE = 0.75


@lru_cache(maxsize=4096)
def _innovations(seed: int, day: int) -> Floats:
    """Standard normal news of a day: shape (2, regions) for temperature and wetness, alike across regions."""
    rng = stream(seed, Purpose.WEATHER, day)
    own, shared = rng.normal(size=(2, len(REGIONS))), rng.normal(size=(2, 1))
    return np.asarray(0.5 * own + np.sqrt(0.75) * shared)


@lru_cache(maxsize=4096)
def _state(seed: int, day: int) -> Floats:
    """Standard normal state, remembered for two weeks: shape (2, regions)."""
    weights = PERSISTENCE ** np.arange(MEMORY_DAYS)
    news = np.stack([_innovations(seed, day - age) for age in range(MEMORY_DAYS)])
    return np.asarray(np.tensordot(weights / np.sqrt((weights**2).sum()), news, axes=1))


def weather(seed: int, region: int, day: int) -> tuple[float, float]:
    """Mean temperature in °C and precipitation in mm of a day."""
    return _weather(_state(seed, day)[:, region], region, day)


def _weather(state: Floats, region: int, day: int) -> tuple[float, float]:
    season = np.cos(2 * np.pi * (date.fromordinal(day).timetuple().tm_yday - 20) / 365.25)
    temperature = 10.5 - 9.5 * season + (0.0, -1.0, 1.5, 0.5)[region] + 3.4 * state[0]
    precipitation = 6.0 * max(0.0, state[1] - 0.35) ** 1.3
    return round(float(temperature), 1), round(float(precipitation), 1)


def weather_of_days(world: World, region: int, days: Integers) -> tuple[Floats, Floats]:
    """Temperatures and precipitation by ordinal day."""
    pairs = np.array([weather(world.settings.seed, region, day) for day in days.tolist()])
    return pairs[:, 0], pairs[:, 1]


def observations_written(world: World, first: int, last: int) -> pd.DataFrame:
    """Rows of `weather_observations`, each written on its day."""
    rows = [
        (REGIONS[region], date.fromordinal(day), *weather(world.settings.seed, region, day))
        for day in range(first, last + 1)
        for region in world.regions
    ]
    return pd.DataFrame(rows, columns=["region", "observed_on", "temperature_celsius", "precipitation_mm"])


def forecasts_written(world: World, first: int, last: int) -> pd.DataFrame:
    """Rows of `weather_forecasts` issued in these days, one to ten days ahead."""
    parts = [_issue(world, region, day) for day in range(first, last + 1) for region in world.regions]
    columns = ["region", "issued_at", "target_date", "temperature_celsius", "precipitation_mm"]
    return pd.DataFrame([row for part in parts for row in part], columns=columns)


def _issue(world: World, region: int, day: int) -> list[tuple[str, datetime, date, float, float]]:
    """One morning's forecast. The error is a walk over the lead days, so it grows as the root of the lead."""
    rng = stream(world.settings.seed, Purpose.WEATHER_FORECAST, day, region)
    error = np.cumsum(rng.normal(0, 0.28, size=(LEAD_DAYS, 2)), axis=0)
    issued_at = datetime.combine(date.fromordinal(day), ISSUED_AT)
    rows = []
    for lead in range(1, LEAD_DAYS + 1):
        # a forecast leans back to the season's mean the farther it looks, as a forecaster's would
        state = _state(world.settings.seed, day + lead)[:, region] + error[lead - 1]
        shrunk = state / (1 + 0.28**2 * lead)
        temperature, precipitation = _weather(shrunk, region, day + lead)
        rows.append((REGIONS[region], issued_at, date.fromordinal(day + lead), temperature, precipitation))
    return rows
