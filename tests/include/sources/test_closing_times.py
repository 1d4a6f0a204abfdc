"""When a business day is closed, by the times that a shop declares."""

from datetime import date, datetime

import pytest
from pydantic import ValidationError

from shelfcast.sources.closing_times import BEFORE_MIDNIGHT, closed_at
from shelfcast.sources.simulation_settings import SimulationSettings

MONDAY = date(2024, 1, 1)
WEEK = ("18:00", "18:00", "18:00", "22:10", "26:00", "26:00:30", "13:00")


@pytest.mark.parametrize(
    ("day", "closes_at", "expected"),
    [
        (1, BEFORE_MIDNIGHT, datetime(2024, 1, 1, 23, 59, 59)),
        (3, ("18:00",), datetime(2024, 1, 3, 18)),
        (4, WEEK, datetime(2024, 1, 4, 22, 10)),
        (5, WEEK, datetime(2024, 1, 6, 2)),
        (6, WEEK, datetime(2024, 1, 7, 2, 0, 30)),
        (7, WEEK, datetime(2024, 1, 7, 13)),
        (8, WEEK, datetime(2024, 1, 8, 18)),
    ],
)
def test_a_day_is_closed_at_the_time_of_its_weekday(day, closes_at, expected):
    assert closed_at(MONDAY.replace(day=day), closes_at) == expected


@pytest.mark.parametrize("closes_at", [("18:00",), ("29:00",), ("12:01",), WEEK])
def test_any_time_between_noon_and_the_next_morning_is_allowed(closes_at):
    assert SimulationSettings(closes_at=closes_at).closes_at == closes_at


@pytest.mark.parametrize(
    ("closes_at", "text"),
    [
        ((), "one time, or seven"),
        (("18:00", "19:00"), "one time, or seven"),
        (("12:00",), "not later than 12:00"),
        (("29:01",), "not later than 29:00"),
        (("6 pm",), "pattern"),
    ],
)
def test_any_other_is_refused(closes_at, text):
    with pytest.raises(ValidationError, match=text):
        SimulationSettings(closes_at=closes_at)
