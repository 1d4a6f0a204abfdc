"""An assumption about days ahead against the statement that plans them, run with the plan as if it had been announced so."""

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from shelfcast.cold_store import feature_views, load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.serving.overrides import Override, apply
from shelfcast.sources.shop_schema import TABLES

TODAY = date(2025, 6, 30)
HORIZON = 28
PLANS = 120
FIRST, LAST = -45, 75
"""Days whose plans can be near a day ahead."""


class Plan:
    """What is announced for one store, by days after today, and what a caller assumes instead."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        self.promotions = self.some_promotions(rng)
        self.closed = {int(day) for day in rng.integers(-6, 43, rng.integers(0, 5))}
        if rng.random() < 0.7:
            self.closed |= set(range(FIRST + int(rng.integers(7)), LAST, 7))
        self.switched = {int(day): bool(rng.integers(2)) for day in rng.integers(1, HORIZON + 1, rng.integers(0, 7))}
        self.opened = {int(day): bool(rng.integers(2)) for day in rng.integers(1, HORIZON + 1, rng.integers(0, 5))}
        if any(last == 0 for _, last, _ in self.promotions) and rng.random() < 0.5:
            self.switched[1] = True
        weekly = [day for day in self.closed if 1 <= day <= HORIZON]
        self.opened |= dict.fromkeys(rng.choice(weekly, 1).tolist(), True) if weekly and rng.random() < 0.5 else {}

    def some_promotions(self, rng):
        """Spans and discounts, some next to each other, some at one time; the first ends before the plan or runs into it."""
        first, found = int(rng.integers(-20, 3)), []
        while first < 50 and rng.random() < 0.85:
            last = 0 if first <= 0 and rng.random() < 0.5 else first + int(rng.integers(0, 9))
            found.append((first, last, float(rng.choice([0.1, 0.25, 0.5]))))
            first = last + int(rng.integers(-2, 12)) + (last < 1) * 3
        # a vector does not tell what lies behind a promotion that it begins with, nor beyond one that it ends with
        begins = [first for first, last, _ in found if first <= 1 <= last]
        ends = [last for first, last, _ in found if first <= HORIZON <= last]
        return [plan for plan in found if not (begins and plan[1] < 1) and not (ends and plan[0] > HORIZON)]

    def overrides(self):
        on = [
            Override(horizon_day=day, on_promotion=is_on, discount=0.4 * is_on) for day, is_on in self.switched.items()
        ]
        return [*on, *(Override(horizon_day=day, is_open=is_open) for day, is_open in self.opened.items())]

    def announced(self):
        """Promotions and closed days as the caller assumes them: day by day, the slow way."""
        closed = {day for day in self.closed if not self.opened.get(day)}
        closed |= {day for day, is_open in self.opened.items() if not is_open}
        off = {day for day, is_on in self.switched.items() if not is_on}
        pieces = []
        for first, last, discount in self.promotions:
            run = []
            for day in range(first, last + 2):
                if day > last or day in off:
                    pieces += [(run[0], run[-1], discount)] if run else []
                    run = []
                else:
                    run.append(day)
        planned = {day for first, last, _ in self.promotions for day in range(first, last + 1)}
        fresh = {day for day, is_on in self.switched.items() if is_on and day not in planned}
        spans = []
        for day in sorted(fresh - {day + 1 for day in fresh}):
            last = day
            while last + 1 in fresh:
                last += 1
            before = [first for first, end, _ in pieces if end == day - 1 >= 1]
            after = [end for first, end, _ in pieces if first == last + 1 <= HORIZON]
            spans.append((min([day, *before]), max([last, *after]), 0.0))
        for day, is_on in self.switched.items():
            pieces += [(day, day, 0.4)] if is_on and day in fresh else []
        return [*pieces, *spans], closed, {day for day, is_on in self.switched.items() if is_on} & planned


@pytest.fixture(scope="module")
def plans():
    return {f"{seed:03d}": Plan(seed) for seed in range(PLANS)}


def insert(store, name, rows):
    """Rows of a table of the shop that were known long ago."""
    known = datetime(2024, 1, 1)
    log = {"op": "c", "position": 1, "generation": 1, "committed_at": known, "known_at": known, "batch_id": "b"}
    frame = pd.DataFrame(
        [{"announced_at": known, **row, **log, "position_ordinal": number} for number, row in enumerate(rows)]
    )
    store.connection.register("given", frame)
    names = ", ".join([*TABLES[name].column_names, *log, "position_ordinal"])
    store.connection.execute(f"INSERT INTO RAW.{name.upper()}_CHANGES ({names}) SELECT {names} FROM given")


def on(day):
    return TODAY + timedelta(days=day)


@pytest.fixture(scope="module")
def planned(plans):
    """Covariates by store, of each plan as it is and, with an `a` before its name, as it was assumed."""
    store = DuckDBStore()
    load_batch.prepare(store)
    feature_views.prepare(store)
    of_store = {name: (plan.promotions, plan.closed) for name, plan in plans.items()}
    of_store |= {f"a{name}": plan.announced()[:2] for name, plan in plans.items()}
    series = pd.DataFrame({"store_id": list(of_store)}).assign(item_id="milk", business_date=TODAY, is_active=True)
    store.connection.register("given", series.assign(series_id="milk@" + series["store_id"]))
    store.connection.execute("INSERT INTO FEATURES.DEMAND BY NAME SELECT * FROM given")
    spans = [(name, *span) for name, (promotions, _) in of_store.items() for span in promotions]
    promotions = [
        {
            "promotion_id": number,
            "store_id": name,
            "item_id": "milk",
            "starts_on": on(first),
            "ends_on": on(last),
            "discount": share,
        }
        for number, (name, first, last, share) in enumerate(spans)
    ]
    insert(store, "promotions", promotions)
    closures = [
        {"store_id": name, "closed_on": on(day), "reason": "r"}
        for name, (_, closed) in of_store.items()
        for day in closed
    ]
    insert(store, "store_closures", closures)
    asked = {"business_date": TODAY, "known_until": datetime(2025, 7, 1), "horizon_days": HORIZON}
    store.run("cold_store/insert_demand_ahead", asked)
    rows = store.connection.execute("SELECT * FROM FEATURES.DEMAND_AHEAD ORDER BY series_id, horizon_days").df()
    return {name.rpartition("@")[2]: part for name, part in rows.groupby("series_id")}


@pytest.mark.parametrize("seed", range(PLANS))
def test_an_assumption_is_what_the_statement_makes_of_the_plan_that_was_announced_so(plans, planned, demand, seed):
    name = f"{seed:03d}"
    covariates = [
        column for column in demand.ahead_covariates if column not in ("temperature_celsius", "precipitation_mm")
    ]
    found = {column: planned[name][column].to_numpy(np.float32)[None, :].copy() for column in demand.ahead_covariates}
    apply(found, plans[name].overrides())
    for column in covariates:
        expected = planned[f"a{name}"][column].to_numpy(np.float32)
        if column == "discount":
            for day in plans[name].announced()[2]:
                expected[day - 1] = np.float32(0.4)
        np.testing.assert_array_equal(found[column][0], expected, f"{column} of plan {name}")


def test_the_plans_hold_what_is_hard(plans):
    """A weekly closed day that is opened, a promotion behind one that just ended, promotions at one time."""
    each = list(plans.values())
    assert sum(any(is_open and day + 7 in plan.closed for day, is_open in plan.opened.items()) for plan in each) > 20
    assert sum(plan.switched.get(1, False) and any(last == 0 for _, last, _ in plan.promotions) for plan in each) > 9
    assert (
        sum(any(b[0] <= a[1] for a, b in zip(plan.promotions, plan.promotions[1:], strict=False)) for plan in each) > 9
    )
