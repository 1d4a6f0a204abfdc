"""Measures fold forecasts: overall, by fold, against the strongest simple method and the champion's recipe."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from shelfcast.training import metrics
from shelfcast.training.baselines import simple_forecasts, strongest
from shelfcast.training.calibration import Calibration
from shelfcast.training.declaration import GateRules, ModelDeclaration
from shelfcast.training.frame import columns_of
from shelfcast.training.rows import Floats

QUANTILE_NAMES = {0.05: "q05", 0.25: "q25", 0.5: "q50", 0.75: "q75", 0.95: "q95"}
KEYS = ("store_id", "store_group", "business_date", "horizon_days", "sales_date", "ordered_at", "on_promotion")
AS_OF_DEMAND = ("zero_share_28", "units_mean_28", "units_std_28")
"""Of them the gate tells how intermittent a series was at the origin."""

MOSTLY = 0.5
"""Share of actuals that are 0 above which absolute errors do not tell."""

FORECAST_LEVEL = "item × store × day"
REGRESSION_LEVEL = "order"


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
    spread: Floats,
    learned: Mapping[str, Floats] | None = None,
) -> pd.DataFrame:
    """Forecasts of one fold beside what happened and what the simple methods said, the learned ones among them.

    `champion` is what the champion's recipe says that was fitted on the same fold, or `None`.
    """
    simple = simple_forecasts(columns_of(frame), declaration) | dict(learned or {})
    return forecast_rows(frame, declaration, fold, mean=mean).assign(
        spread=spread,
        champion=champion if champion is not None else np.nan,
        **{f"simple_{name}": value for name, value in simple.items()},
    )


def forecast_rows(frame: pd.DataFrame, declaration: ModelDeclaration, fold: int, *, mean: Floats) -> pd.DataFrame:
    """Keys of a frame's rows with what was forecast of them, length n, and what happened."""
    kept = [name for name in (declaration.entity, *KEYS, *AS_OF_DEMAND) if name in frame.columns]
    rows = frame[kept].reset_index(drop=True)
    return rows.assign(fold=fold, actual=frame[declaration.target].to_numpy(dtype=float), mean=mean)


def evaluate(rows: pd.DataFrame, calibration_of_fold: dict[int, Calibration], declaration: ModelDeclaration) -> Metrics:
    """Metrics of all folds' rows (see `fold_rows`); adds `strongest_simple` and the quantiles to `rows`."""
    actual, mean = column(rows, "actual"), column(rows, "mean")
    simple = {name.removeprefix("simple_"): column(rows, name) for name in rows.columns if name.startswith("simple_")}
    best = strongest(actual, simple, loss=telling(declaration.gate, actual).loss)
    rows["strongest_simple"] = simple[best]
    quantiles = _quantiles(rows, calibration_of_fold, declaration)
    for position, level in enumerate(declaration.quantiles):
        rows[QUANTILE_NAMES[level]] = quantiles[:, position]
    champion = column(rows, "champion")
    return Metrics(
        level=FORECAST_LEVEL if declaration.kind == "forecast" else REGRESSION_LEVEL,
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


def by_fold(rows: pd.DataFrame) -> dict[int, dict[str, float]]:
    """Metrics of each fold's rows, which `evaluate` has been given."""
    return {int(fold): _of_fold(rows[rows["fold"] == fold]) for fold in rows["fold"].unique()}


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


def _quantiles(rows: pd.DataFrame, calibrations: dict[int, Calibration], declaration: ModelDeclaration) -> Floats:
    """Each fold's quantiles from a calibration that has not seen the fold."""
    found = np.zeros((len(rows), len(declaration.quantiles)))
    mean, spread = column(rows, "mean"), column(rows, "spread")
    for fold, calibration in calibrations.items():
        own = (rows["fold"] == fold).to_numpy()
        found[own] = calibration.apply(mean[own], spread[own])
    return found


def column(rows: pd.DataFrame, name: str) -> Floats:
    """A column as numbers."""
    return rows[name].to_numpy(dtype=float)
