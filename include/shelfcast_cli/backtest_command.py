"""`shelfcast backtest` on the screen: a progress bar, how the columns were taken, tables of errors, what it cost."""

import math
from datetime import timedelta
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from shelfcast.sources.canonical_columns import ColumnUse
from shelfcast.training.backtest.run import BacktestPlan, BacktestReport
from shelfcast.training.backtest.run import run as measure

GIB = 1024**3
TENTHS = 10
NUMBERS = {
    "rows": ("rows", ",.0f"),
    "WAPE": ("wape", ".2%"),
    "bias": ("bias", "+.2%"),
    "RMSPE": ("rmspe", ".3f"),
    "RMSSE": ("rmsse", ".3f"),
    "pinball": ("pinball", ".4g"),
    "in 90 %": ("coverage_90", ".1%"),
    "simple": ("strongest_simple_wape", ".2%"),
    "ratio": ("ratio", ".3f"),
}
"""Headings, and the score below each with its form."""

NOTHING_SOLD = "no sales"


class StepsShown:
    """A progress bar in a terminal; elsewhere, such as in a log, a line whenever a step or a tenth of it begins.

    Args:
        progress: Shown while the steps go on.
        steps: How many there are.
    """

    def __init__(self, progress: Progress, steps: int) -> None:
        self._progress, self._steps, self._begun = progress, steps, 0
        self._task = progress.add_task("starts", total=steps)

    def __call__(self, step: str, *, part: int = 1, parts: int = 1) -> None:
        """Shows that a step, or a part of it, begins."""
        self._begun += part == 1
        done = self._begun - 1 + (part - 1) / parts
        name = f"{step} {part}/{parts}" if parts > 1 else step
        self._progress.update(self._task, description=name, completed=done)
        is_new_tenth = part == 1 or TENTHS * part // parts > TENTHS * (part - 1) // parts
        if is_new_tenth and not self._progress.console.is_terminal:
            seconds = self._progress.tasks[0].elapsed or 0
            self._progress.console.print(
                f"{timedelta(seconds=round(seconds))} {done / self._steps:4.0%} {name}", highlight=False
            )

    def end(self) -> None:
        """Shows that all is done."""
        self._progress.update(self._task, description="done", completed=self._steps)


def run(
    dataset: Path, out: Path, plan: BacktestPlan, *, data: Path | None = None, console: Console | None = None
) -> BacktestReport:
    """Runs a backtest with a progress bar and prints what it found."""
    shown = console or Console()
    columns = (TextColumn("{task.description:16}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=shown) as progress:
        steps = StepsShown(progress, plan.steps)
        report = measure(dataset, out, plan, data=data, progress=steps)
        steps.end()
    _print(report, out, shown)
    return report


def _print(report: BacktestReport, out: Path, console: Console) -> None:
    if report.history.uses:
        console.print(_columns_table(report.history.uses))
    for note in (*report.history.notes, *report.notes):
        console.print(f"• {note}", highlight=False)
    if len(report.scores):
        for cutoff, part in report.scores.groupby("cutoff"):
            best = part["strongest_simple"].iloc[0]
            console.print(_table(part, "segment", f"Cutoff {cutoff}, beside the strongest simple method, {best}"))
        whole = report.scores[report.scores["segment"] == "all"]
        console.print(
            _table(pd.concat([whole, _mean(whole)]), "cutoff", "All segments, each cutoff beside its strongest")
        )
        if len(whole) > 1:
            console.print(_table(_mean(report.scores), "segment", "Mean over the cutoffs"))
        console.print(f"Level of every figure: {report.level}.", highlight=False)
    console.print(
        f"{report.rows:,} forecasts in {out}. {report.wall_seconds:.0f} s wall, {report.cpu_seconds:.0f} s CPU, "
        f"{report.peak_bytes / GIB:.1f} GiB at most.",
        highlight=False,
        soft_wrap=True,
    )


def _columns_table(uses: list[ColumnUse]) -> Table:
    table = Table("file", "column", "taken as", "because", title="How the columns were taken", box=box.SIMPLE_HEAD)
    for use in uses:
        table.add_row(use.file, use.column, f"[dim]{use.role}[/dim]" if use.role == "not used" else use.role, use.why)
    return table


def _table(scores: pd.DataFrame, first: str, title: str) -> Table:
    table = Table(first, title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in NUMBERS:
        table.add_column(name, justify="right", no_wrap=True)
    for _, row in scores.iterrows():
        table.add_row(str(row[first]), *_cells(dict(row.items())))
    return table


def _mean(scores: pd.DataFrame) -> pd.DataFrame:
    """Of each segment the plain mean over cutoffs; the ratio is the mean of ratios."""
    means = scores.groupby("segment", sort=False).mean(numeric_only=True)
    return means.reset_index().assign(cutoff="mean")


def _cells(row: dict[object, float]) -> list[str]:
    return [_figure(row[score], form) for score, form in NUMBERS.values()]


def _figure(value: float, form: str) -> str:
    """A number, or in words why there is none: an error is told as a share of what was sold."""
    return NOTHING_SOLD if math.isnan(value) else f"{value:{form}}"
