"""What a backtest calibrates with: nothing of it has seen the days that it is measured on."""

from dataclasses import replace

import numpy as np
import pytest

from shelfcast.training.backtest.rows import collect, fit
from shelfcast.training.folds import forecast_folds
from shelfcast.training.progress import silent


@pytest.fixture(scope="module")
def model(demand):
    return demand.model_copy(update={"folds": 2, "horizon_days": 28})


@pytest.fixture(scope="module")
def rows(frame, model):
    return collect([frame.assign(is_countable=True)], model)


@pytest.fixture(scope="module")
def oldest_origin(rows):
    return list(forecast_folds(rows.business_date, rows.moments, folds=2, horizon_days=28))[-1].origin


def with_doubled(rows, chosen):
    target = np.where(chosen, 2 * rows.sample.target, rows.sample.target)
    return replace(rows, sample=replace(rows.sample, target=target))


def test_difficulty_knows_no_day_that_intervals_are_calibrated_on(rows, model, oldest_origin):
    asked = {"seed": 7, "num_threads": 1, "progress": silent}
    before = rows.moments <= oldest_origin
    found, later, earlier = (
        fit(each, model, **asked)
        for each in (
            rows,
            with_doubled(rows, ~before),
            with_doubled(rows, before & (rows.moments.astype(int) % 3 == 0)),
        )
    )
    assert later.difficulty_text == found.difficulty_text
    assert earlier.difficulty_text != found.difficulty_text
    assert not np.array_equal(later.calibration.ratios, found.calibration.ratios)
    assert later.mean_text != found.mean_text
