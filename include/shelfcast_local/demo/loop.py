"""`shelfcast demo`: the whole loop on one machine, from an order to a served forecast and a watched one."""

import json
import time
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from shelfcast.errors import ShelfcastError
from shelfcast.storage import Location
from shelfcast_local.configuration import write_private
from shelfcast_local.demo.memory import PeakMemory
from shelfcast_local.demo.report import collect, release_pointer, show
from shelfcast_local.services.airflow_client import AirflowClient
from shelfcast_local.shop import Shop, open_shop
from shelfcast_local.stack import Stack

DAILY = ("cdc_ingestion", "feature_views", "feature_cache_refresh", "demand_forecast", "drift_monitoring")
MODELS = ("demand", "order_value")
RETRAINING = tuple(f"weekly_retraining_{model}" for model in MODELS)
DEPLOYMENT = tuple(f"model_deployment_{model}" for model in MODELS)
LIMIT_SECONDS = 1800.0


@dataclass(kw_only=True)
class Loop:
    """The running loop as the demo drives and watches it.

    Attributes:
        airflow: Client of the api-server.
        console: Where progress goes.
        started: Monotonic time at which the demo began.
        seen: Last state of each (DAG, run, task) that was printed.
        old_failures: Runs that had failed before the demo began: history.
    """

    airflow: AirflowClient
    console: Console
    started: float
    seen: dict[tuple[str, str, str], str] = field(default_factory=dict)
    old_failures: set[tuple[str, str]] = field(default_factory=set)

    def leave_out_the_past(self) -> None:
        """Neither shows nor minds runs that ended before the demo began."""
        for run in self.airflow.runs():
            if run.is_finished:
                self.seen[run.dag_id, run.run_id, ""] = run.state
            if run.state == "failed":
                self.old_failures.add((run.dag_id, run.run_id))

    def report(self, text: str) -> None:
        """Prints a line of progress behind the time since the start."""
        elapsed = int(time.monotonic() - self.started)
        self.console.print(f"[dim]{elapsed // 60:02d}:{elapsed % 60:02d}[/dim] {text}", highlight=False)

    def wait_for(self, *dag_ids: str, partition_key: str | None = None, count: int = 1) -> None:
        """Waits until each DAG has `count` successful runs (of that partition); raises at the first failed run."""
        deadline = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < deadline:
            runs = self._show_changes()
            failed = [
                run for run in runs if run.state == "failed" and (run.dag_id, run.run_id) not in self.old_failures
            ]
            if failed:
                raise ShelfcastError(self._failure(failed[0]))
            done = [
                sum(
                    run.dag_id == dag_id and run.state == "success" and partition_key in (None, run.partition_key)
                    for run in runs
                )
                for dag_id in dag_ids
            ]
            if all(number >= count for number in done):
                return
            time.sleep(1.0)
        raise ShelfcastError(
            f"{', '.join(dag_ids)} did not finish in {LIMIT_SECONDS:.0f} s. Look at {self.airflow.url}."
        )

    def _show_changes(self) -> list[Any]:
        runs = self.airflow.runs()
        for run in runs:
            if self.seen.get((run.dag_id, run.run_id, "")) == run.state and run.is_finished:
                continue
            self.seen[run.dag_id, run.run_id, ""] = run.state
            for task in self.airflow.task_instances(run):
                self._show(run, task)
        return runs

    def _show(self, run: Any, task: dict[str, Any]) -> None:
        key, state = (run.dag_id, run.run_id, task["task_id"]), task["state"]
        if state not in (None, "scheduled", "queued", "restarting") and self.seen.get(key) != state:
            self.seen[key] = state
            colour = {"success": "green", "failed": "red", "skipped": "yellow"}.get(state, "cyan")
            when = f" {run.partition_key}" if run.partition_key else ""
            took = f" {task['duration']:.0f} s" if task.get("duration") and state != "running" else ""
            self.report(f"[bold]{run.dag_id}[/bold].{task['task_id']}{when} [{colour}]{state}[/{colour}]{took}")

    def _failure(self, run: Any) -> str:
        failed = [task for task in self.airflow.task_instances(run) if task["state"] == "failed"]
        name = failed[0]["task_id"] if failed else "a task"
        log = self.airflow.log(run, name, failed[0]["try_number"])[-1500:] if failed else ""
        return f"{run.dag_id}.{name} failed in run {run.run_id}. The end of its log:\n{log}\nSee {self.airflow.url}."


