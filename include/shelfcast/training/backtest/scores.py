"""Errors of a backtest by cutoff and segment, beside those of the strongest simple method of the cutoff."""

import numpy as np
import pandas as pd

from shelfcast.model import metrics
from shelfcast.model.baselines import strongest
from shelfcast.model.declaration import QUANTILE_NAMES, ModelDeclaration
from shelfcast.model.features import Floats
from shelfcast.model.segments import Booleans, segments_of, store_groups_of
from shelfcast.training.evaluation import column

WHERE_SCORED = "days on which the store was open and the shelf not empty"
SIMPLE = "simple_"


def scores(rows: pd.DataFrame, scale: pd.DataFrame, declaration: ModelDeclaration) -> pd.DataFrame:
    """One row a segment: all days, what the gate looks at (see `model.segments`), each store group.

    Args:
        rows: Forecasts of one cutoff whose day is over and says something about demand: `series_id`, `horizon_days`,
            `on_promotion`, `store_id`, `store_group`, the columns of `AS_OF_DEMAND`, `actual`, `mean`, the
            quantiles, and `simple_<name>` for each simple method.
        scale: `series_id` and `squared_step` of each series before the cutoff.
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


def _segments(rows: pd.DataFrame) -> dict[str, Booleans]:
    groups = store_groups_of(rows)
    return {"all": np.ones(len(rows), bool), **segments_of(rows), **(groups if len(groups) > 1 else {})}


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
