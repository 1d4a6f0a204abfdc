"""Errors of a backtest by cutoff and segment, beside those of the strongest simple method of the cutoff."""

import numpy as np
import pandas as pd

from shelfcast.model import metrics
from shelfcast.model.baselines import strongest
from shelfcast.model.declaration import QUANTILE_NAMES, ModelDeclaration
from shelfcast.model.features import Floats
from shelfcast.training.evaluation import FORECAST_LEVEL, column

LEVEL = f"{FORECAST_LEVEL}, days on which the store was open and the shelf not empty"
INTERVAL_LIMIT = 1.32
VARIATION_LIMIT = 0.49
"""Limits of Syntetos and Boylan (2005): mean days between sales, squared variation of the units of a selling day."""

DAYS_A_WEEK = 7
SIMPLE = "simple_"


def scores(rows: pd.DataFrame, scale: pd.DataFrame, declaration: ModelDeclaration) -> pd.DataFrame:
    """One row a segment: all days, each week ahead, with and without promotion, each class of intermittency, each store group.

    Args:
        rows: Forecasts of one cutoff whose day is over and says something about demand: `series_id`, `horizon_days`,
            `on_promotion`, `store_group`, `actual`, `mean`, the quantiles, and `simple_<name>` for each simple method.
        scale: `series_id`, `squared_step`, `demand_interval` and `size_variation` of each series before the cutoff.
        declaration: The model.

    Returns:
        `segment`, `rows`, `wape`, `bias`, `rmspe`, `rmsse`, `pinball`, `coverage_90`, `strongest_simple`,
        `strongest_simple_wape` (of the method that is strongest over all rows) and `ratio` of the two WAPEs.
    """
    joined = rows.merge(scale.astype({"series_id": rows["series_id"].dtype}), on="series_id", how="left")
    simple = {name: column(joined, name) for name in map(str, joined.columns) if name.startswith(SIMPLE)}
    best = strongest(column(joined, "actual"), simple)
    found = [
        {"segment": name, **_errors(joined[chosen], best, declaration)}
        for name, chosen in _segments(joined).items()
        if chosen.any()
    ]
    return pd.DataFrame(found)


def demand_class(scale: pd.DataFrame) -> "pd.Series[str]":
    """Smooth, erratic, intermittent or lumpy, by the limits of Syntetos and Boylan; `unknown` without a sale."""
    interval, variation = column(scale, "demand_interval"), column(scale, "size_variation") ** 2
    rare, varied = interval >= INTERVAL_LIMIT, variation >= VARIATION_LIMIT
    names = np.select(
        [np.isnan(interval), rare & varied, rare, varied], ["unknown", "lumpy", "intermittent", "erratic"], "smooth"
    )
    return pd.Series(names, index=scale.index)


def _segments(rows: pd.DataFrame) -> dict[str, "pd.Series[bool]"]:
    week = (rows["horizon_days"].astype(int) - 1) // DAYS_A_WEEK + 1
    promoted, kind, group = rows["on_promotion"] > 0, demand_class(rows), rows["store_group"]
    groups = sorted(group.unique()) if group.nunique() > 1 else []
    return {
        "all": week > 0,
        **{f"week {number}": week == number for number in range(1, int(week.max()) + 1)},
        "on promotion": promoted,
        "no promotion": ~promoted,
        **{f"{name} demand": kind == name for name in ("smooth", "erratic", "intermittent", "lumpy", "unknown")},
        **{f"store group {name}": group == name for name in groups},
    }


def _errors(rows: pd.DataFrame, best: str, declaration: ModelDeclaration) -> dict[str, object]:
    actual, mean = column(rows, "actual"), column(rows, "mean")
    quantiles = {level: column(rows, QUANTILE_NAMES[level]) for level in declaration.quantiles}
    wape, other = metrics.wape(actual, mean), metrics.wape(actual, column(rows, best))
    low, high = quantiles[min(quantiles)], quantiles[max(quantiles)]
    return {
        "rows": len(rows),
        "wape": wape,
        "bias": metrics.bias(actual, mean),
        "rmspe": metrics.rmspe(actual, mean),
        "rmsse": _rmsse(rows, actual - mean),
        "pinball": float(np.mean([metrics.pinball(actual, value, level) for level, value in quantiles.items()])),
        "coverage_90": metrics.coverage(actual, low, high),
        "strongest_simple": best.removeprefix(SIMPLE),
        "strongest_simple_wape": other,
        "ratio": wape / other if other else float("nan"),
    }


def _rmsse(rows: pd.DataFrame, error: Floats) -> float:
    """Mean over series of the RMSE over that of "as yesterday" in the year before (Makridakis et al., 2022)."""
    series = rows["series_id"]
    squared = pd.Series(error**2, index=series.index).groupby(series, observed=True).mean()
    step = rows["squared_step"].groupby(series, observed=True).first()
    ratio = squared / step.where(step > 0)
    return float(np.sqrt(ratio).mean())
