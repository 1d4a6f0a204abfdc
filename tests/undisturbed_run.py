"""What a business day leaves if nothing disturbs it: the loop's own steps beside the loop, each once, in order.

It follows the shop's change log by a replication slot of its own from before the day on, so it owes nothing to what the
loop captures, lands, loads or publishes of that day.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import shelfcast
from shelfcast import storage
from shelfcast.cold_store import feature_views, load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.deployment import bundle
from shelfcast.hot_store.generation import checksum
from shelfcast.hot_store.partition import packed
from shelfcast.ingestion.change_files import ChangeFolder
from shelfcast.ingestion.spark_job import landing_job
from shelfcast.model import declaration as declarations
from shelfcast.serving.predictor import Predictor
from shelfcast.serving.vintage import forecast_all
from shelfcast_local.services import postgres

SLOT = "undisturbed"
LIMIT_SECONDS = 300
DRAIN = """
import sys
from pathlib import Path
from shelfcast.ingestion.change_files import ChangeFolder
from shelfcast_provider.ingestion.debezium_hook import DebeziumHook
print(DebeziumHook().drain(ChangeFolder(Path(sys.argv[1]))).changes)
"""


class UndisturbedRun:
    """Follows the shop from now on, and runs the loop's steps when it is told.

    Args:
        stack: The loop beside which it runs; nothing may wait in its change log.
        folder: An empty folder of its own.
    """

    def __init__(self, stack, folder):
        self.stack = stack
        self.landing, self.export = folder / "landing", folder / "batch"
        self.environment = {**os.environ, **stack.environment()}
        self.store = DuckDBStore()
        self._ask("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", SLOT)
        before = ChangeFolder(stack.landing)
        self.generation = before.last_complete()
        with storage.local_copy(before.generation_folder(self.generation)) as copy:
            shutil.copytree(copy, ChangeFolder(self.landing).generation_folder(self.generation))

    def run(self, business_date, *, release_id):
        """Captures, lands, loads, builds and forecasts the day; returns the store."""
        self._drain()
        land(self.landing, self.export, self.environment, generation=self.generation)
        load_batch.prepare(self.store)
        load_batch.load(self.store, self.export)
        horizon = declarations.load("demand").horizon
        feature_views.build_partitions(self.store, business_date, horizon_days=horizon)
        self._forecast(business_date, release_id)
        return self.store

    def end(self):
        """Lets go of the change log."""
        self._ask("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = %s", SLOT)

    def vectors(self, model, business_date):
        """Packed vectors of the day by entity."""
        return packed(self.store, declarations.load(model), business_date)

    def published(self, model, business_date):
        """Count and checksum that the hot store's manifest must name."""
        vectors = self.vectors(model, business_date)
        return len(vectors), checksum(vectors.values())

    def _drain(self):
        connection = json.loads(self.environment["AIRFLOW_CONN_SHOP_DATABASE"]) | {"extra": {"slot_name": SLOT}}
        environment = self.environment | {"AIRFLOW_CONN_SHOP_DATABASE": json.dumps(connection)}
        run([sys.executable, "-c", DRAIN, str(self.landing)], environment)
        self.end()

    def _forecast(self, business_date, release_id):
        predictor = Predictor(bundle.load(self.stack.artifacts / "releases" / "demand" / release_id))
        active = list(self.store.fetch("serving/active_series", {"business_date": business_date})["series_id"])
        rows = forecast_all(predictor, active, self.vectors("demand", business_date), business_date=business_date)
        self.store.run("serving/create_ledger")
        with tempfile.TemporaryDirectory() as folder:
            rows.assign(release_id=release_id).to_parquet(Path(folder) / "vintage.parquet", index=False)
            self.store.load_parquet(Path(folder), table="FORECASTS.LEDGER", batch_id="vintage")

    def _ask(self, text, *values):
        with postgres.connect(self.stack.configuration, "shop") as connection:
            connection.execute(text, values)


def land(landing, export, environment, *, generation):
    """Runs the landing job as the Spark operator does."""
    from shelfcast_provider.spark.spark_submit import DELTA, LAPTOP

    conf = {**LAPTOP, **DELTA, "spark.driver.memory": "1g", "spark.jars": environment["SHELFCAST_SPARK_JARS"]}
    options = [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    job = Path(shelfcast.__file__).parent / "ingestion" / "landing_job.py"
    told = landing_job(
        landing=str(landing), generation=str(generation), after_drain="0", batch_id=export.name, export=str(export)
    )
    run(
        [Path(sys.executable).parent / "spark-submit", "--master", "local[2]", *options, job, *told.arguments],
        environment,
    )


def run(command, environment):
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=LIMIT_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
