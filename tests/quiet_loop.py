"""The repository's own DAG files in real Airflow, with tasks that do nothing: what its schedulers make of the wiring."""

import os
import shutil
import subprocess
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from shelfcast_local.environment import REPOSITORY, virtual_environment_binary
from shelfcast_local.services import airflow, postgres
from shelfcast_local.stack import Stack

TESTS = Path(__file__).parent
DAILY = ("cdc_ingestion", "feature_views", "feature_cache_refresh", "demand_forecast", "drift_monitoring")
QUIET = "\nimport sys\nimport quiet_tasks\nquiet_tasks.quieten(sys.modules[__name__])\n"
"""The end of each copy of a DAG file."""
LIMIT_SECONDS = 600
MONDAYS = timedelta(weeks=5)


class QuietLoop:
    """PostgreSQL, an api-server and two schedulers; the DAG files are parsed once, when it starts.

    Args:
        home: An empty state folder.
    """

    def __init__(self, home):
        self.home, self.stack = home, Stack(home)
        for name in ("hold", "request", "dags", "modules"):
            (home / name).mkdir(parents=True)
        for path in (REPOSITORY / "dags").glob("*.py"):
            (home / "dags" / path.name).write_text(path.read_text() + QUIET)
        shutil.copy(TESTS / "quiet_tasks.py", home / "modules")

    def start(self):
        """Brings everything up and lets the daily DAGs run."""
        self.stack.up(["postgres"])
        made = {"AIRFLOW__CORE__DAGS_FOLDER": str(self.home / "dags"), "PYTHONPATH": str(self.home / "modules")}
        environment = {**self.stack.environment(), **made}
        airflow.prepare(self.home, self.stack.configuration, environment)
        parse = [virtual_environment_binary("airflow"), "dag-processor", "--num-runs", "1"]
        subprocess.run(parse, env={**os.environ, **environment}, check=True, capture_output=True, timeout=LIMIT_SECONDS)
        supervisor = self.stack._supervisor
        services = airflow.services(self.stack.configuration, environment, started_at=supervisor.started_at)
        api, scheduler = (each for each in services if each.name in ("airflow_api", "airflow_scheduler"))
        for service in (api, scheduler, replace(scheduler, name="airflow_scheduler_2")):
            supervisor.start(service)
        for service in (api, scheduler):
            supervisor.wait(service)
        self.client = self.stack.airflow_client()
        self.sql("UPDATE slot_pool SET slots = 4 WHERE pool = 'cold_store_writers'")
        self.client.unpause(*DAILY)

    def end(self):
        """Ends every process."""
        self.stack.down()

    def hold(self, dag_id):
        """Lets tasks of a DAG wait until they are released."""
        (self.home / "hold" / dag_id).touch()

    def release(self, dag_id):
        """Lets them go on."""
        (self.home / "hold" / dag_id).unlink()

    def request_on(self, date):
        """Lets the governor ask for a retraining on a date."""
        (self.home / "request" / date).touch()

    def announce(self, *dates):
        """Runs `cdc_ingestion` as if a batch had completed these business dates."""
        return self.client.trigger("cdc_ingestion", {"dates": list(dates)})

    def emit(self, asset, date):
        """Reports a partition of an asset from outside."""
        found = self.client._call("GET", "/assets", params={"name_pattern": asset})["assets"]
        (asset_id,) = (each["id"] for each in found if each["name"] == asset)
        self.client._call("POST", "/assets/events", json={"asset_id": asset_id, "partition_key": date, "extra": {}})

    def let_monday_come(self, dag_id):
        """Moves the time at which the DAG's next scheduled run is due into the past."""
        columns = ("", "_create_after", "_data_interval_start", "_data_interval_end")
        earlier = ", ".join(f"next_dagrun{column} = next_dagrun{column} - %(earlier)s" for column in columns)
        self.sql(f"UPDATE dag SET {earlier} WHERE dag_id = %(dag_id)s", earlier=MONDAYS, dag_id=dag_id)

    def runs(self, dag_id, **fields):
        """Runs of a DAG whose fields have these values, in the order in which they were made."""
        return [
            run
            for run in self.client.runs(dag_id)
            if all(getattr(run, name) == value for name, value in fields.items())
        ]

    def wait(self, condition, *, what, seconds=LIMIT_SECONDS):
        """Waits until the condition holds; returns what it answered."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(0.5)
        raise AssertionError(f"{what} did not happen within {seconds} s")

    def sql(self, statement, **values):
        """Rows of a statement on Airflow's metadata; nothing for one that changes it."""
        with postgres.connect(self.stack.configuration, "airflow") as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else None
