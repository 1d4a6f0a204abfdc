"""The loop's own operators, called one after another in this process, over the days of a scenario.

Of the platform the servers are replaced: the cold store is the shipped one on DuckDB, the registry keeps candidates and
aliases and draws no pictures, and there is no hot store, so that each day is packed from the cold one. A release is
pointed at without the forecaster that would be probed. Everything that decides anything is what the DAGs run.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pandas as pd
import yaml
from airflow.sdk.exceptions import AirflowSkipException

from shelfcast.cold_store import feature_views, load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.deployment import pointer
from shelfcast.model import declaration as declarations
from shelfcast.sources.shop_schema import TABLES
from shelfcast_local.services.java import java_home
from shelfcast_local.services.loopback import SPARK
from shelfcast_local.year.lived import Training, Year, read_year
from shelfcast_local.year.scenarios import RECIPE_WEEKS, Scenario
from shelfcast_local.year.shop import make_shop, monday_of, tables_of
from shelfcast_local.year.stand_ins import NO_GENERATION, Registry, Store, TaskInstance

MODEL = "demand"
SMALL_FIT = {"num_boost_round": 60, "num_leaves": 31, "learning_rate": 0.12, "min_data_in_leaf": 40}
"""Of the declared model all but the size of its trees, which a small shop has no use for."""

ORIGINS = 64
KEPT_TABLES = (
    "FORECASTS.LEDGER",
    "FORECASTS.SCORES",
    "OPERATIONS.DRIFT_CHECKS",
    "OPERATIONS.DECISIONS",
)
"""What a scenario that begins as another one takes over from it."""


Report = Callable[[str], None]


class Loop:
    """A shop and the loop around it.

    Args:
        scenario: What happens.
        folder: An empty folder for its state.
        seed: Of the shop.
        report: Told of each Monday.
    """

    def __init__(self, scenario: Scenario, folder: Path, *, seed: int, report: Report) -> None:
        self.scenario, self.folder, self.report = scenario, folder, report
        self.shop = make_shop(scenario, seed=seed)
        self.year = Year(scenario=scenario)
        self.store = Store(str(folder / "cold_store.duckdb"), num_threads=1)
        self.releases = folder / "artifacts" / "releases" / MODEL
        self.registry = Registry()

    def live(self, *, after: Path | None = None) -> Year:
        """Trains once, and lives through all weeks; returns what happened.

        Args:
            after: Folder of a stationary year of the same seed: what happened before the scenario's first week is taken
                from it in place of being lived through again.
        """
        with self._standing_in() as spark:
            self.load()
            first = self.scenario.first_week if after else 0
            if after and first:
                self._take_over(after, until=monday_of(first))
            else:
                self.train(spark, monday_of(0) - timedelta(days=1), run_id="manual__first", reason="the first one")
            for week in range(first or 0, self.scenario.weeks):
                self._declare(week)
                if week:
                    sunday = monday_of(week) - timedelta(days=1)
                    self.train(spark, sunday, run_id=f"scheduled__{monday_of(week)}", reason="weekly schedule")
                for number in range(7):
                    self.live_through(spark, monday_of(week) + timedelta(days=number))
        return self.year

    def train_at_the_end(self) -> Training:
        """Trains once, on all days of the shop."""
        with self._standing_in() as spark:
            self.load()
            return self.train(spark, self.shop.last_day, run_id="manual__last", reason="all that is known")

    @contextmanager
    def declared(self) -> Iterator[None]:
        """The small shop's declaration in the place of the shipped one."""
        with mock.patch.object(declarations, "MODELS_FOLDER", self.folder / "models"):
            declarations.load.cache_clear()
            yield
        declarations.load.cache_clear()

    def load(self) -> None:
        """Loads all days of the shop: what is known of a date is told by its close, not by what is there."""
        load_batch.prepare(self.store)
        for name, rows in tables_of(self.shop).items():
            insert_snapshot(self.store, name, rows)
        self.store.run("cold_store/merge_business_dates")
        horizon = declarations.load(MODEL).horizon
        feature_views.build_partitions(self.store, self.shop.last_day, horizon_days=horizon)
        first = monday_of(0) - timedelta(days=1)
        lived = [first + timedelta(days=number) for number in range((self.shop.last_day - first).days + 1)]
        feature_views.ensure_ahead(self.store, lived, horizon_days=horizon)

    def live_through(self, spark: Any, day: date) -> None:
        """A business date: its forecasts, what the earlier ones were worth, and the governor's decision."""
        from shelfcast_provider.monitoring.drift_check_operator import DriftCheckOperator
        from shelfcast_provider.monitoring.realised_error_operator import RealisedErrorOperator
        from shelfcast_provider.retraining.governor_operator import GovernorOperator
        from shelfcast_provider.serving.forecast_operator import ForecastActiveSeriesOperator

        context, on = _context(f"asset__{day}"), {"business_date": day.isoformat()}
        made = ForecastActiveSeriesOperator(task_id="forecast", model=MODEL, **on).execute(context)
        self.year.serving[day] = made["release_id"]
        DriftCheckOperator(task_id="drift", **on).execute(context)
        RealisedErrorOperator(task_id="realised_error", **on).execute(context)
        decision = GovernorOperator(task_id="governor", model=MODEL, **on).execute(context)
        if decision["outcome"] == "request":
            self.report(f"{day}: the governor asks, {decision['reason']}")
            self.year.requests[day] = decision["decision_id"]
            run_id = f"retraining_request__{decision['decision_id']}"
            self.train(spark, day, run_id=run_id, reason=decision["reason"][:500])

    def train(self, spark: Any, cutoff: date, *, run_id: str, reason: str) -> Training:
        """The retraining and, of its candidate, the deployment."""
        from shelfcast.model.candidate import FOLDER
        from shelfcast.training import training_job
        from shelfcast.training.worker_layout import WorkerLayout
        from shelfcast_provider.registry.gate_operator import GateOperator
        from shelfcast_provider.training.freeze_frame_operator import FreezeFrameOperator

        params = {"cutoff": cutoff.isoformat(), "folds": declarations.load(MODEL).folds, "trials": 0}
        context = _context(run_id, {**params, "reason": reason, "force": False, "horizon_days": None})
        folder = Path(FreezeFrameOperator(task_id="freeze", model=MODEL).execute(context)["folder"])
        candidate = folder / FOLDER
        layout = WorkerLayout(workers=1, num_threads=1)
        training_job.run(spark, folder, candidate, self.releases, layout=layout)
        self.registry.register(candidate)
        try:
            gate = GateOperator(task_id="gate", model=MODEL).execute(context)
            release_id, reason = self._released(context, gate), gate["reason"]
        except AirflowSkipException as held:
            release_id, reason = None, str(held)
        outcome = "release" if release_id else "hold"
        told = Training(
            run_id=run_id, cutoff=cutoff, outcome=outcome, reason=reason, release_id=release_id, candidate=candidate
        )
        self.year.trainings.append(told)
        self.report(f"{cutoff} {run_id}: {outcome}, {reason}")
        return told

    def _released(self, context: Any, gate: Mapping[str, str]) -> str:
        from shelfcast_provider.deployment.build_bundle_operator import BuildBundleOperator
        from shelfcast_provider.deployment.promote_operator import PromoteOperator

        of_run = {"model": MODEL, "mlflow_run_id": gate["mlflow_run_id"]}
        release_id = BuildBundleOperator(task_id="bundle", **of_run).execute(context)["release_id"]
        pointer.swap(self.releases, release_id)
        PromoteOperator(
            task_id="promote", release_id=release_id, version=gate["version"], reason=gate["reason"], **of_run
        ).execute(context)
        return str(release_id)

    def _declare(self, week: int) -> None:
        """The declaration of a week: another one where the scenario says so."""
        first = self.scenario.recipe_week
        is_other = first is not None and first <= week < first + RECIPE_WEEKS
        declare(self.folder / "models", **(dict(self.scenario.recipe) if is_other else {}))

    def _take_over(self, earlier: Path, *, until: date) -> None:
        """Ledger, scores, decisions and releases of another year up to a Monday."""
        shutil.copytree(earlier / "artifacts" / "releases", self.releases.parent, dirs_exist_ok=True)
        self.store.connection.execute(f"ATTACH '{earlier / 'cold_store.duckdb'}' AS earlier (READ_ONLY)")
        for table in KEPT_TABLES:
            self.store.connection.execute(
                f"CREATE TABLE {table} AS SELECT * FROM earlier.{table} WHERE business_date < ?",  # noqa: S608
                [until],
            )
        self.store.connection.execute("DETACH earlier")
        released = [
            one for one in read_year(earlier).trainings if one.release_id and one.cutoff < until - timedelta(days=1)
        ]
        self.registry.folders = {str(number): one.candidate for number, one in enumerate(released, start=1)}
        self.registry.aliases = {"champion": str(len(released))}
        (self.releases / "current.json").unlink()
        pointer.swap(self.releases, str(released[-1].release_id))

    @contextmanager
    def _standing_in(self) -> Iterator[Any]:
        """Puts the stand-ins in place, and returns Spark's context."""
        from pyspark.sql import SparkSession

        from shelfcast.monitoring import drift_page
        from shelfcast_provider.cold_store import cold_store_hook
        from shelfcast_provider.hot_store import hot_store_hook
        from shelfcast_provider.registry import mlflow_hook

        os.environ |= {"JAVA_HOME": str(java_home()), "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
        os.environ["SHELFCAST_ARTIFACTS"] = str(self.folder / "artifacts")
        self.releases.mkdir(parents=True)
        declare(self.folder / "models")
        spark = SparkSession.builder.master("local[1]").appName("year").config(map=dict(SPARK)).getOrCreate()
        no_hot_store = SimpleNamespace(current=lambda _: NO_GENERATION)
        with (
            mock.patch.object(cold_store_hook, "ColdStoreHook", return_value=self.store),
            mock.patch.object(hot_store_hook, "HotStoreHook", return_value=no_hot_store),
            mock.patch.object(mlflow_hook, "MLflowHook", return_value=self.registry),
            mock.patch.object(drift_page, "write_page", return_value=None),
            self.declared(),
        ):
            try:
                yield spark.sparkContext
                self.year.write(self.folder)
            finally:
                spark.stop()


def declare(folder: Path, **parameters: float) -> None:
    """Writes the declaration of the model, with smaller trees and the parameters given, if it is not there so."""
    shipped = Path(declarations.__file__).resolve().parents[2] / "models"
    declared = yaml.safe_load((shipped / f"{MODEL}.yaml").read_text())
    declared["fit"] |= SMALL_FIT | parameters
    declared["origins"] = ORIGINS
    folder.mkdir(exist_ok=True)
    path, text = folder / f"{MODEL}.yaml", yaml.safe_dump(declared, sort_keys=False)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
        declarations.load.cache_clear()


def _context(run_id: str, params: Mapping[str, object] | None = None) -> Any:
    return {"run_id": run_id, "ti": TaskInstance(), "params": dict(params or {})}


def insert_snapshot(store: DuckDBStore, name: str, rows: pd.DataFrame) -> None:
    """A first snapshot of a table: known when it happened."""
    table = TABLES[name]
    known = pd.to_datetime(rows[table.known_column]) if table.known_column else pd.Timestamp(1970, 1, 1)
    versions = rows.assign(
        op="r", position=0, position_ordinal=0, generation=1, committed_at=None, known_at=known, batch_id="year"
    )
    store.connection.register("versions", versions)
    store.connection.execute(f"INSERT INTO RAW.{name.upper()}_CHANGES BY NAME SELECT * FROM versions")  # noqa: S608
    store.connection.unregister("versions")
