"""What a model's forecasts are made of."""

from datetime import date

import lightgbm
import numpy as np
import pandas as pd
import pytest
from small_world import freeze

from shelfcast.model.declaration import load
from shelfcast.model.features import assemble
from shelfcast.model.lightgbm_fit import parameters, train
from shelfcast.model.matrix import Sample
from shelfcast.training.frame import FrozenFrame, columns_of
from shelfcast.training.report import explanation as explaining
from shelfcast.training.report.explanation import Explanation, explain, gains, rows_to_explain, summary
from shelfcast.training.report.plots import draw_explanation

FEATURES = load("demand").feature_names


@pytest.fixture(scope="module")
def frozen(frame, demand, tmp_path_factory):
    """The frame that the small world's candidate was measured on."""
    folder = tmp_path_factory.mktemp("frame")
    about = {"horizon_days": 28, "reason": "a test", "is_forced": False}
    return FrozenFrame(
        folder, freeze(frame, folder, model="demand", cutoff=date(2024, 6, 30), folds=2, **about), demand
    )


@pytest.fixture(scope="module")
def explained(candidate, frozen, demand):
    return explain(candidate.model.mean_text, rows_to_explain(frozen, demand, seed=7))


def test_the_rows_explained_are_some_of_those_of_the_fold_forecasts(frozen, frame, demand, candidate, monkeypatch):
    keys = ["business_date", "series_id", "horizon_days"]
    measured = candidate.rows[keys].merge(frame, on=keys)
    assert len(measured) == len(candidate.rows) > 500
    wanted = assemble(columns_of(measured), demand)
    chosen = np.sort(np.random.default_rng(7).choice(len(measured), 500, replace=False))
    for most, places in ((10**6, slice(None)), (500, chosen)):
        monkeypatch.setattr(explaining, "MOST_ROWS", most)
        np.testing.assert_array_equal(rows_to_explain(frozen, demand, seed=7), wanted[places])


def test_contributions_and_the_expected_value_add_up_to_the_raw_score(candidate, explained):
    raw = lightgbm.Booster(model_str=candidate.model.mean_text).predict(explained.rows, raw_score=True)
    np.testing.assert_allclose(explained.contributions.sum(axis=1) + explained.expected, raw, atol=1e-9)
    assert explained.features == FEATURES
    assert np.abs(explained.contributions).sum() > 1


def test_so_many_rows_are_explained_and_the_same_ones_for_a_seed(frozen, demand, monkeypatch):
    monkeypatch.setattr(explaining, "MOST_ROWS", 50)
    one, again, other = (rows_to_explain(frozen, demand, seed=seed) for seed in (1, 1, 2))
    assert one.shape == (50, len(FEATURES))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other, equal_nan=True)


def test_a_summary_says_which_way_a_feature_moves_forecasts():
    rows = np.array([[1.0, np.nan, 5.0, 1.0], [2.0, np.nan, 5.0, np.nan], [3.0, np.nan, 5.0, 3.0]])
    contributions = np.array([[0.1, 0.2, -0.4, 2.0], [0.2, 0.2, 0.4, 0.0], [0.3, 0.2, 0.4, -2.0]])
    names = ("rising", "unknown", "constant", "falling")
    found = summary(Explanation(features=names, rows=rows, contributions=contributions, expected=0.0))
    assert list(found["feature"]) == ["falling", "constant", "rising", "unknown"]
    assert list(found.set_index("feature")["direction"]) == pytest.approx([-1, 0, 1, 0])
    assert found["share"].sum() == pytest.approx(1)
    assert found["mean_absolute"].iloc[0] == pytest.approx(4 / 3)


def test_gains_are_shares_of_all_features(candidate):
    found = gains(candidate.model.mean_text)
    assert set(found.index) == set(FEATURES)
    assert found.sum() == pytest.approx(1)
    assert found.is_monotonic_decreasing


def test_the_same_rows_give_the_same_pictures(candidate, explained, tmp_path):
    drawn = [
        draw_explanation(explained, gains(candidate.model.mean_text), tmp_path / name) for name in ("one", "other")
    ]
    assert [path.name for path in drawn[0]] == ["importance.png", "shap_summary.png"]
    for one, other in zip(*drawn, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_a_regression_is_explained_in_its_own_units(order_value):
    rng = np.random.default_rng(5)
    count = rng.integers(0, 9, 900).astype(float)
    orders = pd.DataFrame(
        {"purchase_count": count, "total_spent": 20 * count, "order_amount": 20 + rng.normal(0, 2, 900)}
    )
    text = train(
        Sample.of(columns_of(orders), order_value), order_value, settings=parameters(order_value, seed=1, num_threads=1)
    )
    assert explain(text, assemble(columns_of(orders), order_value)).expected == pytest.approx(20, abs=1)
