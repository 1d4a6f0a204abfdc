"""A small world for the pure tests: a synthetic training frame, a fitted candidate, a release bundle."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest

from shelfcast.model import declaration as declarations
from shelfcast.model.booster import Booster
from shelfcast.model.candidate import Candidate, TrainingRecord
from shelfcast.model.fitted_model import difficulty_of, mean_of
from shelfcast.model.lightgbm_fit import parameters
from shelfcast.training import frame as frames
from shelfcast.training.backtest.rows import collect
from shelfcast.training.evaluation import evaluate, fold_rows
from shelfcast.training.folds import forecast_folds
from shelfcast.training.recipe import fits_in_process, train_by_folds
from shelfcast.training.worker_layout import WorkerLayout

FIRST = date(2024, 1, 1)
WEEKDAY_SHARE = np.array([0.8, 0.8, 0.9, 1.0, 1.3, 1.6, 0.6])
UPLIFT = 1.8


def synthetic_frame(*, series=12, origins=20, horizon=28, seed=3, scale=1.0):
    """A frame whose series have a level, a weekly season, promotions and noise that no method can know.

    All sell `scale` times what they usually do.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(series):
        level = scale * (2.0 + 3.0 * number)
        for origin in range(origins):
            business_date = FIRST + timedelta(days=7 * origin)
            drift = 1.0 + 0.3 * np.sin(origin / 4 + number)
            as_of = as_of_features(level, drift)
            for day in range(1, horizon + 1):
                sales_date = business_date + timedelta(days=day)
                promoted = float((number + sales_date.toordinal() // 7) % 4 == 0)
                mean = level * drift * WEEKDAY_SHARE[sales_date.weekday()] * (UPLIFT if promoted else 1.0)
                rows.append(
                    {
                        "business_date": business_date,
                        "series_id": f"I{number:02d}@S{number % 4}",
                        "store_id": f"S{number % 4}",
                        "store_group": "corner" if number % 4 == 3 else "market",
                        "item_id": f"I{number:02d}",
                        **as_of,
                        **ahead_covariates(promoted),
                        "horizon_days": day,
                        "sales_date": sales_date,
                        "units_sold": float(rng.poisson(mean)),
                        "is_countable": bool(rng.random() > 0.02),
                    }
                )
    return pd.DataFrame(rows)


def as_of_features(level, drift):
    """As-of features of a series that sold `level * drift` lately and `level` over the year."""
    recent = level * drift
    features = {f"units_mean_{days}": recent if days < 100 else level for days in (7, 14, 28, 56, 182, 364)}
    features |= {f"units_lag_{day}": recent * WEEKDAY_SHARE[(7 - day) % 7] for day in range(1, 8)}
    for day in range(1, 8):
        features[f"weekday_mean_{day}"] = recent * WEEKDAY_SHARE[day - 1]
        features[f"weekday_regular_mean_{day}"] = level * WEEKDAY_SHARE[day - 1]
        features[f"weekday_promotion_mean_{day}"] = level * WEEKDAY_SHARE[day - 1] * UPLIFT
    return features | {
        "units_std_28": recent**0.5,
        "zero_share_28": 0.1,
        **{f"level_{days}": drift for days in (7, 14, 28, 56)},
        **{f"regular_level_{days}": drift for days in (14, 56)},
        "promotion_uplift_364": UPLIFT,
        "days_since_first_sale": 400.0,
        "days_since_last_sale": 0.0,
        "price_mean_56": 2.0,
        "price_latest": 2.0,
        "stockout_share_28": 0.0,
        "units_next_28_last_year": level,
        "store_units_mean_28": 10.0,
        "item_units_mean_28": recent,
    }


def ahead_covariates(promoted):
    return {
        "on_promotion": promoted,
        "discount": 0.2 * promoted,
        "promotion_day": promoted,
        "promotion_days_left": 0.0,
        "days_since_promotion": 9.0 * (1 - promoted),
        "days_until_promotion": 9.0 * (1 - promoted),
        "price": 2.0,
        "is_open": 1.0,
        "is_open_day_before": 1.0,
        "is_open_day_after": 1.0,
        "days_since_closure": 28.0,
        "days_until_closure": 28.0,
        "closed_days_before_14": 0.0,
        "closed_days_after_14": 0.0,
        "is_public_holiday": 0.0,
        "days_since_holiday": 28.0,
        "days_until_holiday": 28.0,
        "is_school_holiday": 0.0,
        "temperature_celsius": np.nan,
        "precipitation_mm": np.nan,
    }


@pytest.fixture(scope="session")
def demand():
    """The declaration of `demand`, with fewer trees so that tests are quick."""
    declared = declarations.load("demand")
    return declared.model_copy(
        update={"fit": declared.fit.model_copy(update={"num_boost_round": 40, "min_data_in_leaf": 20})}
    )


@pytest.fixture(scope="session")
def order_value():
    return declarations.load("order_value")


@pytest.fixture(scope="session")
def frame():
    return synthetic_frame()


@pytest.fixture(scope="session")
def settings(demand):
    return parameters(demand, seed=7, num_threads=1)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A candidate of demand, and its fold forecasts."""

    candidate: Candidate
    rows: pd.DataFrame

    @property
    def model(self):
        return self.candidate.model


@pytest.fixture(scope="session")
def candidate(frame, demand):
    """A model fitted on the synthetic frame (see `fitted`)."""
    return fitted(frame, demand)


def fitted(frame, demand, *, cutoff=date(2024, 6, 30), **about):
    """What a training run makes of a frame of demand, by two folds."""
    declared = demand.model_copy(update={"folds": 2})
    rows = collect([frame], declared)
    folds = list(forecast_folds(rows.business_date, rows.moments, folds=2, horizon_days=28))
    how = {"seed": 7, "num_threads": 1}
    trained = train_by_folds(rows, demand, folds, fits_in_process(rows, **how), **how)
    parts = [
        fold_rows(frame.iloc[fold.positions], fold.mean, None, demand, number, difficulty=fold.difficulty)
        for number, fold in enumerate(trained.folds)
    ]
    found = pd.concat(parts, ignore_index=True)
    record = TrainingRecord(model="demand", cutoff=cutoff, seed=7, horizon_days=28, rows=len(frame), **about)
    metrics = evaluate(found, demand).as_dict()
    return Made(candidate=Candidate(model=trained.model, record=record, metrics=metrics), rows=found)


@pytest.fixture(scope="session")
def parts(tmp_path_factory, candidate, frame):
    """A folder with the files that a candidate is."""
    return written(tmp_path_factory.mktemp("candidate"), candidate, frame)


def written(folder, made, frame):
    """Writes the files that a candidate is, and its frozen frame, into a folder, which is answered."""
    record = made.candidate.record
    about = {"folds": 2, "horizon_days": 28, "reason": "a test", "is_forced": False}
    manifest = freeze(frame, folder / "frame", model="demand", cutoff=record.cutoff, **about)
    traced = record.model_copy(update={"frame_digest": manifest.digest})
    replace(made.candidate, record=traced).write(folder, fold_forecasts=made.rows)
    return folder


def freeze(rows, folder, **about):
    """Freezes a data frame, as if a cold store had unloaded its rows."""
    with TemporaryDirectory() as unloaded:
        rows.to_parquet(Path(unloaded) / "rows.parquet", index=False)
        return frames.freeze(Path(unloaded), folder, **about)


def predict(text, rows, expected, declaration):
    """Means of a model's native text."""
    return mean_of(Booster(text), rows, expected, declaration)


def predict_difficulty(text, rows):
    """Difficulties of a model's native text."""
    return difficulty_of(Booster(text), rows)


class FitsHere:
    """In place of Spark's workers: the fits of a job, each in this process."""

    layout, seed = WorkerLayout(workers=1, num_threads=1), 7

    def __init__(self, frame):
        self.text_of = fits_in_process(frame, seed=self.seed, num_threads=1)