def run(dataset: Path | None = None, *, days: int = 2, home: Path | None = None) -> None:
    """Runs the demo and leaves everything running.

    Args:
        dataset: Folder of the user's own data or a dataset declaration; `None` for the simulated shop.
        days: Business days to write after the history, 1 or more.
        home: State folder; `SHELFCAST_HOME` or `.shelfcast` if `None`.
    """
    console = Console(force_terminal=None)
    started = time.monotonic()
    stack = Stack(home)
    with PeakMemory(stack) as memory:
        loop = Loop(airflow=stack.airflow_client(), console=console, started=started)
        loop.report("Starting the stand-ins: shop, cold store, hot store, MLflow, mail, Airflow, forecaster.")
        stack.up(report=loop.report)
        shop = open_shop(stack, dataset)
        loop.leave_out_the_past()
        played = _live_through(loop, shop, days, stack.artifacts)
        report = collect(stack, played)
    report.wall_seconds = time.monotonic() - started
    report.peak_memory_bytes = memory.peak_bytes
    # only its owner may read it: the addresses carry credentials
    write_private(stack.home / "demo.json", json.dumps(asdict(report), indent=1, default=str))
    show(console, report)


def _live_through(loop: Loop, shop: Shop, days: int, artifacts: Location) -> list[date]:
    """Brings the loop to life and writes business days; returns them."""
    if shop.is_empty():
        loop.report("Writing the history into the shop's database.")
        loop.report(shop.write_history())
    fresh = not loop.airflow.runs("model_deployment_demand")
    _wait_for_dags(loop)
    loop.airflow.unpause(*DEPLOYMENT, *DAILY)
    if fresh:
        loop.wait_for("feature_cache_refresh")
        loop.report("The features are served; the Monday retraining may run now.")
        loop.airflow.unpause(*RETRAINING)
        loop.wait_for(*DEPLOYMENT)
    last = last_of_a_day(loop, artifacts)
    played = []
    for _ in range(days if fresh else 1):
        day = shop.next_day()
        loop.report(f"Business day {day} begins in the shop.")
        shop.write_day(day)
        loop.wait_for(last, partition_key=day.isoformat())
        played.append(day)
    return played


def last_of_a_day(loop: Loop, artifacts: Location) -> str:
    """The DAG with which a business day ends: without a release nothing is forecast, and nothing can be watched."""
    if release_pointer(artifacts).exists():
        return "drift_monitoring"
    loop.report(
        "[yellow]The gate holds every candidate of demand[/yellow]: the days go as far as the hot store. Its reasons are "
        "shown at the end; to release a candidate all the same, trigger weekly_retraining_demand with force."
    )
    return "demand_forecast"


def _wait_for_dags(loop: Loop) -> None:
    deadline = time.monotonic() + 180
    wanted = {*DAILY, *RETRAINING, *DEPLOYMENT}
    while time.monotonic() < deadline:
        if wanted <= loop.airflow.dag_ids():
            return
        errors = loop.airflow.import_errors()
        if errors:
            raise ShelfcastError(f"{errors[0]['filename']} does not parse:\n{errors[0]['stack_trace']}")
        time.sleep(1.0)
    missing = ", ".join(sorted(wanted - loop.airflow.dag_ids()))
    raise ShelfcastError(f"Airflow has not parsed {missing} within 180 s; see the log of the DAG processor.")
