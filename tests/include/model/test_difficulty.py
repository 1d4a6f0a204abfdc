"""Difficulty: learned from errors, the same for a seed, and what makes intervals right on days of both kinds."""

import lightgbm
import numpy as np
import pytest
from small_world import predict, predict_difficulty

from shelfcast.model import difficulty, metrics
from shelfcast.model.calibration import calibrate
from shelfcast.model.difficulty import alternate, drawn, fit_difficulty
from shelfcast.model.fitted_model import LARGEST_DIFFICULTY, SMALLEST_DIFFICULTY
from shelfcast.model.lightgbm_fit import train
from shelfcast.model.matrix import Sample

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
ROWS = 30_000
DEVIATION = {False: 0.1, True: 0.4}
"""Of the logarithm of what is sold, on calm days and on wild ones."""


@pytest.fixture(scope="module")
def is_wild():
    return np.random.default_rng(5).random(ROWS) < 0.3


@pytest.fixture(scope="module")
def sample(demand, is_wild):
    """Days that one column tells apart as calm or wild."""
    rng = np.random.default_rng(6)
    rows = rng.normal(size=(ROWS, len(demand.feature_names)))
    rows[:, 3] = is_wild
    expected = rng.uniform(50, 150, ROWS)
    noise = np.where(is_wild, DEVIATION[True], DEVIATION[False]) * rng.normal(size=ROWS)
    return Sample(rows=rows, target=expected * np.exp(noise), expected=expected)


@pytest.fixture(scope="module")
def days():
    """Of the sample: thirty a day."""
    return np.datetime64("2022-01-01") + np.arange(ROWS) // 30


@pytest.fixture(scope="module")
def texts(demand, settings, sample, days):
    """Mean and difficulty of the first half of the days."""
    known = sample.part(slice(0, ROWS // 2))
    return train(known, demand, settings=settings), fit_difficulty(known, days[: ROWS // 2], demand, settings=settings)


def test_difficulty_tells_how_much_wilder_a_day_is(sample, texts, is_wild):
    found = predict_difficulty(texts[1], sample.rows)
    ratio = found[is_wild].mean() / found[~is_wild].mean()
    # below the true one: what the mean does not know yet is an error on days of both kinds
    assert 0.7 * DEVIATION[True] / DEVIATION[False] < ratio < 1.1 * DEVIATION[True] / DEVIATION[False]
    assert found.mean() == pytest.approx(1, abs=0.1)


def test_intervals_are_right_on_calm_and_on_wild_days(demand, sample, texts, is_wild):
    held_out, asked = slice(ROWS // 2, 3 * ROWS // 4), slice(3 * ROWS // 4, ROWS)

    def coverages(difficulty_of):
        (seen, new), (known, unknown) = [
            [values(sample.part(part)) for part in (held_out, asked)]
            for values in (lambda part: predict(texts[0], part.rows, part.expected, demand), difficulty_of)
        ]
        quantiles = calibrate(sample.target[held_out], seen, known, LEVELS).apply(new, unknown)
        return [
            metrics.coverage(sample.target[asked][chosen], quantiles[chosen, 0], quantiles[chosen, -1])
            for chosen in (~is_wild[asked], is_wild[asked])
        ]

    calm, wild = coverages(lambda part: predict_difficulty(texts[1], part.rows))
    assert 0.86 <= calm <= 0.94
    assert 0.84 <= wild <= 0.93
    calm, wild = coverages(lambda part: np.ones(len(part.target)))
    assert calm > 0.96
    assert wild < 0.75


def test_the_same_rows_and_seed_make_the_same_difficulty(demand, settings, sample, days, texts):
    known, of = sample.part(slice(0, ROWS // 2)), days[: ROWS // 2]
    assert fit_difficulty(known, of, demand, settings=settings) == texts[1]
    assert fit_difficulty(known, of, demand, settings=settings | {"num_threads": 2}) == texts[1]
    assert fit_difficulty(known, of, demand, settings=settings | {"seed": 8}) != texts[1]


def test_a_model_without_errors_has_the_usual_difficulty(demand, settings, sample, days):
    exact = Sample(rows=sample.rows, target=sample.expected, expected=sample.expected)
    found = predict_difficulty(fit_difficulty(exact, days, demand, settings=settings), sample.rows)
    np.testing.assert_allclose(found, 1.0)


def test_a_feast_that_was_seen_once_is_uncertain(demand, settings, sample, days):
    """Four times as much is sold, which a model that was fitted on it knows, and one that was not cannot."""
    is_feast = (days >= days[0] + 306) & (days < days[0] + 332)
    rows = sample.rows.copy()
    rows[:, :20] = is_feast[:, None]
    once = Sample(rows=rows, target=np.where(is_feast, 4, 1) * sample.expected, expected=sample.expected)
    found = predict_difficulty(fit_difficulty(once, days, demand, settings=settings), rows)
    assert found[is_feast].min() > 3 * found[~is_feast].max()
    knowing = predict(train(once, demand.fitted_by(num_boost_round=60), settings=settings), rows, once.expected, demand)
    assert np.abs(knowing / once.target - 1)[is_feast].max() < 0.2


def test_stretches_of_time_alternate_whole(days):
    half = alternate(days, 50)
    assert half.mean() == pytest.approx(0.5)
    changes = np.flatnonzero(np.diff(half.astype(int))) + 1
    np.testing.assert_allclose(np.diff(changes), 50 * 30, atol=1)
    shuffled = np.random.default_rng(1).permutation(ROWS)
    assert (alternate(days[shuffled], 50) == half[shuffled]).mean() > 0.99, "but for ties"
    moments = days.astype("datetime64[s]") + np.arange(ROWS) % 30
    assert np.count_nonzero(np.diff(alternate(moments, 0).astype(int))) == 9


@pytest.mark.parametrize(("rows", "horizon_days"), [(2, 28), (2, 0), (700, 28), (700, 0)])
def test_the_shortest_history_has_two_halves(rows, horizon_days):
    half = alternate(np.full(rows, np.datetime64("2022-01-01")), horizon_days)
    assert 0 < half.sum() < rows


def test_difficulty_stays_within_bounds(sample, is_wild):
    data = lightgbm.Dataset(sample.rows, label=np.where(is_wild, 100.0, 0.0))
    booster = lightgbm.train({"learning_rate": 1.0, "verbosity": -1}, data, 10)
    found = predict_difficulty(booster.model_to_string(), sample.rows)
    np.testing.assert_array_equal(found, np.where(is_wild, LARGEST_DIFFICULTY, SMALLEST_DIFFICULTY))


def test_so_many_of_the_known_rows_are_drawn(monkeypatch):
    known = np.arange(1000) % 3 == 0
    monkeypatch.setattr(difficulty, "MOST_ROWS", 100)
    one, again, other = (drawn(known, seed=seed) for seed in (1, 1, 2))
    assert len(set(one)) == 100
    assert known[one].all()
    assert (np.diff(one) > 0).all()
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    monkeypatch.setattr(difficulty, "MOST_ROWS", 1000)
    np.testing.assert_array_equal(drawn(known, seed=1), np.flatnonzero(known))
