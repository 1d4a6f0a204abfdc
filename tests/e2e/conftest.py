"""One running loop for all tests of this folder, and what they ask it."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

LIMIT_SECONDS = 600


@pytest.fixture(scope="session")
def home():
    """`SHELFCAST_E2E_HOME` names a state folder to use and keep; otherwise one is made and removed."""
    kept = os.environ.get("SHELFCAST_E2E_HOME")
    folder = Path(kept) if kept else Path(tempfile.mkdtemp(prefix="shelfcast-e2e-"))
    yield folder
    if not kept:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack(home):
    """The loop after `shelfcast demo`, with everything running."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW__")]:
        del os.environ[name]
    from shelfcast_local import demo
    from shelfcast_local.stack import Stack

    os.environ["SHELFCAST_HOME"] = str(home)
    running = Stack(home)
    try:
        demo.run(None, days=2, home=home)
        os.environ.update(running.environment())
        yield running
    finally:
        running.down()
    assert not running.process_ids()


@pytest.fixture(scope="session")
def airflow(stack):
    return stack.airflow_client()


@pytest.fixture(scope="session")
def store(stack):
    from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

    with ColdStoreHook() as hook:
        yield hook


@pytest.fixture(scope="session")
def shop(stack):
    from shelfcast_local.shop import open_shop

    return open_shop(stack)


@pytest.fixture(scope="session")
def wait():
    """Waits until a condition holds and answers what it answered."""

    def until(condition, *, what):
        deadline = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < deadline:
            found = condition()
            if found:
                return found
            time.sleep(1)
        pytest.fail(f"{what} did not happen within {LIMIT_SECONDS} s")

    return until


@pytest.fixture(scope="session")
def finished(airflow):
    """Finished runs of a DAG whose fields have these values."""

    def runs(dag_id, **fields):
        return [
            run
            for run in airflow.runs(dag_id)
            if run.is_finished and all(getattr(run, name) == value for name, value in fields.items())
        ]

    return runs


@pytest.fixture(scope="session")
def play_day(wait, finished):
    """Plays a shop's next business day and waits until the loop has watched it."""

    def play(shop):
        day = shop.next_day()
        shop.write_day(day)
        runs = wait(
            lambda: finished("drift_monitoring", partition_key=day.isoformat()), what=f"the monitoring of {day}"
        )
        assert runs[-1].state == "success"
        return day

    return play


@pytest.fixture(scope="session")
def fetch(store):
    """Rows of a query to the cold store."""

    def rows(text, *values):
        cursor = store.get_conn().cursor()
        try:
            return cursor.execute(text, values or None).fetchall()
        finally:
            cursor.close()

    return rows


@pytest.fixture
def replay(stack, tmp_path):
    """An undisturbed run over the same change log: lands and loads all of it at once, then builds a day's features."""

    def build(day):
        from shelfcast.cold_store import feature_views, load_batch
        from shelfcast.cold_store.duckdb_store import DuckDBStore
        from shelfcast.ingestion.change_files import ChangeFolder
        from shelfcast.training import declaration

        landed = ChangeFolder(stack.home / "landing").generation_folder(1)
        shutil.copytree(landed, ChangeFolder(tmp_path / "landing").generation_folder(1))
        land(tmp_path / "landing", tmp_path / "batch", stack.environment())
        store = DuckDBStore()
        load_batch.prepare(store)
        load_batch.load(store, tmp_path / "batch")
        feature_views.build_partitions(store, day, horizon_days=declaration.load("demand").horizon)
        return store.connection

    return build


def land(landing, export, environment):
    """Runs the landing job as the Spark operator does."""
    import shelfcast
    from shelfcast.ingestion.batch import landing_arguments
    from shelfcast_provider.spark_job_operator import DELTA, LAPTOP

    conf = {**LAPTOP, **DELTA, "spark.driver.memory": "1g", "spark.jars": environment["SHELFCAST_SPARK_JARS"]}
    options = [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    job = Path(shelfcast.__file__).parent / "ingestion" / "landing_job.py"
    told = landing_arguments(
        landing=str(landing), generation="1", after_drain="0", batch_id=export.name, export=str(export)
    )
    command = [Path(sys.executable).parent / "spark-submit", "--master", "local[2]", *options, job, *told]
    done = subprocess.run(
        command, env={**os.environ, **environment}, check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
