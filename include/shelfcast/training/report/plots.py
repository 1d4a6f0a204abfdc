"""Pictures of a candidate: forecast against actual, error by day ahead, calibration, what its forecasts are made of."""

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from shelfcast.model.declaration import QUANTILE_NAMES
from shelfcast.model.metrics import shares_below, wape
from shelfcast.training.evaluation import column
from shelfcast.training.report.explanation import Explanation, summary

BLUE, GREY, ORANGE = "#1f6fb2", "#8a8a8a", "#d9822b"
MOST_FEATURES = 15


def draw(rows: pd.DataFrame, folder: Path) -> list[Path]:
    """Draws what the fold forecasts allow (see `shelfcast.training.evaluation`); returns the PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [_reliability(rows, folder / "calibration.png")]
    if "horizon_days" in rows:
        made += [
            _by_horizon(rows, folder / "error_by_horizon.png"),
            _totals(rows, folder / "forecast_against_actual.png"),
        ]
    return made


def draw_explanation(explanation: Explanation, gain: "pd.Series[float]", folder: Path) -> list[Path]:
    """Draws which features a model uses (`gain`, shares by name) and how they move forecasts; returns the PNG files."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_importance(gain, folder / "importance.png"), _contributions(explanation, folder / "shap_summary.png")]


def _importance(gain: "pd.Series[float]", path: Path) -> Path:
    shown = gain.head(MOST_FEATURES).iloc[::-1]
    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    axes.barh([str(name) for name in shown.index], 100 * shown.to_numpy(), color=BLUE)
    axes.set(title="Importance", xlabel="share of the loss that splits on it took away, %")
    return _saved(figure, path)


def _contributions(explanation: Explanation, path: Path) -> Path:
    """One line of dots a feature: each a row, right of 0 where it raises the forecast, coloured by the feature's rank."""
    names = list(summary(explanation)["feature"].head(MOST_FEATURES))[::-1]
    figure, axes = plt.subplots(figsize=(8, 5.5), layout="constrained")
    for height, name in enumerate(names):
        column = explanation.features.index(name)
        dots = explanation.contributions[:, column]
        rank = pd.Series(explanation.rows[:, column]).rank(pct=True)
        spread = height + 0.3 * np.sin(
            np.arange(len(dots)) * 2.4
        )  # a fixed pattern: the same picture for the same rows
        axes.scatter(dots, spread, c=rank, cmap="coolwarm", vmin=0, vmax=1, s=4, plotnonfinite=True)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(names)), names)
    axes.set(title="What moves a forecast (blue: little of it, red: much)", xlabel="contribution to the raw score")
    return _saved(figure, path)


def _totals(rows: pd.DataFrame, path: Path) -> Path:
    """Daily totals of the newest fold, with what the simple method said."""
    newest = rows[rows["fold"] == 0].groupby("sales_date")[["actual", "mean", "strongest_simple"]].sum()
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    axes.plot(newest.index, newest["actual"], color="black", label="actual")
    axes.plot(newest.index, newest["mean"], color=BLUE, label="candidate")
    axes.plot(newest.index, newest["strongest_simple"], color=GREY, linestyle="--", label="strongest simple method")
    axes.set(title="All series together, newest fold", ylabel="units a day", ylim=(0, None))
    axes.legend(frameon=False)
    figure.autofmt_xdate()
    return _saved(figure, path)


def _by_horizon(rows: pd.DataFrame, path: Path) -> Path:
    days = sorted(rows["horizon_days"].unique())
    parts = [rows[rows["horizon_days"] == day] for day in days]
    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    for name, colour, label in (("mean", BLUE, "candidate"), ("strongest_simple", GREY, "strongest simple method")):
        errors = [100 * wape(part["actual"].to_numpy(float), part[name].to_numpy(float)) for part in parts]
        axes.plot(days, errors, color=colour, label=label, marker="o", markersize=3)
    axes.set(title="Error by day ahead, item × store × day", xlabel="day ahead", ylabel="WAPE, %", ylim=(0, None))
    axes.legend(frameon=False)
    return _saved(figure, path)


def _reliability(rows: pd.DataFrame, path: Path) -> Path:
    """Promised shares beside those found (see `metrics.shares_below`): the line crosses the bar of a right quantile."""
    promised = list(QUANTILE_NAMES)
    actual = column(rows, "actual")
    found = [shares_below(actual, column(rows, name)) for name in QUANTILE_NAMES.values()]
    below, at_or_below = zip(*found, strict=True)
    figure, axes = plt.subplots(figsize=(4.5, 4.5), layout="constrained")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--")
    axes.vlines(promised, below, at_or_below, color=ORANGE, linewidth=3)
    axes.plot(promised, below, color=ORANGE, marker=".", linestyle="", label="below")
    axes.plot(promised, at_or_below, color=ORANGE, marker="o", linestyle="", label="at or below")
    axes.set(title="Calibration on held-out folds", xlabel="promised share", ylabel="share of actuals")
    axes.legend(frameon=False)
    return _saved(figure, path)


def _saved(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
