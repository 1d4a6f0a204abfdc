"""What error a release promises, by day ahead: from fold forecasts to the governor."""

import json
import shutil
from datetime import date

import numpy as np
import pandas as pd
import pytest

from shelfcast.deployment import promise
from shelfcast.deployment.build_bundle import build
from shelfcast.deployment.bundle import load
from shelfcast.deployment.promise import promised
from shelfcast.errors import BundleError
from shelfcast.model import metrics
from shelfcast.model.candidate import FOLD_FORECASTS
from shelfcast.retraining.windows import Observation, WindowState, judge


def fold_forecasts(*, rows_a_day=200):
    """Forecasts that are good for the next day and hopeless from the second one on."""
    rng = np.random.default_rng(5)
    rows = pd.DataFrame({"horizon_days": np.tile(np.arange(1, 29), rows_a_day)})
    rows["actual"] = rng.poisson(8, len(rows)).astype(float)
    spread = np.where(rows["horizon_days"] == 1, 0.15, 1.2)
    rows["mean"] = rows["actual"] * np.exp(spread * rng.normal(size=len(rows)))
    return rows


@pytest.fixture
def rows():
    return fold_forecasts()


@pytest.fixture
def release(parts, rows, tmp_path):
    """A release of a candidate with these fold forecasts."""
    candidate = shutil.copytree(parts, tmp_path / "candidate")
    rows.to_parquet(candidate / FOLD_FORECASTS, index=False)
    return load(tmp_path / "releases" / build(candidate, tmp_path / "releases"))


@pytest.mark.parametrize(("first_day", "last_day"), [(1, 1), (1, 7), (2, 2), (1, 28), (28, 28)])
def test_the_promise_is_the_error_of_the_fold_forecasts_of_those_days(release, rows, first_day, last_day):
    own = rows[rows["horizon_days"].between(first_day, last_day)]
    actual, mean = own["actual"].to_numpy(), own["mean"].to_numpy()
    found = promised(release.metrics, first_day=first_day, last_day=last_day)
    assert found.wape == pytest.approx(metrics.wape(actual, mean))
    assert found.bias == pytest.approx(metrics.bias(actual, mean))


def test_days_that_no_fold_measured_are_not_promised(release):
    assert promised(release.metrics, first_day=1, last_day=29) is None


def test_the_fold_metrics_stay_beside_it(release, parts):
    candidate = json.loads((parts / "metrics.json").read_text())
    assert candidate.items() <= release.metrics.items()


def test_many_rows_are_summed_a_part_at_a_time(parts, rows, tmp_path, monkeypatch):
    rows.to_parquet(tmp_path / FOLD_FORECASTS, index=False)
    whole = promise.sums_by_day_ahead(tmp_path)
    monkeypatch.setattr(promise, "ROWS_AT_ONCE", 37)
    for day, sums in promise.sums_by_day_ahead(tmp_path).items():
        assert sums == pytest.approx(whole[day])


def test_a_candidate_without_days_ahead_promises_nothing(tmp_path):
    assert promise.sums_by_day_ahead(tmp_path) == {}
    fold_forecasts().drop(columns="horizon_days").to_parquet(tmp_path / FOLD_FORECASTS)
    assert promise.sums_by_day_ahead(tmp_path) == {}


def test_fold_forecasts_that_cannot_be_read_become_no_release(parts, tmp_path):
    candidate = shutil.copytree(parts, tmp_path / "candidate")
    (candidate / FOLD_FORECASTS).write_bytes(b"PAR1 and nothing else")
    with pytest.raises(BundleError, match=r"fold_forecasts\.parquet of candidate cannot be read"):
        build(candidate, tmp_path / "releases")


@pytest.mark.parametrize(("days", "state"), [((1, 1), WindowState.CONFIRMED), ((1, 28), WindowState.DRIFT_ONLY)])
def test_a_next_day_that_errs_like_a_fourth_week_is_worse_than_promised(release, days, state):
    """The second one is the negative control: held to the promise of all days, such a day would pass for as expected."""
    expected = promised(release.metrics, first_day=days[0], last_day=days[1])
    found = Observation(
        business_date=date(2025, 7, 1), features_judged=5, drifted=("demand_level",), wape=0.6, bias=expected.bias,
        expected_wape=expected.wape, expected_bias=expected.bias,
    )  # fmt: skip
    assert [window.state for window in judge([found])] == [state]
