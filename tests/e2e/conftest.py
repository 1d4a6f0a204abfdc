"""One running loop for all tests of this folder, and what they ask it."""

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest
from s3_world import empty_bucket
from undisturbed_run import UndisturbedRun

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
def files():
    """Where files lie: below the state folder, or with `SHELFCAST_E2E_STORAGE=s3` in a bucket of an S3 server."""
    if os.environ.get("SHELFCAST_E2E_STORAGE") != "s3":
        yield
        return
    with empty_bucket() as bucket, pytest.MonkeyPatch.context() as environment:
        for name in ("landing", "artifacts"):
            environment.setenv(f"SHELFCAST_{name.upper()}", f"s3://{bucket.name}/{name}")
        yield


@pytest.fixture(scope="session")
def stack(home, files):
    """The loop after `shelfcast demo`, with everything running."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW__")]:
        del os.environ[name]
    from shelfcast_local.demo.loop import run
    from shelfcast_local.stack import Stack

    os.environ["SHELFCAST_HOME"] = str(home)
    running = Stack(home)
    try:
        run(None, days=2, home=home)
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
    """Waits until a condition holds and returns what it answered."""

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
def play_days(wait, finished):
    """Writes a shop's next business days, all at once, and waits until the loop has watched the last of them."""

    def play(shop, count):
        days = []
        for _ in range(count):
            days.append(shop.next_day())
            shop.write_day(days[-1])
        last = days[-1].isoformat()
        runs = wait(lambda: finished("drift_monitoring", partition_key=last), what=f"the monitoring of {last}")
        assert runs[-1].state == "success"
        return days

    return play


@pytest.fixture(scope="session")
def play_day(play_days):
    """Writes a shop's next business day and waits until the loop has watched it."""
    return lambda shop: play_days(shop, 1)[0]


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
def undisturbed(stack, tmp_path):
    """Runs the loop's steps beside the loop, from here on."""
    made = UndisturbedRun(stack, tmp_path)
    yield made
    made.end()
