"""What a caller assumes is forecast as if it had been planned so."""

from datetime import date

import numpy as np
import pytest
from served_world import with_model

from shelfcast.hot_store.vector import Vector
from shelfcast.model.lightgbm_fit import train
from shelfcast.model.matrix import Sample
from shelfcast.serving.overrides import Override
from shelfcast.serving.predictor import Predictor

DAY = date(2025, 6, 30)
HORIZON = range(1, 29)
DISTANCES = (
    "promotion_days_left",
    "days_since_promotion",
    "days_until_promotion",
    "days_since_closure",
    "days_until_closure",
    "closed_days_before_14",
    "closed_days_after_14",
)
FAR = 28


def promotion(first, last, *, discount=0.2, from_day=1):
    """A plan with one promotion: its covariates by day ahead."""
    return promotions(dict.fromkeys(range(first, last + 1), discount), from_day=from_day)


def promotions(discounts, *, from_day=1):
    """A plan with a promotion on some days: its covariates by day ahead."""
    days = sorted(discounts)
    counts, left = {}, {}
    for day in days:
        counts[day] = counts.get(day - 1, from_day - 1 if day == 1 else 0) + 1
    for day in reversed(days):
        left[day] = left.get(day + 1, -1) + 1
    earlier = [0] if from_day > 1 else []
    return {
        "on_promotion": dict.fromkeys(days, 1.0),
        "discount": discounts,
        "promotion_day": counts,
        "promotion_days_left": left,
        **distances("promotion", [*earlier, *days]),
    }


def distances(what, days):
    """Days since and until the nearest of some days, as far as a plan counts them."""
    return {
        f"days_since_{what}": {day: min([FAR, *(day - other for other in days if other <= day)]) for day in HORIZON},
        f"days_until_{what}": {day: min([FAR, *(other - day for other in days if other >= day)]) for day in HORIZON},
    }


NO_PROMOTION = promotions({})


def closed(*days):
    """A plan in which the store is closed on some days."""
    return {
        **distances("closure", days),
        "closed_days_before_14": {day: sum(day - 14 <= other < day for other in days) for day in HORIZON},
        "closed_days_after_14": {day: sum(day < other <= day + 14 for other in days) for day in HORIZON},
        "is_open": {day: 0.0 for day in range(1, 29) if day in days},
        "is_open_day_before": {day: 0.0 for day in range(1, 29) if day - 1 in days},
        "is_open_day_after": {day: 0.0 for day in range(1, 29) if day + 1 in days},
    }


@pytest.fixture(scope="module")
def watchful(predictor, demand, settings):
    """A predictor whose forecast depends on every covariate that an override may touch."""
    rng = np.random.default_rng(0)
    features = demand.feature_names
    values = {"discount": rng.choice([0, 0.1, 0.2, 0.25, 0.5], 6000), "promotion_day": rng.integers(0, 13, 6000)}
    values |= {name: rng.integers(0, 2, 6000) for name in ("is_open_day_before", "is_open_day_after", "on_promotion")}
    values |= {name: rng.integers(0, FAR + 1, 6000) for name in DISTANCES}
    rows = np.zeros((6000, len(features)))
    for name, column in values.items():
        rows[:, features.index(name)] = column
    effect = values["discount"] + values["promotion_day"] / 9 + values["is_open_day_before"] / 2
    effect = effect + sum(values[name] / 80 for name in DISTANCES)
    target = np.exp(effect + values["is_open_day_after"] / 3 + values["on_promotion"] / 4)
    text = train(Sample(rows=rows, target=target, expected=np.ones(6000)), demand, settings=settings)
    return Predictor(with_model(predictor.bundle, mean_text=text))


@pytest.fixture
def forecast(watchful, vectors):
    """Forecasts of two series with a plan and overrides, for any number of days."""
    declaration = watchful.declaration
    usual = {"is_open": 1.0, "is_open_day_before": 1.0, "is_open_day_after": 1.0}

    def planned(vector, plan):
        numbers = vector.numbers.copy()
        for name, days in plan.items():
            for day in range(1, 29):
                field = declaration.vector_fields.index(f"{name}_{day}")
                numbers[field] = days.get(day, usual.get(name, 0.0))
        return Vector(business_date=DAY, numbers=numbers)

    def made(plan, *overrides, horizon_days=28):
        asked = [planned(vector, NO_PROMOTION | closed() | plan) for vector in vectors[:2]]
        return watchful.forecast(asked, horizon_days=horizon_days, overrides=overrides)

    return made


