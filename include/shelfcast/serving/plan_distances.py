"""What a plan says of the days around promotions and closures, counted anew after an assumption moved one.

A vector has the plan as `sql/cold_store/insert_demand_ahead.sql` counts it: days since, days until, days left. From these the
promotions and closed days are read back, as far as they are told, and counted again as the statement would. Days are numbered
from the business date, which is day 0. What is not told is a promotion or closure behind one on the first day ahead, or beyond
one on the last, if the caller takes that one away: it counts as far off.
"""

import itertools
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

FAR_DAYS = 28
"""Days from which on something is no longer near."""

DAYS_AROUND = 14
"""Days before and after a day among which closed days are counted."""

WEEK = 7

Series = Mapping[str, npt.NDArray[np.float32]]
"""Covariates of one series by name, each as long as the plan has days."""

Span = tuple[int, int]
"""First and last day."""


def promote(series: Series, switched: Mapping[int, bool]) -> None:
    """Counts the days of promotions, and those around them, as they are once some days are switched on or off.

    Days that are switched on prolong the promotions that run next to them in the plan.

    Args:
        series: Changed in place, but for `on_promotion`, which is as planned still, and `discount`.
        switched: Whether there is a promotion now, by day.
    """
    days, spans = range(1, len(series["on_promotion"]) + 1), _promotions(series)
    was_on = {day for day in days if series["on_promotion"][day - 1] > 0}
    is_on = {day for day in days if switched.get(day, day in was_on)}
    spans = [part for span in spans for part in _without(span, was_on - is_on)]
    for first, last in _runs(is_on - was_on):
        joined = [span for span in spans if span[1] == first - 1 >= 1 or span[0] == last + 1 <= days[-1]]
        starts, ends = zip((first, last), *joined, strict=True)
        spans.append((min(starts), max(ends)))
    running = {day: [span for span in spans if span[0] <= day <= span[1]] for day in days}
    _write(
        series, "promotion_day", is_on, [max((day - first + 1 for first, _ in running[day]), default=0) for day in days]
    )
    _write(
        series, "promotion_days_left", is_on, [max((last - day for _, last in running[day]), default=0) for day in days]
    )
    _write_distances(series, "promotion", is_on, [*spans, *_beyond(series, "promotion")])


def close(series: Series, switched: Mapping[int, bool]) -> None:
    """Lets the days around know which days are closed or opened.

    Args:
        series: Changed in place, but for `is_open`, which is as planned still.
        switched: Whether the store is open now, by day.
    """
    days, closed = range(1, len(series["is_open"]) + 1), _closed_days(series)
    moved = {day: 1 for day, is_open in switched.items() if not is_open and day not in closed}
    moved |= {day: -1 for day, is_open in switched.items() if is_open and day in closed}
    for day, more in moved.items():
        series["closed_days_before_14"][day : day + DAYS_AROUND] += more
        series["closed_days_after_14"][max(day - 1 - DAYS_AROUND, 0) : day - 1] += more
        series["is_open_day_before"][day : day + 1] = more < 0
        series["is_open_day_after"][max(day - 2, 0) : day - 1] = more < 0
    told = _beyond(series, "closure")
    closed = {day for day in closed | set(switched) if not switched.get(day, day not in closed)}
    # of a day that is closed every week nobody takes notice; on which day it is its own week before says
    unusual = {day for day in closed if day - WEEK not in closed and day > WEEK - DAYS_AROUND}
    _write_distances(series, "closure", unusual & set(days), [*((day, day) for day in unusual), *told])


def _promotions(series: Series) -> list[Span]:
    """Promotions that run on days of the plan; of those that run at a time, those that begin first and end last."""
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    for day in (int(position) + 1 for position in np.flatnonzero(series["on_promotion"] > 0)):
        number, left = (series[name][day - 1] for name in ("promotion_day", "promotion_days_left"))
        starts[day - max(int(np.nan_to_num(number)), 1) + 1] = day
        ends.setdefault(day + int(np.nan_to_num(left)), day)
    return sorted({*starts.items(), *((first, last) for last, first in ends.items())})


def _closed_days(series: Series) -> set[int]:
    """Closed days of the plan, of the two weeks before it and of the two after: the counts around tell which."""
    last = len(series["is_open"])
    before, after = (np.nan_to_num(series[f"closed_days_{side}_14"]) for side in ("before", "after"))
    closed = {day for day in range(1, last + 1) if series["is_open"][day - 1] == 0}
    earlier = {day - DAYS_AROUND for day in range(1, last) if before[day - 1] + (day in closed) > before[day]}
    later = {day + DAYS_AROUND for day in range(2, last + 1) if after[day - 1] + (day in closed) > after[day - 2]}
    return closed | {day for day in earlier if day < 1} | {day for day in later if day > last}


def _beyond(series: Series, what: str) -> list[Span]:
    """The nearest before and the nearest behind the plan, where its first and last day tell."""
    since, until = series[f"days_since_{what}"], series[f"days_until_{what}"]
    earlier, later = 1 - np.nan_to_num(since[0]), len(until) + np.nan_to_num(until[-1])
    known = [int(day) for day in (earlier, later) if not 1 <= day <= len(until)]
    return [(day, day) for day in known]


def _without(span: Span, days: set[int]) -> list[Span]:
    """What is left of a span without some days."""
    first, last = span
    edges = [first - 1, *sorted(day for day in days if first <= day <= last), last + 1]
    return [(left + 1, right - 1) for left, right in itertools.pairwise(edges) if right - left > 1]


def _runs(days: set[int]) -> list[Span]:
    """Days in a row, as spans."""
    return _without((min(days), max(days)), set(range(min(days), max(days))) - days) if days else []


def _write_distances(series: Series, what: str, marks: set[int], spans: list[Span]) -> None:
    days = range(1, len(series[f"days_since_{what}"]) + 1)
    since = [min([FAR_DAYS, *(max(day - last, 0) for first, last in spans if first <= day)]) for day in days]
    until = [min([FAR_DAYS, *(max(first - day, 0) for first, last in spans if last >= day)]) for day in days]
    _write(series, f"days_since_{what}", marks, since)
    _write(series, f"days_until_{what}", marks, until)


def _write(series: Series, name: str, marks: Iterable[int], counted: list[int]) -> None:
    """Writes counts; what was not known of days without a mark stays so."""
    planned = series[name]
    is_marked = np.isin(np.arange(1, len(planned) + 1), list(marks))
    planned[:] = np.where(np.isnan(planned) & ~is_marked, planned, np.asarray(counted, dtype=planned.dtype))
