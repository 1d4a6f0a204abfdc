"""What a model's forecasts are made of."""

from datetime import date

import lightgbm
import numpy as np
import pandas as pd
import pytest
from small_world import freeze

from shelfcast.model.declaration import load
from shelfcast.model.lightgbm_fit import parameters, train
from shelfcast.model.matrix import Sample
from shelfcast.training.folds import held_out
from shelfcast.training.frame import columns_of
from shelfcast.training.report import explanation as explaining
from shelfcast.training.report.explanation import Explanation, explain, gains, summary
from shelfcast.training.report.plots import draw_explanation

FEATURES = load("demand").feature_names


@pytest.fixture(scope="module")
def rows(frame, demand, tmp_path_factory):
    """The rows that the small world's candidate was measured on."""
    folder = tmp_path_factory.mktemp("frame")
    about = {"horizon_days": 28, "reason": "a test", "is_forced": False}
    return held_out(frame, demand, freeze(frame, folder, model="demand", cutoff=date(2024, 6, 30), folds=2, **about))


@pytest.fixture(scope="module")
def explained(candidate, rows, demand):
    return explain(candidate.model.mean_text, rows, demand, seed=7)


def test_held_out_rows_are_those_of_the_fold_forecasts(rows, frame, candidate):
    measured = candidate.rows
    folds = measured.drop_duplicates("fold").set_index("fold")["business_date"]
    assert list(rows["business_date"].unique()) == list(folds)
    counted = frame[frame["is_countable"] & frame["business_date"].isin(folds)]
    assert len(rows) == len(counted) == len(measured) < len(frame[frame["business_date"].isin(folds)])
    newest = measured[measured["fold"] == 0].set_index(["series_id", "horizon_days"])["actual"]
    own = rows[rows["business_date"] == folds[0]].set_index(["series_id", "horizon_days"])["units_sold"]
    assert (newest.loc[own.index] == own).all()


def test_contributions_and_the_expected_value_add_up_to_the_raw_score(candidate, explained):
    raw = lightgbm.Booster(model_str=candidate.model.mean_text).predict(explained.rows, raw_score=True)
    np.testing.assert_allclose(explained.contributions.sum(axis=1) + explained.expected, raw, atol=1e-9)
    assert explained.features == FEATURES
    assert np.abs(explained.contributions).sum() > 1


def test_so_many_rows_are_explained_and_the_same_ones_for_a_seed(candidate, rows, demand, monkeypatch):
    monkeypatch.setattr(explaining, "MOST_ROWS", 50)
    one, again, other = (explain(candidate.model.mean_text, rows, demand, seed=seed) for seed in (1, 1, 2))
    assert one.contributions.shape == (50, len(FEATURES))
    np.testing.assert_array_equal(one.rows, again.rows)
    assert not np.array_equal(one.rows, other.rows, equal_nan=True)


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
    assert explain(text, orders, order_value, seed=7).expected == pytest.approx(20, abs=1)
