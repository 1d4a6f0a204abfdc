"""Public and school holidays by region, and the days a store is closed: rows as announced, and lookups by day."""

from datetime import date, datetime, time, timedelta
from functools import cache

import numpy as np
import pandas as pd

from shelfcast_local.simulator.streams import Purpose, stream
from shelfcast_local.simulator.world import REGIONS, Booleans, Floats, Integers, World

ANNOUNCED_AT = time(9, 0)
CLOSURE_NOTICE_DAYS = 28


def easter_sunday(year: int) -> date:
    """Easter of the Gregorian calendar, by the anonymous algorithm of Meeus, Jones and Butcher."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    k = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * k) // 451
    month, day = divmod(h + k - 7 * m + 114, 31)
    return date(year, month, day + 1)


@cache
def public_holidays(region: int, year: int) -> dict[date, str]:
    """Public holidays of a region with their names."""
    easter = easter_sunday(year)
    found = {
        date(year, 1, 1): "New Year",
        easter - timedelta(days=2): "Good Friday",
        easter + timedelta(days=1): "Easter Monday",
        date(year, 5, 1): "Labour Day",
        easter + timedelta(days=39): "Ascension",
        easter + timedelta(days=50): "Whit Monday",
        date(year, 10, 3): "National Day",
        date(year, 12, 25): "Christmas Day",
        date(year, 12, 26): "Second Christmas Day",
    }
    if REGIONS[region] in ("south", "west"):
        found[easter + timedelta(days=60)] = "Corpus Christi"
    else:
        found[date(year, 10, 31)] = "Reformation Day"
    return found


@cache
def school_holidays(region: int, year: int) -> dict[date, str]:
    """Days without school of a region with the holiday's name; summer moves by region."""
    easter = easter_sunday(year)
    spans = [
        (date(year, 1, 1), 5, "Christmas holidays"),
        (easter - timedelta(days=8), 16, "Easter holidays"),
        (date(year, 6, 20) + timedelta(days=12 * region), 43, "Summer holidays"),
        (date(year, 10, 5) + timedelta(days=7 * (region % 3)), 12, "Autumn holidays"),
        (date(year, 12, 22), 10, "Christmas holidays"),
    ]
    return {start + timedelta(days=day): name for start, length, name in spans for day in range(length)}


def holiday_rows(world: World, years: range) -> pd.DataFrame:
    """Rows of `holidays` of these years."""
    rows = [
        (REGIONS[region], day, kind, name)
        for region in world.regions
        for year in years
        for kind, days in (("public", public_holidays(region, year)), ("school", school_holidays(region, year)))
        for day, name in days.items()
    ]
    return pd.DataFrame(rows, columns=["region", "holiday_on", "kind", "name"])


def is_public_holiday(region: int, day: date) -> bool:
    """Whether the region has a public holiday."""
    return day in public_holidays(region, day.year)


def is_closed(world: World, store: int, day: date) -> bool:
    """Whether a store is closed: public holidays and its own works."""
    return is_public_holiday(int(world.region[store]), day) or day in _works(world.settings.seed, store, day.year)


def closed_days(world: World, store: int, days: Integers) -> Booleans:
    """Whether a store is closed, by ordinal day."""
    return np.array([is_closed(world, store, date.fromordinal(day)) for day in days.tolist()], dtype=bool)


def calendar_effect(world: World, store: int, days: Integers) -> Floats:
    """Factor on demand by day: shopping ahead of closed days, school holidays, the weeks before Christmas."""
    region = int(world.region[store])
    return np.array([_effect(world, store, region, date.fromordinal(day)) for day in days.tolist()])


def closures_written(world: World, first: int, last: int) -> pd.DataFrame:
    """Rows of `store_closures` announced in these ordinal days.

    Public holidays of a year are announced on the 1st of October before it, works 28 days ahead. A store announces
    nothing before it opens, and what lies before the first day is not kept.
    """
    start = world.settings.first_day.toordinal()
    rows = []
    for store in range(len(world.region)):
        region, opened_on = int(world.region[store]), int(world.opened_on[store])
        for year in range(world.settings.first_day.year, date.fromordinal(last).year + 2):
            planned = [(day, name, date(year - 1, 10, 1)) for day, name in public_holidays(region, year).items()]
            planned += [
                (day, "works", day - timedelta(days=CLOSURE_NOTICE_DAYS))
                for day in _works(world.settings.seed, store, year)
                if not is_public_holiday(region, day)
            ]
            for day, reason, announced_on in planned:
                written_on = max(announced_on.toordinal(), opened_on - CLOSURE_NOTICE_DAYS)
                if day.toordinal() >= max(start, opened_on) and first <= written_on <= last:
                    announced_at = datetime.combine(date.fromordinal(written_on), ANNOUNCED_AT)
                    rows.append((world.store_ids[store], day, reason, announced_at))
    return pd.DataFrame(rows, columns=["store_id", "closed_on", "reason", "announced_at"])


@cache
def _works(seed: int, store: int, year: int) -> frozenset[date]:
    """Days of a store's works in a year: none for two stores in three, else four to nine days in a row."""
    rng = stream(seed, Purpose.CLOSURES, store, year)
    has_works, start, length = rng.random() < 0.35, int(rng.integers(40, 300)), int(rng.integers(4, 10))
    first = date(year, 1, 1) + timedelta(days=start)
    return frozenset(first + timedelta(days=day) for day in range(length)) if has_works else frozenset()


def _effect(world: World, store: int, region: int, day: date) -> float:
    effect = 1.0
    for ahead, factor in ((1, 1.32), (2, 1.12)):
        if is_closed(world, store, day + timedelta(days=ahead)):
            effect = max(effect, factor)
    if is_closed(world, store, day - timedelta(days=1)):
        effect *= 1.1
    if day in school_holidays(region, day.year):
        effect *= 0.94 if world.group[store] == 0 else 1.06
    if day.month == 12 and day.day < 25:
        effect *= 1 + 0.012 * day.day
    if day.month == 1 and day.day < 20:
        effect *= 0.92
    return effect
