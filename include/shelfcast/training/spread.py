"""How uncertain a row is beside the usual one: its *spread*, by which calibrated quantiles are widened or narrowed.

Normalised conformal prediction (Papadopoulos, Gammerman and Vovk, 2008; Lei et al., 2018, section 5.2): a small model
learns the size of the errors on all that was known before the days that intervals are calibrated on, so that it knows what
those few weeks have no example of, such as last year's Easter. An error counts that was made without having seen its weeks:
a model knows its own rows, and a single Christmas among them, far too well. How often an interval is right is still decided
by forecasts of the days before the cutoff: see `calibration`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from shelfcast.training.declaration import ModelDeclaration
from shelfcast.training.fit import dataset, native_text, predict, train
from shelfcast.training.folds import REGRESSION_PARTS
from shelfcast.training.rows import SMALLEST_BASELINE, Floats
from shelfcast.training.sample import Sample

SPREAD = "spread.txt"
"""Name of the file that its native text is kept in, beside the model."""

MOST_ROWS = 250_000
"""What is enough to learn it from."""

ROUNDS = 100
FIT: dict[str, Any] = {
    "objective": "poisson",
    "learning_rate": 0.15,
    "num_leaves": 31,
    "min_data_in_leaf": 300,
    "feature_fraction": 0.4,
    "max_bin": 127,
}

SMALLEST_ERROR, LARGEST_ERROR = 0.001, 10.0
SMALLEST_SPREAD, LARGEST_SPREAD = 0.1, 10.0


def drawn(is_known: npt.NDArray[np.bool_], *, seed: int) -> npt.NDArray[np.int64]:
    """Positions, ascending, of at most `MOST_ROWS` of the rows that are known; the same for a seed."""
    known = np.flatnonzero(is_known)
    return np.sort(np.random.default_rng(seed).permutation(known)[:MOST_ROWS])


def fit_spread(
    sample: Sample, moments: npt.NDArray[np.datetime64], declaration: ModelDeclaration, *, settings: dict[str, Any]
) -> str:
    """Fits a model of relative errors, in units of their mean; answers its native text.

    Args:
        sample: Two rows or more, known before the days that quantiles are calibrated on: see `drawn`.
        moments: Of each row, the day (or moment) that it is about.
        declaration: Of the model that errs.
        settings: See `fit.parameters`.
    """
    import lightgbm

    mean = _crossed(sample, alternate(moments, declaration.horizon), declaration, settings)
    error = np.abs(sample.target - mean) / np.maximum(mean, SMALLEST_BASELINE)
    error = np.clip(error, SMALLEST_ERROR, LARGEST_ERROR)
    common = {name: settings[name] for name in ("seed", "num_threads", "deterministic", "force_col_wise", "verbosity")}
    data = dataset(sample, declaration, settings={**FIT, **common}).set_label(error / error.mean())
    return native_text(lightgbm.train({**FIT, **common}, data, num_boost_round=ROUNDS))


def alternate(moments: npt.NDArray[np.datetime64], horizon_days: int) -> npt.NDArray[np.bool_]:
    """Which rows are of every second stretch of time; stretches hold as many rows each, and a horizon of days.

    There are two stretches or more; `REGRESSION_PARTS` where there is no horizon.
    """
    days = float((moments.max() - moments.min()) / np.timedelta64(1, "D"))
    stretches = max(2, round(days / horizon_days)) if horizon_days else REGRESSION_PARTS
    rank = np.empty(len(moments), dtype=np.int64)
    rank[np.argsort(moments, kind="stable")] = np.arange(len(moments))
    return np.asarray(rank * stretches // len(moments) % 2 == 1)


def _crossed(
    sample: Sample, half: npt.NDArray[np.bool_], declaration: ModelDeclaration, settings: dict[str, Any]
) -> Floats:
    """Means of each half of the rows, by a model that was fitted on the other."""
    mean = np.empty(len(half))
    for held_out in (half, ~half):
        text = train(sample.part(~held_out), declaration, settings=settings)
        asked = sample.part(held_out)
        mean[held_out] = predict(text, asked.rows, asked.expected, declaration, int(settings["num_threads"]))
    return mean


def predict_spread(spread_text: str, rows: Floats, num_threads: int = 1) -> Floats:
    """Spread of rows of shape (n, features): length n, 1 for a usual row, between `SMALLEST_SPREAD` and `LARGEST_SPREAD`."""
    import lightgbm

    return spread_of(lightgbm.Booster(model_str=spread_text), rows, num_threads)


def spread_of(booster: Any, rows: Floats, num_threads: int) -> Floats:
    """See `predict_spread`, of a model that is loaded already."""
    found = np.asarray(booster.predict(rows, num_threads=num_threads), dtype=float)
    return np.asarray(np.clip(found, SMALLEST_SPREAD, LARGEST_SPREAD))
