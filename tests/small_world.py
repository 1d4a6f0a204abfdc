"""A small world for the pure tests: a synthetic training frame, a fitted candidate, a release bundle."""

import json
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from shelfcast.training import declaration as declarations
from shelfcast.training.calibration import calibrate
from shelfcast.training.evaluation import evaluate, fold_rows
from shelfcast.training.fit import parameters, predict, train
from shelfcast.training.folds import forecast_folds
from shelfcast.training.frame import columns_of, freeze
from shelfcast.training.sample import Sample
from shelfcast.training.spread import fit_spread, predict_spread

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


@pytest.fixture(scope="session")
def candidate(frame, demand, settings):
    """A model fitted on the synthetic frame (see `fitted`)."""
    return fitted(frame, demand, settings)


def fitted(frame, demand, settings):
    """(model text, fold rows with quantiles, metrics, spread text) of a model fitted on a frame of demand."""
    columns = columns_of(frame)
    days = [pd.to_datetime(frame[name]).to_numpy().astype("datetime64[D]") for name in ("business_date", "sales_date")]
    parts, sample = [], Sample.of(columns, demand)
    folds = list(forecast_folds(*days, folds=2, horizon_days=28))
    texts = [train(sample.part(fold.train), demand, settings=settings) for fold in folds]
    oldest = folds[-1].train
    spread_text = fit_spread(sample.part(oldest), days[1][oldest], demand, settings=settings)
    for number, (fold, text) in enumerate(zip(folds, texts, strict=True)):
        test = sample.part(fold.test)
        mean, spread = predict(text, test.rows, test.expected, demand), predict_spread(spread_text, test.rows)
        parts.append(fold_rows(frame[fold.test], mean, None, demand, number, spread=spread))
    rows = pd.concat(parts, ignore_index=True)
    calibrations = {number: calibrated(rows[rows["fold"] != number], demand) for number in (0, 1)}
    metrics = evaluate(rows, calibrations, demand)
    return train(sample, demand, settings=settings), rows, metrics, spread_text


def calibrated(rows, declaration):
    values = (rows[name].to_numpy(float) for name in ("actual", "mean", "spread"))
    return calibrate(*values, declaration.quantiles)


@pytest.fixture(scope="session")
def parts(tmp_path_factory, candidate, frame, demand):
    """A folder with the files that a candidate is."""
    return written(tmp_path_factory.mktemp("candidate"), candidate, frame, demand, cutoff=date(2024, 6, 30))


def written(folder, candidate, frame, demand, *, cutoff):
    """Writes the files that a candidate is into a folder, which is answered."""
    text, rows, metrics, spread_text = candidate
    manifest = freeze(
        frame,
        folder / "frame",
        model="demand",
        cutoff=cutoff,
        folds=2,
        horizon_days=28,
        reason="a test",
        is_forced=False,
    )
    (folder / "model.txt").write_text(text)
    (folder / "spread.txt").write_text(spread_text)
    (folder / "calibration.json").write_text(calibrated(rows, demand).to_json())
    (folder / "declaration.yaml").write_text((declarations.MODELS_FOLDER / "demand.yaml").read_text())
    (folder / "metrics.json").write_text(json.dumps(metrics.as_dict()))
    rows.to_parquet(folder / "fold_forecasts.parquet", index=False)
    about = {
        "model": "demand",
        "cutoff": manifest.cutoff,
        "frame_digest": manifest.digest,
        "seed": 7,
        "is_forced": False,
    }
    (folder / "training.json").write_text(json.dumps(about))
    return folder
