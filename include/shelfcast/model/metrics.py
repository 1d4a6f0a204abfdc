"""Errors of a forecast. All take arrays of one length; a percentage means nothing without the level it is taken at."""

from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def wape(actual: Floats, forecast: Floats) -> float:
    """Weighted absolute percentage error: sum of absolute errors over the sum of actuals; NaN without any actuals."""
    total = float(np.sum(np.abs(actual)))
    return float(np.sum(np.abs(actual - forecast))) / total if total else float("nan")


def losses(error: Floats, kind: Literal["absolute", "squared"]) -> Floats:
    """Losses of errors, in units or in squared ones."""
    return np.abs(error) if kind == "absolute" else error**2


def bias(actual: Floats, forecast: Floats) -> float:
    """Forecast total over actual total, minus 1: above 0 is too much; NaN without any actuals."""
    total = float(np.sum(actual))
    return float(np.sum(forecast)) / total - 1 if total else float("nan")


def rmse(actual: Floats, forecast: Floats) -> float:
    """Root mean squared error, in the units of the actuals; NaN for no rows."""
    return float(np.sqrt(np.mean((actual - forecast) ** 2))) if len(actual) else float("nan")


def rmspe(actual: Floats, forecast: Floats) -> float:
    """Root mean squared percentage error over the actuals above 0, as of the Rossmann competition; NaN without one."""
    sold = actual > 0
    return float(np.sqrt(np.mean((1 - forecast[sold] / actual[sold]) ** 2))) if sold.any() else float("nan")


def pinball(actual: Floats, quantile: Floats, level: float) -> float:
    """Mean pinball loss of a quantile forecast at `level`, 0 to 1 (Koenker and Bassett, 1978)."""
    error = actual - quantile
    return float(np.mean(np.maximum(level * error, (level - 1) * error))) if len(actual) else float("nan")


def shares_below(actual: Floats, quantile: Floats) -> tuple[float, float]:
    """Shares of actuals below their quantile, and at or below it; NaN for no rows.

    A right quantile has its level between the two. They are one where no actual hits its quantile; of counts many do, such
    as a day without sale a quantile of zero.
    """
    if not len(actual):
        return float("nan"), float("nan")
    return float(np.mean(actual < quantile)), float(np.mean(actual <= quantile))


def coverage(actual: Floats, low: Floats, high: Floats, *, tail: float = 0.05) -> float:
    """Share of actuals within an interval that promises `tail` beyond either end, 0 to 1; NaN for no rows.

    Counts often hit an end exactly, which is neither inside nor outside: a quantile of zero cannot be missed below. Of
    those that do, as many count as outside as a right quantile needs, between none and all of them (the freedom that
    randomised probability integral transforms leave to chance: Czado, Gneiting and Held, 2009). Where no actual hits an
    end this is the plain share.
    """
    if not len(actual):
        return float("nan")
    below, above = shares_below(actual, low), shares_below(-actual, -high)
    return float(1 - np.clip(tail, *below) - np.clip(tail, *above))
