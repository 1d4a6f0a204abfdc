"""`make bench`: what is fast where it counts, as ratios to a named peer in one run, into `.shelfcast/bench.json`."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

REPEATS = 5
SERIES = 20_000
PARSE_GOAL_SECONDS = 1.5
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


def main() -> None:
    """Runs every bench, prints a table and writes the results."""
    results = [dag_parsing(), vector_packing()]
    home = Path(os.environ.get("SHELFCAST_HOME", ".shelfcast"))
    home.mkdir(parents=True, exist_ok=True)
    (home / "bench.json").write_text(json.dumps(results, indent=1))
    table = Table("bench", "ours", "peer", "unit", "ratio", "spread", "goal", "met")
    for each in results:
        table.add_row(
            each["name"],
            f"{each['ours']:.3g}",
            f"{each['peer']:.3g} ({each['peer_name']})",
            each["unit"],
            f"{each['ratio']:.2f}",
            f"{each['spread']:.0%}",
            each["goal"],
            "yes" if each["met"] else "no",
        )
    Console().print(table)


def dag_parsing() -> dict[str, Any]:
    """CPU seconds to parse all DAG files once Airflow is imported, against the goal itself."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        command = [sys.executable, "-c", _PARSE, str(REPOSITORY / "dags")]
        times = []
        for _ in range(REPEATS):
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            times.append(float(done.stdout.splitlines()[-1]))
    ours = statistics.median(times)
    return _result(
        "dag_parsing",
        ours,
        PARSE_GOAL_SECONDS,
        "the goal",
        "CPU s",
        times,
        goal="<= 1.5 CPU s",
        is_met=ours <= PARSE_GOAL_SECONDS,
    )


def vector_packing() -> dict[str, Any]:
    """CPU seconds to pack vectors, against JSON of the same numbers."""
    from datetime import date

    from shelfcast.hot_store.vector import pack
    from shelfcast.training import declaration

    fields = declaration.load("demand").vector_fields
    numbers = np.random.default_rng(7).normal(size=(SERIES, len(fields))).astype(np.float32)
    ours = _cpu_seconds(lambda: pack(numbers, business_date=date(2025, 1, 1), fields=fields))
    peer = _cpu_seconds(lambda: [json.dumps(row) for row in numbers.tolist()])
    middle, other = statistics.median(ours), statistics.median(peer)
    return _result(
        "vector_packing",
        middle,
        other,
        "JSON",
        f"CPU s for {SERIES:,}",
        ours,
        goal="ratio <= 0.2",
        is_met=middle <= 0.2 * other,
    )


def _cpu_seconds(work: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(REPEATS):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return times


def _result(
    name: str, ours: float, peer: float, peer_name: str, unit: str, times: list[float], *, goal: str, is_met: bool
) -> dict[str, Any]:
    """A row of `bench.json`; `spread` is the range of our times over their median."""
    return {
        "name": name,
        "ours": ours,
        "peer": peer,
        "peer_name": peer_name,
        "unit": unit,
        "ratio": ours / peer,
        "spread": (max(times) - min(times)) / statistics.median(times),
        "goal": goal,
        "met": is_met,
    }


if __name__ == "__main__":
    main()
