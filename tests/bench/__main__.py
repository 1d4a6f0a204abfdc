"""`make bench`: what is fast where it counts, as ratios to a named peer in one run, into `.shelfcast/bench.json`."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.training import ROWS, cpu_seconds

REPEATS = 5
SERIES = 20_000
PARSE_GOAL_SECONDS = 1.5
TRAINING_GOALS = {"one node": 1.10, "two executors": 1.25}
REPOSITORY = Path(__file__).resolve().parents[2]

_PARSE = """
import os, sys, time
import airflow.sdk
from airflow.dag_processing.dagbag import DagBag
started = time.process_time()
bag = DagBag(dag_folder=sys.argv[1])
assert not bag.import_errors, bag.import_errors
print(time.process_time() - started)
"""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A row of `bench.json`.

    Attributes:
        name: Of the bench.
        ours: Median of our runs.
        peer: The peer's median, or the goal itself.
        peer_name: Who the peer is.
        unit: Of both.
        ratio: Ours over the peer's.
        spread: Range of our runs over their median.
        goal: In words.
        met: Whether it is reached.
    """

    name: str
    ours: float
    peer: float
    peer_name: str
    unit: str
    ratio: float
    spread: float
    goal: str
    met: bool


def main() -> None:
    """Runs every bench, prints a table and writes the results."""
    results = [dag_parsing(), vector_packing(), *training()]
    home = Path(os.environ.get("SHELFCAST_HOME", ".shelfcast"))
    home.mkdir(parents=True, exist_ok=True)
    (home / "bench.json").write_text(json.dumps([asdict(each) for each in results], indent=1))
    table = Table("bench", "ours", "peer", "unit", "ratio", "spread", "goal", "met")
    for each in results:
        table.add_row(
            each.name,
            f"{each.ours:.3g}",
            f"{each.peer:.3g} ({each.peer_name})",
            each.unit,
            f"{each.ratio:.2f}",
            f"{each.spread:.0%}",
            each.goal,
            "yes" if each.met else "no",
        )
    Console().print(table)


def dag_parsing() -> Result:
    """CPU seconds to parse all DAG files once Airflow is imported, against the goal itself."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        command = [sys.executable, "-c", _PARSE, str(REPOSITORY / "dags")]
        times = []
        for _ in range(REPEATS):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            times.append(float(done.stdout.splitlines()[-1]))
    ours = statistics.median(times)
    return Result(
        name="dag_parsing",
        ours=ours,
        peer=PARSE_GOAL_SECONDS,
        peer_name="the goal",
        unit="CPU s",
        ratio=ours / PARSE_GOAL_SECONDS,
        spread=_spread(times),
        goal="<= 1.5 CPU s",
        met=ours <= PARSE_GOAL_SECONDS,
    )


def vector_packing() -> Result:
    """CPU seconds to pack vectors, against JSON of the same numbers."""
    from datetime import date

    from shelfcast.hot_store.vector import pack
    from shelfcast.model import declaration

    fields = declaration.load("demand").vector_fields
    numbers = np.random.default_rng(7).normal(size=(SERIES, len(fields))).astype(np.float32)
    ours = _cpu_seconds(lambda: pack(numbers, business_date=date(2025, 1, 1), fields=fields))
    peer = _cpu_seconds(lambda: [json.dumps(row) for row in numbers.tolist()])
    middle, other = statistics.median(ours), statistics.median(peer)
    return Result(
        name="vector_packing",
        ours=middle,
        peer=other,
        peer_name="JSON",
        unit=f"CPU s for {SERIES:,}",
        ratio=middle / other,
        spread=_spread(ours),
        goal="ratio <= 0.2",
        met=middle <= 0.2 * other,
    )


def training() -> list[Result]:
    """CPU seconds of the training job's fit on one node and on two local executors, against LightGBM alone."""
    results = []
    for where, fits in cpu_seconds().items():
        ours, peer, goal = statistics.median(fits.ours), statistics.median(fits.native), TRAINING_GOALS[where]
        results.append(
            Result(
                name=f"training on {where}",
                ours=ours,
                peer=peer,
                peer_name="lightgbm.train, 2 threads",
                unit=f"CPU s for {ROWS:,}",
                ratio=ours / peer,
                spread=_spread(fits.ours),
                goal=f"ratio <= {goal}",
                met=ours <= goal * peer,
            )
        )
    return results


def _cpu_seconds(work: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return times


def _spread(times: list[float]) -> float:
    return (max(times) - min(times)) / statistics.median(times)


if __name__ == "__main__":
    main()
