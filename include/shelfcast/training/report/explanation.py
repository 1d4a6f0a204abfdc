"""What a model's forecasts are made of: Shapley values, by LightGBM's own exact algorithm for trees.

Contributions are in the units of the raw score: for a forecast the logarithm of the factor of the baseline, for a
regression the value itself. Those of a row and the expected value add up to the row's raw score (Lundberg et al., 2020).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from shelfcast.model.booster import feature_names
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.features import Floats, ModelRows
from shelfcast.training.folds import folds_of
from shelfcast.training.frame import FrozenFrame

MOST_ROWS = 1_000
"""Rows explained: the cost is rows × trees × leaves × depth²."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Contributions of each feature to some rows' raw scores.

    Attributes:
        features: Names, in the model's order.
        rows: What the model was given, shape (n, features).
        contributions: Shape (n, features).
        expected: Raw score of a row of which nothing is known.
    """

    features: tuple[str, ...]
    rows: ModelRows
    contributions: Floats
    expected: float


def rows_to_explain(frame: FrozenFrame, declaration: ModelDeclaration, *, seed: int) -> ModelRows:
    """At most `MOST_ROWS` of the rows that a candidate was measured on, as its model takes them; the same ones for a seed.

    The frame is read piece by piece, and no more of it is kept than these.
    """
    folds = folds_of(frame.deciding, declaration, frame.manifest)
    measured = [np.flatnonzero(fold.test & frame.is_countable) for fold in folds]
    held_out = np.concatenate(measured)
    count = min(MOST_ROWS, len(held_out))
    chosen = np.sort(np.random.default_rng(seed).choice(len(held_out), count, replace=False))
    ends = np.cumsum([len(positions) for positions in measured])
    by_fold = np.split(held_out[chosen], np.searchsorted(chosen, ends[:-1]))
    return np.concatenate([sample.rows for sample in frame.parts(*by_fold)])


def explain(model_text: str, rows: ModelRows, *, num_threads: int = 1) -> Explanation:
    """Explains what a model of LightGBM's native text says of some rows, at least one."""
    import lightgbm

    booster = lightgbm.Booster(model_str=model_text)
    found = np.asarray(booster.predict(rows, pred_contrib=True, num_threads=num_threads), dtype=float)
    return Explanation(
        features=feature_names(model_text), rows=rows, contributions=found[:, :-1], expected=float(found[0, -1])
    )


def summary(explanation: Explanation) -> pd.DataFrame:
    """One row a feature, the weightiest first.

    `mean_absolute` is the mean size of its contributions, `share` that of the sum over all features, and `direction` the
    rank correlation of the feature with its contributions: above 0, more of it raises the forecast.
    """
    size = np.abs(explanation.contributions).mean(axis=0)
    pairs = zip(explanation.rows.T, explanation.contributions.T, strict=True)
    found = pd.DataFrame(
        {
            "feature": explanation.features,
            "mean_absolute": size,
            "share": size / (size.sum() or 1.0),
            "direction": [_rank_correlation(value, contribution) for value, contribution in pairs],
        }
    )
    return found.sort_values("mean_absolute", ascending=False, ignore_index=True, kind="stable")


def gains(model_text: str) -> "pd.Series[float]":
    """How much each feature's splits reduced the training loss, as shares; the weightiest first."""
    import lightgbm

    found = np.asarray(lightgbm.Booster(model_str=model_text).feature_importance("gain"), dtype=float)
    shares = pd.Series(found / (found.sum() or 1.0), index=feature_names(model_text))
    return shares.sort_values(ascending=False, kind="stable")


def _rank_correlation(value: ModelRows, contribution: Floats) -> float:
    """Spearman's; 0 where one of them never changes."""
    known = ~np.isnan(value)
    if not known.any() or np.ptp(value[known]) == 0 or np.ptp(contribution[known]) == 0:
        return 0.0
    ranks = pd.DataFrame({"value": value[known], "contribution": contribution[known]}).rank()
    return float(np.corrcoef(ranks["value"], ranks["contribution"])[0, 1])
