"""`shelfcast backtest`: what the model would have forecast at past cutoffs, and how right it would have been.

The same statements make the features and the same code fits, calibrates and forecasts as in the DAGs; only the history
comes from files, and a DuckDB of its own takes the place of the cold store.
"""

import resource
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from shelfcast.errors import ConfigurationError
from shelfcast.model import declaration as declarations
from shelfcast.model.declaration import LONGEST_HORIZON, ModelDeclaration
from shelfcast.settings import Settings
from shelfcast.training.backtest.cutoff import CutoffRun
from shelfcast.training.backtest.input import History, write_history
from shelfcast.training.backtest.output import ForecastFile
from shelfcast.training.backtest.scores import WHERE_SCORED
from shelfcast.training.backtest.store import BacktestStore
from shelfcast.training.progress import Progress, silent

STEPS = ("features", "frame", "folds", "model", "forecast", "scores")
"""Of each cutoff, in order; the history is read before."""


@dataclass(frozen=True, kw_only=True)
class BacktestPlan:
    """What is to be measured.

    Attributes:
        cutoffs: Last days to learn from, each within the history.
        horizon_days: Days ahead, 1 to `LONGEST_HORIZON`.
        declaration: A forecast.
        baselines: Whether the file also holds the simple methods, without quantiles.
        most_rows: Rows to train on, roughly, in place of the declared ones.
        seed: Of the fit.
    """

    cutoffs: tuple[date, ...]
    horizon_days: int
    declaration: ModelDeclaration
    baselines: bool = False
    most_rows: int | None = None
    seed: int = 7

    def __post_init__(self) -> None:
        """Raises `ConfigurationError` for a plan that no dataset could fulfil."""
        name, kind = self.declaration.name, self.declaration.kind
        if kind != "forecast":
            raise ConfigurationError(f"{name} is a {kind}; a backtest needs a forecast, such as demand.")
        if not self.cutoffs:
            raise ConfigurationError("No cutoff is given; write --cutoffs 2015-05-08,2015-06-19 or the like.")
        if not 1 <= self.horizon_days <= LONGEST_HORIZON:
            raise ConfigurationError(f"The horizon is {self.horizon_days} days; write 1 to {LONGEST_HORIZON}.")

    @property
    def steps(self) -> int:
        """How many steps a run says that it begins."""
        return 1 + len(self.cutoffs) * len(STEPS)


@dataclass(frozen=True, kw_only=True)
class BacktestReport:
    """What a backtest brought.

    Attributes:
        level: What one scored row is.
        history: What was read.
        scores: See `backtest_scores.scores`, with the `cutoff` in front; empty if no day after a cutoff is known.
        notes: What the figures leave out.
        rows: Rows written.
        wall_seconds: From start to end.
        cpu_seconds: Of all threads.
        peak_bytes: Most memory that the process ever held.
    """

    level: str
    history: History
    scores: pd.DataFrame
    notes: list[str]
    rows: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


def plan(model: str, cutoffs: str, horizon_days: int, *, baselines: bool, most_rows: int | None = None) -> BacktestPlan:
    """A plan from the words of a command line; raises `ConfigurationError` that says which word is wrong."""
    days = []
    for text in (part.strip() for part in cutoffs.split(",")):
        try:
            days += [date.fromisoformat(text)] if text else []
        except ValueError:
            raise ConfigurationError(f"The cutoff {text!r} is no date; write YYYY-MM-DD, comma-separated.") from None
    return BacktestPlan(
        cutoffs=tuple(sorted(set(days))),
        horizon_days=horizon_days,
        declaration=declarations.load(model),
        baselines=baselines,
        most_rows=most_rows,
    )


def run(
    dataset: Path, out: Path, plan: BacktestPlan, *, data: Path | None = None, progress: Progress = silent
) -> BacktestReport:
    """Forecasts the days after each cutoff from what was known at it, writes the forecasts, and scores them.

    Args:
        dataset: A dataset declaration, a folder with one, or a folder of canonical Parquet.
        out: Parquet file: `store_id`, `item_id`, `cutoff`, `sales_date`, `mean`, the quantiles, `model`.
        plan: What is to be measured.
        data: The declaration's data folder, if it is another.
        progress: Told what begins.

    Raises:
        DatasetError: The dataset cannot be used, or a cutoff lies outside of it.
        TrainingError: There is too little before a cutoff to learn from.
    """
    started, cpu_before = time.monotonic(), _cpu_seconds()
    settings = Settings.from_environment()
    threads, memory_gib = settings.num_threads, settings.query_memory_gib
    with TemporaryDirectory(prefix="shelfcast-backtest-") as work:
        progress("history")
        history = write_history(
            dataset, Path(work), data=data, lead_days=plan.horizon_days, num_threads=threads, memory_gib=memory_gib
        )
        with BacktestStore(Path(work) / "backtest.duckdb", num_threads=threads, memory_gib=memory_gib) as store:
            store.load_history(Path(work))
            declared = plan.declaration.model_copy(update={"horizon_days": plan.horizon_days})
            cutoff_run = CutoffRun(
                store,
                history,
                declared,
                most_rows=plan.most_rows or declared.most_rows,
                num_threads=threads,
                seed=plan.seed,
            )
            cutoff_run.check(plan.cutoffs)
            tables = []
            with ForecastFile(out, declared, history.id_types, baselines=plan.baselines) as file:
                for cutoff in plan.cutoffs:
                    rows = cutoff_run.forecasts(cutoff, progress=progress)
                    progress("scores")
                    tables.append(cutoff_run.scored(cutoff, rows))
                    file.write(cutoff, rows, silent=cutoff_run.silent(cutoff, rows))
    return BacktestReport(
        level=f"{plan.declaration.level}, {WHERE_SCORED}",
        history=history,
        scores=pd.concat(tables, ignore_index=True),
        notes=cutoff_run.notes,
        rows=file.rows,
        wall_seconds=time.monotonic() - started,
        cpu_seconds=_cpu_seconds() - cpu_before,
        peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024),
    )


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
