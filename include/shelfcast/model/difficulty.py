"""How hard a row is to forecast beside the usual one: its *difficulty*, by which quantiles are widened or narrowed.

Normalised conformal prediction (Papadopoulos, Gammerman and Vovk, 2008; Lei et al., 2018, section 5.2): a small model
learns the size of the errors on all that was known before the days that intervals are calibrated on, so that it knows what
those few weeks have no example of, such as last year's Easter. An error counts that was made without having seen its weeks:
a model knows its own rows, and a single Christmas among them, far too well. How often an interval is right is still decided
by forecasts of the days before the cutoff: see `calibration`.
"""

from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt

from shelfcast.model.booster import Booster
from shelfcast.model.declaration import REGRESSION_PARTS, ModelDeclaration
from shelfcast.model.features import SMALLEST_BASELINE, Floats
from shelfcast.model.fitted_model import mean_of
from shelfcast.model.lightgbm_fit import dataset, native_text, train
from shelfcast.model.matrix import Sample

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


def drawn(is_known: npt.NDArray[np.bool_], *, seed: int) -> npt.NDArray[np.int64]:
    """Positions, ascending, of at most `MOST_ROWS` of the rows that are known; the same for a seed."""
    known = np.flatnonzero(is_known)
    return np.sort(np.random.default_rng(seed).permutation(known)[:MOST_ROWS])


def fit_difficulty(
    sample: Sample, moments: npt.NDArray[np.datetime64], declaration: ModelDeclaration, *, settings: dict[str, Any]
) -> str:
    """Fits a model of relative errors, in units of their mean; returns its native text.

    Args:
        sample: Two rows or more, known before the days that quantiles are calibrated on: see `drawn`.
        moments: Of each row, the day (or moment) that it is about.
        declaration: Of the model that errs.
        settings: See `lightgbm_fit.parameters`.
    """
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
        booster = Booster(train(sample.part(~held_out), declaration, settings=settings))
        asked, num_threads = sample.part(held_out), int(settings["num_threads"])
        mean[held_out] = mean_of(booster, asked.rows, asked.expected, declaration, num_threads=num_threads)
    return mean