def is_same(found, expected):
    return np.array_equal(found.mean, expected.mean) and np.array_equal(found.quantiles, expected.quantiles)


def on(*days, **assumed):
    return [Override(horizon_day=day, on_promotion=True, **assumed) for day in days]


def off(*days):
    return [Override(horizon_day=day, on_promotion=False) for day in days]


@pytest.mark.parametrize(
    ("plan", "overrides", "expected"),
    [
        (promotion(3, 6), off(3, 4, 5, 6), {}),
        (promotion(3, 6), [Override(horizon_day=3, on_promotion=False, discount=0.0), *off(4, 5, 6)], {}),
        ({}, on(3, 4, 5, 6, discount=0.25), promotion(3, 6, discount=0.25)),
        ({}, on(6, 3, 5, 4), promotion(3, 6)),
        ({}, [Override(horizon_day=day, discount=0.25) for day in (3, 4)], promotion(3, 4, discount=0.25)),
        ({}, [Override(horizon_day=3, discount=0.0)], {}),
        (promotion(3, 6, discount=0.5), on(3, 4, 5, 6), promotion(3, 6, discount=0.5)),
        (promotion(3, 6), [Override(horizon_day=4, price=2.0)], promotion(3, 6)),
        (promotion(3, 6, discount=0.5), on(7, 8), promotion(3, 8, discount=0.5)),
        (promotion(3, 6, discount=0.5), on(2), promotion(2, 6, discount=0.5)),
        (promotion(1, 4, from_day=9), on(5), promotion(1, 5, from_day=9)),
        (promotion(1, 4, from_day=9), off(1, 2), promotion(3, 4) | distances("promotion", [0, 3, 4])),
        (promotion(3, 5, discount=0.5), [*off(3, 4, 5), *on(12, 13, 14)], promotion(12, 14, discount=0.5)),
        (promotion(20, 22, discount=0.5), on(2), promotions(dict.fromkeys((2, 20, 21, 22), 0.5))),
        ({}, [*on(3), *off(3)], {}),
        ({}, [*on(3, discount=0.1), *on(3, discount=0.25)], promotion(3, 3, discount=0.25)),
        ({}, [Override(horizon_day=5, is_open=False)], closed(5)),
        (closed(5, 6), [Override(horizon_day=5, is_open=True)], closed(6)),
        ({}, [Override(horizon_day=day, is_open=False) for day in (1, 28)], closed(1, 28)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("horizon_days", [28, 9])
def test_an_assumed_day_is_forecast_as_if_it_had_been_planned(forecast, plan, overrides, expected, horizon_days):
    chosen = [override for override in overrides if override.horizon_day <= horizon_days]
    if len(chosen) == len(overrides):
        found = forecast(plan, *overrides, horizon_days=horizon_days)
        assert is_same(found, forecast(expected, horizon_days=horizon_days))


@pytest.mark.parametrize(
    "changed", [promotion(3, 6), promotion(3, 6, discount=0.5), promotion(3, 6, from_day=2), closed(5)]
)
def test_a_plan_that_differs_is_seen_in_the_forecast(forecast, changed):
    plan = {} if "is_open" in changed else promotion(3, 6, discount=0.1)
    assert not is_same(forecast(plan), forecast(changed))


def test_what_is_not_known_of_other_days_stays_unknown(watchful):
    unknown = Vector(business_date=DAY, numbers=np.full(len(watchful.declaration.vector_fields), np.nan, np.float32))
    before = watchful.forecast([unknown], horizon_days=7)
    after = watchful.forecast([unknown], horizon_days=7, overrides=on(3))
    assert [day for day in range(7) if before.mean[0, day] != after.mean[0, day]] == [2]


def test_the_vectors_that_were_given_are_not_changed(predictor, vectors):
    kept = vectors[0].numbers.copy()
    predictor.forecast(vectors[:1], horizon_days=7, overrides=on(3, 4, price=9.0))
    np.testing.assert_array_equal(vectors[0].numbers, kept)
