"""Measures fold forecasts: overall, by fold, against the strongest simple method and the champion's recipe."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from shelfcast.model import metrics
from shelfcast.model.baselines import simple_forecasts, strongest
from shelfcast.model.calibration import calibrate
from shelfcast.model.declaration import QUANTILE_NAMES, GateRules, ModelDeclaration
from shelfcast.model.features import Floats
from shelfcast.model.segments import AS_OF_DEMAND
from shelfcast.training.frame import columns_of

KEYS = ("store_id", "store_group", "business_date", "horizon_days", "sales_date", "ordered_at", "on_promotion")

MOSTLY = 0.5
"""Share of actuals that are 0 above which absolute errors do not tell."""


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Errors over all folds.

    Attributes:
        level: What one row is.
        rows: Rows measured.
        wape: Of the candidate.
        strongest_simple: Name of the best simple method, by the loss that the gate judges by.
        strongest_simple_wape: Its WAPE.
        strongest_simple_rmse: Its RMSE.
        champion_wape: Of the champion's recipe, fitted anew on the same folds; `None` unless that was asked for.
        bias: Forecast total over actual total, minus 1.
        rmse: In the units of the target.
        coverage_90: Share of actuals between the 5 % and 95 % quantiles, measured on folds other than the calibrating.
    """

    level: str
    rows: int
    wape: float
    strongest_simple: str
    strongest_simple_wape: float
    strongest_simple_rmse: float
    champion_wape: float | None
    bias: float
    rmse: float
    coverage_90: float

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def fold_rows(
    frame: pd.DataFrame,
    mean: Floats,
    champion: Floats | None,
    declaration: ModelDeclaration,
    fold: int,
    *,
    difficulty: Floats,
    learned: Mapping[str, Floats] | None = None,
) -> pd.DataFrame:
    """Forecasts of one fold beside what happened and what the simple methods said, the learned ones among them.

    `champion` is what the champion's recipe says that was fitted on the same fold, or `None`.
    """
    simple = simple_forecasts(columns_of(frame), declaration) | dict(learned or {})
    return forecast_rows(frame, declaration, fold, mean=mean).assign(
        difficulty=difficulty,
        champion=champion if champion is not None else np.nan,
        **{f"simple_{name}": value for name, value in simple.items()},
    )


def forecast_rows(frame: pd.DataFrame, declaration: ModelDeclaration, fold: int, *, mean: Floats) -> pd.DataFrame:
    """Keys of a frame's rows with what was forecast of them, length n, and what happened."""
    kept = [name for name in (declaration.entity, *KEYS, *AS_OF_DEMAND) if name in frame.columns]
    rows = frame[kept].reset_index(drop=True)
    return rows.assign(fold=fold, actual=frame[declaration.target].to_numpy(dtype=float), mean=mean)


def evaluate(rows: pd.DataFrame, declaration: ModelDeclaration) -> Metrics:
    """Metrics of all folds' rows (see `fold_rows`); adds `strongest_simple` and the quantiles to `rows`.

    The quantiles of a fold are calibrated on the others, so that they have not seen it; of a single fold they have.
    """
    actual, mean = column(rows, "actual"), column(rows, "mean")
    simple = {name.removeprefix("simple_"): column(rows, name) for name in rows.columns if name.startswith("simple_")}
    best = strongest(actual, simple, loss=telling(declaration.gate, actual).loss)
    rows["strongest_simple"] = simple[best]
    quantiles = _quantiles(rows, declaration)
    for position, level in enumerate(declaration.quantiles):
        rows[QUANTILE_NAMES[level]] = quantiles[:, position]
    champion = column(rows, "champion")
    return Metrics(
        level=declaration.level,
        rows=len(rows),
        wape=metrics.wape(actual, mean),
        strongest_simple=best,
        strongest_simple_wape=metrics.wape(actual, simple[best]),
        strongest_simple_rmse=metrics.rmse(actual, simple[best]),
        champion_wape=None if np.isnan(champion).all() else metrics.wape(actual, champion),
        bias=metrics.bias(actual, mean),
        rmse=metrics.rmse(actual, mean),
        coverage_90=metrics.coverage(actual, quantiles[:, 0], quantiles[:, -1]),
    )


def telling(rules: GateRules, actual: Floats) -> GateRules:
    """The rules with a loss that tells a good forecast of the mean of these actuals, of length n, from a bad one.

    Where most of them are 0, as of rare items, so is their median, and absolute errors are smallest for whoever forecasts
    nothing (Gneiting, 2011): squared ones are judged by in their place.
    """
    return rules.model_copy(update={"loss": "squared"}) if np.mean(actual == 0) > MOSTLY else rules


def by_fold(rows: pd.DataFrame) -> list[dict[str, object]]:
    """`number`, `origin` (of a forecast, ISO text) and `metrics` of each fold, by number; `evaluate` has been given `rows`."""
    folds = ((int(fold), rows[rows["fold"] == fold]) for fold in sorted(rows["fold"].unique()))
    return [{"number": number, "origin": _origin(own), "metrics": _of_fold(own)} for number, own in folds]


def _origin(rows: pd.DataFrame) -> str | None:
    return str(rows["business_date"].iloc[0]) if "business_date" in rows else None


def _of_fold(rows: pd.DataFrame) -> dict[str, float]:
    actual, mean = column(rows, "actual"), column(rows, "mean")
    return {
        "rows": float(len(rows)),
        "wape": metrics.wape(actual, mean),
        "strongest_simple_wape": metrics.wape(actual, column(rows, "strongest_simple")),
        "bias": metrics.bias(actual, mean),
        "rmse": metrics.rmse(actual, mean),
        "coverage_90": metrics.coverage(actual, column(rows, "q05"), column(rows, "q95")),
    }


def _quantiles(rows: pd.DataFrame, declaration: ModelDeclaration) -> Floats:
    """Each fold's quantiles from a calibration that has not seen the fold."""
    found = np.zeros((len(rows), len(declaration.quantiles)))
    actual, mean, difficulty = (column(rows, name) for name in ("actual", "mean", "difficulty"))
    for fold in rows["fold"].unique():
        own = (rows["fold"] == fold).to_numpy()
        others = slice(None) if own.all() else ~own
        calibration = calibrate(actual[others], mean[others], difficulty[others], declaration.quantiles)
        found[own] = calibration.apply(mean[own], difficulty[own])
    return found


def column(rows: pd.DataFrame, name: str) -> Floats:
    """A column as numbers."""
    return rows[name].to_numpy(dtype=float)
