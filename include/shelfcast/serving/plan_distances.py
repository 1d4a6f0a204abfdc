"""Days to the nearest promotion or closure of a plan, and closed days around, counted anew after an assumption moved one.

What lies before the first day ahead and behind the last one is not in a plan; it is taken from the distances that were
planned, which count as far as `FAR_DAYS` (as `sql/cold_store/insert_demand_ahead.sql` counts them).
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

FAR_DAYS = 28
"""Days from which on something is no longer near."""

DAYS_AROUND = 14
"""Days before and after a day among which closed days are counted."""

Numbers = npt.NDArray[np.float32]
Booleans = npt.NDArray[np.bool_]


def count_again(plan: Mapping[str, Numbers], what: str, marks: Booleans, *, before: Numbers | None = None) -> None:
    """Counts `days_since_<what>` and `days_until_<what>` of a plan in place; what was not known stays so.

    Args:
        plan: Covariates by name, each of shape (series, days ahead).
        what: `promotion` or `closure`.
        marks: Which days are 0 days away, of the same shape.
        before: Days since the last one on the day before the first day ahead, NaN if the plan tells it.
    """
    since, until = plan[f"days_since_{what}"], plan[f"days_until_{what}"]
    earlier = _beyond(since[:, 0])
    if before is not None:
        earlier = np.where(np.isnan(before), earlier, before)
    later = _beyond(until[:, -1])
    since[:] = _known(since, marks, _counted(marks, earlier))
    until[:] = _known(until, marks, _counted(marks[:, ::-1], later)[:, ::-1])


def count_days_left(plan: Mapping[str, Numbers], was_on: Booleans) -> None:
    """Counts `promotion_days_left` of a plan in place, from its `on_promotion`."""
    planned, is_on = plan["promotion_days_left"].copy(), plan["on_promotion"] > 0
    left = np.zeros_like(planned)
    left[:, -1] = np.where(is_on[:, -1] & was_on[:, -1], planned[:, -1], 0)
    for day in reversed(range(left.shape[1] - 1)):
        left[:, day] = np.where(is_on[:, day] & is_on[:, day + 1], left[:, day + 1] + 1, 0)
    plan["promotion_days_left"][:] = _known(planned, is_on, left)


def count_closed_day(plan: Mapping[str, Numbers], day: int, *, more: Numbers) -> None:
    """Counts a day that was closed or opened among the closed days around those near it, in place.

    Args:
        plan: Covariates by name, each of shape (series, days ahead).
        day: Index of the day, from 0.
        more: By series 1 if the day is closed now and was not, -1 if it was closed and is not, else 0.
    """
    plan["closed_days_before_14"][:, day + 1 : day + 1 + DAYS_AROUND] += more[:, None]
    plan["closed_days_after_14"][:, max(day - DAYS_AROUND, 0) : day] += more[:, None]


def _beyond(edge: Numbers) -> Numbers:
    """The distance one day beyond the plan's edge: one less than at the edge, or far if that day itself is near none."""
    return np.where(edge > 0, edge - 1, np.float32(FAR_DAYS))


def _counted(marks: Booleans, edge: Numbers) -> Numbers:
    """Days since the last mark, from left to right, where `edge` is that of the day before."""
    found = np.empty(marks.shape, dtype=np.float32)
    days = edge
    for day in range(marks.shape[1]):
        days = np.where(marks[:, day], 0, np.minimum(days + 1, FAR_DAYS))
        found[:, day] = days
    return found


def _known(planned: Numbers, marks: Booleans, counted: Numbers) -> Numbers:
    return np.where(np.isnan(planned) & ~marks, planned, counted)
