"""The spread: learned from errors, the same for a seed, and what makes intervals right on days of both kinds."""

import numpy as np
import pytest

from shelfcast.training import metrics, spread
from shelfcast.training.calibration import calibrate
from shelfcast.training.fit import Sample, predict, train
from shelfcast.training.rows import model_features
from shelfcast.training.spread import LARGEST_SPREAD, SMALLEST_SPREAD, drawn, fit_spread, predict_spread

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
    rows = rng.normal(size=(ROWS, len(model_features(demand))))
    rows[:, 3] = is_wild
    expected = rng.uniform(50, 150, ROWS)
    noise = np.where(is_wild, DEVIATION[True], DEVIATION[False]) * rng.normal(size=ROWS)
    return Sample(rows=rows, target=expected * np.exp(noise), expected=expected)


@pytest.fixture(scope="module")
def texts(demand, settings, sample):
    """Model and spread of the first half of the days."""
    known = sample.part(slice(0, ROWS // 2))
    text = train(known, demand, settings=settings)
    return text, fit_spread(known, text, demand, settings=settings)


def test_the_spread_tells_how_much_wilder_a_day_is(sample, texts, is_wild):
    found = predict_spread(texts[1], sample.rows)
    ratio = found[is_wild].mean() / found[~is_wild].mean()
    # below the true one: what the mean does not know yet is an error on days of both kinds
    assert 0.7 * DEVIATION[True] / DEVIATION[False] < ratio < 1.1 * DEVIATION[True] / DEVIATION[False]
    assert found.mean() == pytest.approx(1, abs=0.1)


def test_intervals_are_right_on_calm_and_on_wild_days(demand, sample, texts, is_wild):
    held_out, asked = slice(ROWS // 2, 3 * ROWS // 4), slice(3 * ROWS // 4, ROWS)

    def coverages(spread_of):
        (seen, new), (known, unknown) = [
            [values(sample.part(part)) for part in (held_out, asked)]
            for values in (lambda part: predict(texts[0], part.rows, part.expected, demand), spread_of)
        ]
        quantiles = calibrate(sample.target[held_out], seen, known, LEVELS).apply(new, unknown)
        return [
            metrics.coverage(sample.target[asked][chosen], quantiles[chosen, 0], quantiles[chosen, -1])
            for chosen in (~is_wild[asked], is_wild[asked])
        ]

    calm, wild = coverages(lambda part: predict_spread(texts[1], part.rows))
    assert 0.86 <= calm <= 0.94
    assert 0.84 <= wild <= 0.93
    calm, wild = coverages(lambda part: np.ones(len(part.target)))
    assert calm > 0.96
    assert wild < 0.75


def test_the_same_rows_and_seed_make_the_same_spread(demand, settings, sample, texts):
    known = sample.part(slice(0, ROWS // 2))
    assert fit_spread(known, texts[0], demand, settings=settings) == texts[1]
    assert fit_spread(known, texts[0], demand, settings=settings | {"num_threads": 2}) == texts[1]
    assert fit_spread(known, texts[0], demand, settings=settings | {"seed": 8}) != texts[1]


def test_a_model_without_errors_has_the_usual_spread(demand, settings, sample):
    exact = Sample(rows=sample.rows, target=sample.expected, expected=sample.expected)
    text = train(exact, demand, settings=settings)
    np.testing.assert_allclose(predict_spread(fit_spread(exact, text, demand, settings=settings), sample.rows), 1.0)


def test_a_spread_stays_within_bounds(demand, settings, sample):
    rows = sample.rows.copy()
    rows[:, 3] = np.arange(ROWS) < 400
    target = np.where(rows[:, 3] > 0, 1000 * sample.expected, sample.expected)
    odd = Sample(rows=rows, target=target, expected=sample.expected)
    flat = train(Sample(rows=rows, target=sample.expected, expected=sample.expected), demand, settings=settings)
    found = predict_spread(fit_spread(odd, flat, demand, settings=settings), rows)
    assert (found.min(), found.max()) == (SMALLEST_SPREAD, LARGEST_SPREAD)


def test_so_many_of_the_known_rows_are_drawn(monkeypatch):
    known = np.arange(1000) % 3 == 0
    monkeypatch.setattr(spread, "MOST_ROWS", 100)
    one, again, other = (drawn(known, seed=seed) for seed in (1, 1, 2))
    assert len(set(one)) == 100
    assert known[one].all()
    assert (np.diff(one) > 0).all()
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    monkeypatch.setattr(spread, "MOST_ROWS", 1000)
    np.testing.assert_array_equal(drawn(known, seed=1), np.flatnonzero(known))
