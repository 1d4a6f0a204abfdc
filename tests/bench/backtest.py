"""`PYTHONPATH=tests python -m bench.backtest`: what a backtest of many synthetic series costs, stage by stage.

Each size runs in a process of its own, so that the most memory of one says nothing about the next.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path

import psutil
from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.synthetic_sales import write_sales
from shelfcast_cli.backtest_command import GIB, StepsShown

FIRST_DATE = date(2023, 1, 1)
HORIZON_DAYS = 28
SAMPLE_SECONDS = 0.1
OVER = "over"
TESTS = Path(__file__).resolve().parents[1]


@dataclass(kw_only=True)
class Cost:
    """What one stage took.

    Attributes:
        wall_seconds: From its start to the next one's.
        cpu_seconds: Of all threads of the process.
        peak_bytes: Most memory that the process held meanwhile (RSS).
    """

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


@dataclass(kw_only=True)
class Meter:
    """Takes the time, CPU and memory of whatever goes on until it is told that something else begins.

    Attributes:
        costs: By stage, in order of their beginning; stages of the same name are added up.
    """

    costs: dict[str, Cost] = field(default_factory=dict)

    def __enter__(self) -> "Meter":
        """Begins to watch the process."""
        self._process, self._over = psutil.Process(), threading.Event()
        self._since, self._cost = self._now(), Cost()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the last stage."""
        self.begin(OVER)
        del self.costs[OVER]
        self._over.set()
        self._thread.join()

    def begin(self, step: str) -> None:
        """Ends the stage that went on, and begins another."""
        now = self._now()
        self._cost.wall_seconds += now[0] - self._since[0]
        self._cost.cpu_seconds += now[1] - self._since[1]
        self._since, self._cost = now, self.costs.setdefault(step, Cost())

    def _now(self) -> tuple[float, float]:
        used = self._process.cpu_times()
        return time.monotonic(), used.user + used.system

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            cost = self._cost
            cost.peak_bytes = max(cost.peak_bytes, self._process.memory_info().rss)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures each size and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.backtest", description=__doc__)
    parser.add_argument("--series", type=int, nargs="+", default=[1_000, 5_000], help="sizes to measure")
    parser.add_argument("--days", type=int, default=730)
    parser.add_argument("--work", type=Path, help="folder for what is written meanwhile; default: a temporary one")
    parser.add_argument("--only", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.only:
        print(json.dumps({stage: asdict(cost) for stage, cost in measured(options.work, options.days).items()}))
        return
    table = Table("series", "stage", "wall s", "CPU s", "peak GiB", "CPU ms a series", box=box.SIMPLE_HEAD)
    for series in options.series:
        for stage, cost in in_own_process(series, options.days, options.work).items():
            numbers = f"{cost.wall_seconds:,.1f} {cost.cpu_seconds:,.1f} {cost.peak_bytes / GIB:.2f}".split()
            table.add_row(f"{series:,}", stage, *numbers, f"{1000 * cost.cpu_seconds / series:.2f}")
        table.add_section()
    Console().print(table)


def in_own_process(series: int, days: int, work: Path | None) -> dict[str, Cost]:
    """Writes the sales of so many series and measures a backtest of them; by stage, `all` at the end."""
    with tempfile.TemporaryDirectory(prefix="shelfcast-bench-", dir=work and work.absolute()) as folder:
        write_sales(Path(folder), series=series, days=days, first_date=FIRST_DATE)
        command = [sys.executable, "-m", __spec__.name, "--only", "--days", str(days), "--work", folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=TESTS)
    costs = {stage: Cost(**cost) for stage, cost in json.loads(done.stdout.splitlines()[-1]).items()}
    total = Cost(
        wall_seconds=sum(cost.wall_seconds for cost in costs.values()),
        cpu_seconds=sum(cost.cpu_seconds for cost in costs.values()),
        peak_bytes=max(cost.peak_bytes for cost in costs.values()),
    )
    return {**costs, "all": total}


def measured(folder: Path, days: int) -> dict[str, Cost]:
    """Costs of a backtest of the sales in `folder`, one cutoff, its whole horizon known."""
    from shelfcast.training.backtest import run as backtest

    cutoff = FIRST_DATE + timedelta(days=days - 1 - HORIZON_DAYS)
    plan = backtest.plan("demand", cutoff.isoformat(), HORIZON_DAYS, baselines=False)
    with Progress(console=Console(stderr=True)) as progress, Meter() as meter:
        shown = StepsShown(progress, plan.steps)

        def told(step: str, *, part: int = 1, parts: int = 1) -> None:
            meter.begin(step)
            shown(step, part=part, parts=parts)

        backtest.run(folder, folder / "forecasts.parquet", plan, progress=told)
    return meter.costs


if __name__ == "__main__":
    main()
