"""Lives through the scenarios, and says and draws what they came to.

    python -m shelfcast_local.year --state .shelfcast/year --out docs/images [--only stationary,shift] [--seed 1]

A scenario begins where the stationary year leaves it, so that one comes first; the others take turns on two processors.
"""

import argparse
import json
import logging
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from shelfcast_local.year.lived import read_year
from shelfcast_local.year.loop import Loop
from shelfcast_local.year.report import (
    Forecaster,
    WeekOfYear,
    draw,
    draw_in_sample,
    in_sample_gains,
    summary_of,
    weeks_of,
    worst_of_releases,
)
from shelfcast_local.year.scenarios import SCENARIOS, YEAR
from shelfcast_local.year.shop import monday_of

STATIONARY = "stationary"
SUMMARY = "summary.json"
TWIN = 1000
"""Added to a shop's seed: the same rules, other stores, items and chance."""

WITH_ORACLE = ("shift",)
AT_ONCE = 2


def main() -> None:
    """Reads the command line, and lives through what it names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, default=Path(".shelfcast/year"), help="folder of all state, made anew")
    parser.add_argument("--out", type=Path, required=True, help="folder of the picture")
    parser.add_argument("--only", default=",".join(SCENARIOS), help="scenarios, by comma")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--one", help="lives through one scenario in this process; for the others")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    if options.one:
        live_through(options.one, options.state, seed=options.seed)
        return
    names = options.only.split(",")
    options.state.mkdir(parents=True, exist_ok=True)
    _in_process(STATIONARY, options)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: _in_process(name, options), [name for name in names if name != STATIONARY]))
    told = [json.loads((options.state / name / SUMMARY).read_text()) for name in names]
    for one in told:
        _report(json.dumps({key: value for key, value in one.items() if key != "weeks"}, indent=1))
    options.out.mkdir(parents=True, exist_ok=True)
    weeks = {one["scenario"]: [WeekOfYear(**week) for week in one["weeks"]] for one in told}
    draw(weeks, options.out / "year_of_mondays.png")
    if STATIONARY in weeks:
        apparent = in_sample_gains(read_year(options.state / STATIONARY))
        draw_in_sample(apparent, weeks[STATIONARY], options.out / "in_sample_comparison.png")


def live_through(name: str, state: Path, *, seed: int) -> None:
    """Lives through a scenario, and writes what it came to beside its state."""
    scenario, folder = SCENARIOS[name], state.absolute() / name
    folder.mkdir(parents=True)
    after = state.absolute() / STATIONARY if scenario.first_week else None
    loop = Loop(scenario, folder, seed=seed, report=lambda text: _report(f"{name}: {text}"))
    year = loop.live(after=after)
    if after:
        earlier = read_year(after)
        kept = [
            one for one in earlier.trainings if one.cutoff < monday_of(scenario.first_week or 0) - timedelta(days=1)
        ]
        year.trainings[:0] = kept
    oracle = _oracle(name, state.absolute(), seed=seed) if name in WITH_ORACLE else None
    first = scenario.first_week or 0
    with loop.declared():
        forecaster = Forecaster(loop)
        weeks = weeks_of(
            forecaster, year, oracle=dict.fromkeys(range(first, scenario.weeks), oracle) if oracle else None
        )
        summary = summary_of(year, weeks)
        worst, cutoff = worst_of_releases(forecaster, year)
    told = {**summary, "worst_release": worst, "worst_release_cutoff": str(cutoff)}
    (folder / SUMMARY).write_text(json.dumps(told, indent=1, default=str))


def _oracle(name: str, state: Path, *, seed: int) -> Path:
    """A candidate that knows the new regime: fitted at the end of a whole year of a shop by the same rules."""
    folder = state / f"{name}, oracle"
    folder.mkdir()
    loop = Loop(replace(SCENARIOS[name], weeks=YEAR), folder, seed=seed + TWIN, report=lambda _: None)
    return loop.train_at_the_end().candidate


def _in_process(name: str, options: argparse.Namespace) -> None:
    folder = options.state / name
    if (folder / SUMMARY).exists():
        _report(f"{name}: taken up from {folder}")
        return
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(options.state / f"{name}, oracle", ignore_errors=True)
    command = [sys.executable, "-m", "shelfcast_local.year", "--one", name, "--state", str(options.state)]
    command += ["--out", str(options.out), "--seed", str(options.seed)]
    environment = {**os.environ, "AIRFLOW_HOME": str((options.state / "airflow").absolute()), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, env=environment)


def _report(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
