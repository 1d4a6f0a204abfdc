"""`PYTHONPATH=tests python -m bench.tasks`: what each task of a day and of a week takes of a shop of many series.

Each task is a process of its own, as in Airflow, against the laptop's stores; what the cold store takes for it is told beside
it. The history is made up (`synthetic_history`), the release that forecasts is trained on few rows of the same columns.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any

import psutil
from rich import box
from rich.console import Console
from rich.table import Table

from bench.synthetic_history import History, fill
from shelfcast.model import declaration as declarations
from shelfcast_local.services.cold_store_server import DATABASE
from shelfcast_local.stack import STORES, Stack

# little is imported here, also of the other benches: each task's process would be measured with it
GIB = 2**30
LAST = date(2025, 6, 30)
FILL_GIB, FILL_THREADS = 8, 2
TESTS = Path(__file__).resolve().parents[1]
CONTEXT: Any = {
    "run_id": "a run",
    "ti": SimpleNamespace(try_number=1),
    "params": {"cutoff": None, "folds": 6, "trials": 0, "reason": "a bench", "force": False},
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task of a DAG.

    Attributes:
        operator: Path of its class below `shelfcast_provider`.
        arguments: Of the operator, beside its id.
        count: Series, vectors, rows or forecasts that it says it went through.
    """

    operator: str
    arguments: dict[str, Any]
    count: Callable[[Any], int]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one task took.

    Attributes:
        count: Series, vectors, rows or forecasts that it went through.
        wall_seconds: Of its work.
        cpu_seconds: Of the task's process, its imports among them.
        peak_bytes: Most memory that it held.
        store_cpu_seconds: Of the cold store meanwhile.
    """

    count: int
    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    store_cpu_seconds: float = 0.0


def _publish(model: str) -> Task:
    return Task(
        operator="hot_store.publish_generation_operator:PublishGenerationOperator",
        arguments={"model": model, "business_date": str(LAST)},
        count=lambda published: published["vectors"],
    )


TASKS = {
    "build": Task(
        operator="cold_store.build_features_operator:BuildFeaturesOperator",
        arguments={"business_date": str(LAST)},
        count=lambda built: built["active_series"],
    ),
    "publish_demand": _publish("demand"),
    "publish_order_value": _publish("order_value"),
    "parity": Task(
        operator="hot_store.parity_operator:ParityOperator",
        arguments={"models": ["demand", "order_value"], "business_date": str(LAST)},
        count=lambda compared: sum(compared.values()),
    ),
    "freeze": Task(
        operator="training.freeze_frame_operator:FreezeFrameOperator",
        arguments={"model": "demand"},
        count=lambda frozen: frozen["rows"],
    ),
    "forecast": Task(
        operator="serving.forecast_operator:ForecastActiveSeriesOperator",
        arguments={"model": "demand", "business_date": str(LAST)},
        count=lambda forecast: forecast["forecasts"],
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures each size and prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.tasks", description=__doc__)
    parser.add_argument(
        "--series", type=int, nargs="+", default=[5_000, 50_000], help="sizes to measure, multiples of 500"
    )
    parser.add_argument("--days", type=int, default=730)
    parser.add_argument("--work", type=Path, help="folder for what is written meanwhile; default: a temporary one")
    parser.add_argument("--only", choices=TASKS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.only:
        print(json.dumps(asdict(executed(options.only))))
        return
    table = Table("series", "task", "count", "peak GiB", "wall s", "CPU s", "cold store's CPU s", box=box.SIMPLE_HEAD)
    shown = Console(stderr=True)
    for series in options.series:
        history = History(series=series, days=options.days, last=LAST)
        for task, cost in measured(history, options.work):
            table.add_row(f"{series:,}", task, *_told(cost))
            shown.print(f"{series:,} {task}: {' '.join(_told(cost))}")
        table.add_section()
    Console().print(table)


def _told(cost: Cost | None) -> tuple[str, ...]:
    if cost is None:
        return ("failed",)
    seconds = cost.wall_seconds, cost.cpu_seconds, cost.store_cpu_seconds
    return f"{cost.count:,}", f"{cost.peak_bytes / GIB:.2f}", *(f"{each:,.1f}" for each in seconds)


def measured(history: History, work: Path | None) -> Iterator[tuple[str, Cost | None]]:
    """Each task of a history in order, and what it took; `None` of one that failed, which has said why."""
    with tempfile.TemporaryDirectory(prefix="shelfcast-bench-", dir=work and work.absolute()) as folder:
        stack = Stack(Path(folder))
        try:
            stack.up(STORES)
            os.environ.update(stack.environment())
            _prepare()
            stack.down()
            fill(
                Path(folder) / "cold_store" / "db" / f"{DATABASE}.db",
                history,
                memory_gib=FILL_GIB,
                num_threads=FILL_THREADS,
            )
            _release(stack)
            stack.up(STORES)
            for task in TASKS:
                yield task, _measured(stack, task)
        finally:
            stack.down()


def _measured(stack: Stack, task: str) -> Cost | None:
    """The cost of a task in a process of its own, beside what the cold store took meanwhile."""
    server = psutil.Process(stack.status()["cold_store"])
    before = _cpu_seconds(server)
    try:
        cost = Cost(**json.loads(_in_process(task)))
    except subprocess.CalledProcessError:
        return None
    return replace(cost, store_cpu_seconds=_cpu_seconds(server) - before)


def _in_process(task: str) -> str:
    command = [sys.executable, "-m", __spec__.name, "--only", task]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=TESTS,
        env=os.environ | {"PYTHONPATH": str(TESTS)},
    )
    return done.stdout.splitlines()[-1]


def executed(name: str) -> Cost:
    """Does a task in this process, as Airflow's worker would."""
    started, task = time.monotonic(), TASKS[name]
    operator = resolve_name(f"shelfcast_provider.{task.operator}")(task_id=name, **task.arguments)
    count = task.count(operator.execute(CONTEXT))
    status = Path("/proc/self/status").read_text()
    [peak] = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return Cost(
        count=count,
        wall_seconds=time.monotonic() - started,
        cpu_seconds=_cpu_seconds(psutil.Process()),
        peak_bytes=int(peak) * 1024,
    )


def _prepare() -> None:
    from shelfcast.cold_store import feature_views, load_batch
    from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

    with ColdStoreHook() as store:
        load_batch.prepare(store)
        feature_views.prepare(store)


def _release(stack: Stack) -> None:
    """A release of demand as large as the declared one, of few rows."""
    from small_world import fitted, synthetic_frame, written

    from shelfcast.deployment import pointer
    from shelfcast.deployment.build_bundle import build

    frame, releases = synthetic_frame(), stack.artifacts / "releases" / "demand"
    with tempfile.TemporaryDirectory() as folder:
        written(Path(folder), fitted(frame, declarations.load("demand"), cutoff=LAST), frame)
        releases.mkdir(parents=True)
        pointer.swap(releases, build(Path(folder), releases))


def _cpu_seconds(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


if __name__ == "__main__":
    main()
