"""Trees asked through LightGBM's C interface answer as its Python package does."""

import lightgbm
import numpy as np
import pytest

from shelfcast.model.booster import Booster


@pytest.fixture(scope="module", params=["poisson", "regression"])
def model(request):
    rng = np.random.default_rng(3)
    rows = rng.normal(size=(2000, 5))
    rows[rng.random(rows.shape) < 0.1] = np.nan
    target = rng.poisson(np.exp(np.nan_to_num(rows[:, 0])))
    fit = {"objective": request.param, "verbosity": -1, "num_threads": 1}
    return lightgbm.train(fit, lightgbm.Dataset(rows, target), 20), rows


@pytest.mark.parametrize(
    "as_given",
    [
        np.ascontiguousarray,
        np.asfortranarray,
        lambda rows: rows.astype(np.float32),
        lambda rows: np.asfortranarray(rows, dtype=np.float32),
        lambda rows: rows[::3],
        lambda rows: rows[:1],
        lambda rows: np.repeat(rows, 2, axis=1)[:, ::2],
    ],
)
def test_answers_are_those_of_the_package_to_the_last_bit(model, as_given):
    package, rows = model
    asked, booster = as_given(rows), Booster(package.model_to_string())
    plain = np.ascontiguousarray(asked)
    np.testing.assert_array_equal(booster.raw_scores(asked), package.predict(plain, raw_score=True, num_threads=1))
    np.testing.assert_array_equal(booster.predict(asked), package.predict(plain, num_threads=1))
    np.testing.assert_array_equal(booster.predict(asked, num_threads=2), booster.predict(asked))


def test_a_model_tells_its_size(model):
    booster = Booster(model[0].model_to_string())
    assert (booster.trees, booster.columns, len(booster.features)) == (20, 5, 5)


def test_what_is_no_model_is_refused(capfd):
    with pytest.raises(ValueError, match="LightGBM does not take it: Model file doesn't specify the number of classes"):
        Booster("tree\nversion=v4\n")
    capfd.readouterr()


def test_rows_of_another_width_are_refused(model):
    with pytest.raises(ValueError, match="Rows of 4 numbers for a model of 5 features"):
        Booster(model[0].model_to_string()).predict(model[1][:, :4])
