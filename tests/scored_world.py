"""Vintages in the ledger, what was sold and what the simple methods knew, in a cold store of DuckDB."""

import hashlib
import json
from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd

from shelfcast.cold_store import feature_views
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.deployment import bundle
from shelfcast.model.calibration import calibrate
from shelfcast.model.candidate import TrainingRecord
from shelfcast.model.declaration import MODELS_FOLDER, load

TODAY = date(2025, 7, 10)
DAYS = [TODAY - timedelta(days=back) for back in range(40, -1, -1)]
SERIES = [f"i{item}@s{store}" for store in range(2) for item in range(6)]
NEXT_DAY = {"actual": 100.0, "forecast": 98.0, "absolute_error": 41.0}
LATER = {"actual": 100.0, "forecast": 110.0, "absolute_error": 80.0}
PROMISED = {
    "wape": 0.79, "bias": 0.09, "coverage_90": 0.9,
    "by_horizon_day": {str(day): NEXT_DAY if day == 1 else LATER for day in range(1, 29)},
}  # fmt: skip
RECORD = TrainingRecord(model="demand", cutoff=date(2025, 6, 29))
CLOSURES = (
    "store_id VARCHAR, closed_on DATE, op VARCHAR, position_ordinal BIGINT, generation BIGINT, known_at TIMESTAMP"
)


def parts_of(promised):
    """The parts of a release that say what it promised; the model's text is the least that a bundle accepts."""
    declaration, ones = load("demand"), np.ones(200)
    calibration = calibrate(ones, ones, ones, declaration.quantiles)
    return {
        "model.txt": f"tree\nfeature_names={' '.join(declaration.feature_names)}\n",
        "spread.txt": f"tree\nfeature_names={' '.join(declaration.feature_names)}\n",
        "calibration.json": calibration.to_json(),
        "declaration.yaml": (MODELS_FOLDER / "demand.yaml").read_text(),
        "training.json": RECORD.model_dump_json(),
        "metrics.json": json.dumps(promised),
    }


def manifest_of(parts):
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in parts.items()}
    return {"release_id": bundle.release_id_of(RECORD, digests), "parts": digests}


RELEASE = manifest_of(parts_of(PROMISED))["release_id"]


def close(day):
    return datetime(day.year, day.month, day.day, 23, 59, 59)


def insert(store, table, rows):
    store.connection.register("given", rows)
    store.connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM given")
    store.connection.unregister("given")


def named(frame):
    parts = frame["series_id"].str.split("@")
    return frame.assign(item_id=parts.str[0], store_id=parts.str[1])


def sales():
    rng = np.random.default_rng(1)
    rows = pd.DataFrame([(series, day) for series in SERIES for day in DAYS], columns=["series_id", "sales_date"])
    rows["units_sold"], rows["is_stocked_out"] = rng.poisson(6, len(rows)).astype(float), False
    rows["known_at"] = [close(day) for day in rows["sales_date"]]
    return named(rows)


def vintage(day, *, factor=1.0):
    rng = np.random.default_rng(day.toordinal())
    rows = pd.DataFrame([(series, ahead) for series in SERIES for ahead in range(1, 15)],
                        columns=["series_id", "horizon_days"])  # fmt: skip
    rows["business_date"], rows["release_id"] = day, RELEASE
    rows["sales_date"] = [day + timedelta(days=int(ahead)) for ahead in rows["horizon_days"]]
    rows["mean"] = rng.uniform(4, 8, len(rows)) * factor
    rows["q05"], rows["q50"], rows["q95"] = rows["mean"] * 0.5, rows["mean"] * 0.9, rows["mean"] * 1.6
    return named(rows)


def features(day):
    rng = np.random.default_rng(day.toordinal() + 1)
    rows = pd.DataFrame({"series_id": SERIES})
    rows["business_date"], rows["is_active"], rows["units_mean_28"] = day, True, rng.uniform(4, 8, len(rows))
    for at in range(1, 8):
        rows[f"units_lag_{at}"], rows[f"weekday_mean_{at}"] = rng.poisson(6, len(rows)), rng.uniform(4, 8, len(rows))
    rows.loc[0, [f"units_lag_{at}" for at in range(1, 8)]] = np.nan
    rows.loc[1, [f"weekday_mean_{at}" for at in range(1, 8)]] = np.nan
    return named(rows)


def closed_store():
    made = DuckDBStore(num_threads=1)
    made.run("cold_store/create_business_dates")
    made.run("serving/create_ledger")
    made.connection.execute(f"CREATE TABLE RAW.STORE_CLOSURES_CHANGES ({CLOSURES})")
    feature_views.prepare(made)
    dates = pd.DataFrame({"business_date": DAYS, "closed_at": [close(day) for day in DAYS]})
    insert(made, "OPERATIONS.BUSINESS_DATES", dates)
    insert(made, "FEATURES.DAILY_SALES", sales())
    for back in (1, 7):
        insert(made, "FORECASTS.LEDGER", vintage(TODAY - timedelta(days=back)))
        insert(made, "FEATURES.DEMAND", features(TODAY - timedelta(days=back)))
    return made
