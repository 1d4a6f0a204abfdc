"""How uncertain a row is beside the usual one: its *spread*, by which calibrated quantiles are widened or narrowed.

Normalised conformal prediction (Papadopoulos, Gammerman and Vovk, 2008; Lei et al., 2018, section 5.2): a second, small
model learns the size of the errors from what the first one was fitted on, so that it knows what the few weeks of held-out
forecasts have no example of, such as last year's Easter. How often an interval is right is still decided by forecasts
that had not seen the days: see `calibration`.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from shelfcast.training.declaration import ModelDeclaration
from shelfcast.training.fit import Sample, native_text, predict
from shelfcast.training.rows import SMALLEST_BASELINE, Floats, model_features

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


def fit_spread(sample: Sample, model_text: str, declaration: ModelDeclaration, *, settings: dict[str, Any]) -> str:
    """Fits a model of relative errors, in units of their mean; answers its native text.

    Args:
        sample: Some of the rows that the model was fitted on, all before the days that quantiles are calibrated on: see
            `drawn`.
        model_text: The model, as `fit.train` answers it.
        declaration: Of the model.
        settings: See `fit.parameters`.
    """
    import lightgbm

    mean = predict(model_text, sample.rows, sample.expected, declaration, int(settings["num_threads"]))
    error = np.abs(sample.target - mean) / np.maximum(mean, SMALLEST_BASELINE)
    error = np.clip(error, SMALLEST_ERROR, LARGEST_ERROR)
    data = lightgbm.Dataset(sample.rows, label=error / error.mean(), feature_name=list(model_features(declaration)))
    common = {name: settings[name] for name in ("seed", "num_threads", "deterministic", "force_col_wise", "verbosity")}
    return native_text(lightgbm.train({**FIT, **common}, data, num_boost_round=ROUNDS))


def predict_spread(spread_text: str, rows: Floats, num_threads: int = 1) -> Floats:
    """Spread of rows of shape (n, features): length n, 1 for a usual row, between `SMALLEST_SPREAD` and `LARGEST_SPREAD`."""
    import lightgbm

    return spread_of(lightgbm.Booster(model_str=spread_text), rows, num_threads)


def spread_of(booster: Any, rows: Floats, num_threads: int) -> Floats:
    """See `predict_spread`, of a model that is loaded already."""
    found = np.asarray(booster.predict(rows, num_threads=num_threads), dtype=float)
    return np.asarray(np.clip(found, SMALLEST_SPREAD, LARGEST_SPREAD))
