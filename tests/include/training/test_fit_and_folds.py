"""Fitting, folds, evaluation and frozen frames."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from small_world import freeze, predict, synthetic_frame

from shelfcast.errors import FrameChanged, NothingToDo, TrainingError
from shelfcast.model.lightgbm_fit import parameters, train, weight
from shelfcast.model.matrix import Sample
from shelfcast.training import frame as frames
from shelfcast.training.folds import forecast_folds, regression_folds
from shelfcast.training.frame import columns_of, verify

ABOUT = {"folds": 2, "horizon_days": 28, "reason": "a test", "is_forced": False}


def days_of(frame):
    return [pd.to_datetime(frame[name]).to_numpy().astype("datetime64[D]") for name in ("business_date", "sales_date")]


def test_the_model_beats_every_simple_method_where_they_cannot_know_the_drift(candidate):
    rows, metrics = candidate.rows, candidate.candidate.metrics
    assert metrics["wape"] < 0.95 * metrics["strongest_simple_wape"]
    assert metrics["champion_wape"] is None
    assert abs(metrics["bias"]) < 0.05
    assert 0.8 < metrics["coverage_90"] < 0.97
    assert (np.diff(rows[["q05", "q25", "q50", "q75", "q95"]].to_numpy(), axis=1) >= 0).all()


def test_the_same_rows_and_seed_give_the_same_text(frame, demand, settings):
    sample = Sample.of(columns_of(frame.head(2000)), demand)
    assert train(sample, demand, settings=settings) == train(sample, demand, settings=settings)
    assert "[num_threads" not in train(sample, demand, settings=settings)


def test_what_is_forecast_of_rare_items_adds_up_to_what_they_sold(demand):
    """With weights that follow the forecast, as Tweedie's do, it does not: such items seem to sell less than they do."""
    declared = demand.fitted_by(num_boost_round=200)
    settings = parameters(declared, seed=7, num_threads=1)
    sample = Sample.of(columns_of(synthetic_frame(series=24, scale=0.02)), declared)
    assert (sample.target == 0).mean() > 0.5

    def excess(text):
        return predict(text, sample.rows, sample.expected, declared).sum() / sample.target.sum() - 1

    assert abs(excess(train(sample, declared, settings=settings))) < 0.01
    tweedie = {**settings, "objective": "tweedie", "tweedie_variance_power": 1.5}
    assert excess(train(sample, declared, settings=tweedie)) < -0.03


def test_the_days_of_a_large_series_count_for_less_than_as_many_units_of_small_ones(demand, frame):
    sample = Sample.of(columns_of(frame), demand)
    smallest, largest = np.argmin(sample.expected), np.argmax(sample.expected)
    found = weight(sample, demand)
    assert found[smallest] > 3 * found[largest]
    expected_variance = sample.expected + demand.fit.dispersion * sample.expected**2
    assert found == pytest.approx(sample.expected / expected_variance)
    assert (weight(sample, demand.fitted_by(dispersion=0.0)) == 1).all()


def test_a_regression_is_never_negative(order_value):
    rng = np.random.default_rng(1)
    columns = {
        "total_spent": rng.gamma(2, 50, 3000),
        "purchase_count": rng.integers(0, 20, 3000).astype(float),
        "order_amount": rng.gamma(2, 20, 3000) - 30,
    }
    sample = Sample.of(columns, order_value)
    text = train(sample, order_value, settings=parameters(order_value, seed=1, num_threads=1))
    assert (predict(text, sample.rows, sample.expected, order_value) >= 0).all()


def test_no_fold_is_measured_on_what_it_has_learnt_from(frame):
    business_date, sales_date = days_of(frame)
    folds = list(forecast_folds(business_date, sales_date, folds=3, horizon_days=28))
    assert len(folds) == 3
    for fold in folds:
        assert not (fold.train & fold.test).any()
        assert sales_date[fold.train].max() <= fold.origin
        assert (business_date[fold.test] == fold.origin).all()
        assert sales_date[fold.test].min() > fold.origin


def test_a_short_history_has_no_folds(frame):
    with pytest.raises(NothingToDo, match="too short"):
        list(forecast_folds(*days_of(frame), folds=12, horizon_days=28))


def test_regression_folds_are_consecutive_in_time():
    moment = np.datetime64("2024-01-01") + np.arange(100).astype("timedelta64[h]")
    folds = list(regression_folds(moment, folds=3))
    for fold in folds:
        assert moment[fold.train].max() < moment[fold.test].min()
        assert fold.test.sum() == 10
    with pytest.raises(NothingToDo):
        list(regression_folds(moment[:5], folds=1))


def test_a_frozen_frame_is_kept_and_verified(frame, tmp_path):
    first = freeze(frame, tmp_path, model="demand", cutoff=date(2024, 6, 30), **ABOUT)
    again = freeze(frame.head(600), tmp_path, model="demand", cutoff=date(2025, 6, 30), **ABOUT)
    assert again == first
    assert verify(tmp_path).rows == len(frame)


def test_the_same_rows_have_the_same_digest(frame, tmp_path):
    made = [freeze(frame, tmp_path / name, model="demand", cutoff=date(2024, 6, 30), **ABOUT) for name in "ab"]
    assert made[0].digest == made[1].digest


def test_an_edited_frame_is_refused(frame, tmp_path):
    freeze(frame, tmp_path, model="demand", cutoff=date(2024, 6, 30), **ABOUT)
    (tmp_path / frames.FRAME).write_bytes(b"something else")
    with pytest.raises(FrameChanged, match="digest"):
        verify(tmp_path)
    (tmp_path / frames.FRAME).unlink()
    with pytest.raises(FrameChanged, match="no file"):
        verify(tmp_path)


def test_a_folder_without_a_frame_and_a_frame_without_rows_are_named(frame, tmp_path):
    with pytest.raises(TrainingError, match="no frozen frame"):
        verify(tmp_path)
    with pytest.raises(NothingToDo, match="Nothing to train demand on yet"):
        freeze(frame.head(3), tmp_path, model="demand", cutoff=date(2024, 6, 30), **ABOUT)


@pytest.mark.parametrize("units", [np.inf, np.nan, 1e300])
def test_units_that_are_no_number_are_refused(demand, frame, settings, units):
    rows = frame.head(700).copy()
    rows.loc[5, "units_sold"] = units
    sample = Sample.of(columns_of(rows), demand)
    with pytest.raises(TrainingError, match=r"units_sold of 1 of 700 rows that demand would learn from is no finite"):
        train(sample, demand, settings=settings)


def test_days_without_any_sale_are_refused_with_advice(demand, frame, settings):
    sample = Sample.of(columns_of(frame.iloc[:700].assign(units_sold=0)), demand)
    with pytest.raises(TrainingError, match=r"Nothing was sold on the 700 days that demand would learn from.*longer"):
        train(sample, demand, settings=settings)
