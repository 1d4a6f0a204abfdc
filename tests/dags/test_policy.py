"""What every DAG of the repository keeps to."""

import os
import re
import socket
import subprocess
import sys
from copy import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
from airflow.sdk import PartitionedAssetTimetable
from airflow.sdk.exceptions import AirflowSkipException

from shelfcast_provider.business_date import emit_business_date
from shelfcast_provider.code_version import code_version

REPOSITORY = Path(__file__).resolve().parents[2]
HEADINGS = ["Purpose", "Reads → writes", "Re-running safely", "When it fails"]
EXPECTED = {
    "cdc_ingestion",
    "feature_views",
    "feature_cache_refresh",
    "demand_forecast",
    "drift_monitoring",
    "weekly_retraining_demand",
    "weekly_retraining_order_value",
    "model_deployment_demand",
    "model_deployment_order_value",
}


@pytest.fixture(scope="session")
def bag():
    """All DAGs, parsed with sockets off."""
    from airflow.dag_processing.dagbag import DagBag

    connect = socket.socket.connect
    socket.socket.connect = lambda *_: (_ for _ in ()).throw(OSError("a DAG file used the network while it was parsed"))
    try:
        return DagBag(dag_folder=os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    finally:
        socket.socket.connect = connect


def test_every_file_parses(bag):
    assert bag.import_errors == {}


def test_the_dags_are_those_of_the_design(bag):
    assert set(bag.dags) == EXPECTED


def test_the_docstring_is_a_runbook(bag):
    for dag in bag.dags.values():
        assert re.findall(r"^### (.+)$", dag.doc_md, flags=re.M) == HEADINGS, dag.dag_id


def test_tasks_have_an_owner_retries_a_timeout_and_an_alert(bag):
    for dag in bag.dags.values():
        for task in dag.tasks:
            where = f"{dag.dag_id}.{task.task_id}"
            assert task.owner == "shelfcast", where
            assert task.retries >= 1, where
            assert task.execution_timeout, where
            assert task.on_failure_callback, where


def test_one_run_at_a_time_and_no_catch_up(bag):
    for dag in bag.dags.values():
        assert dag.max_active_runs == 1, dag.dag_id
        assert not dag.catchup, dag.dag_id


DAILY = {"feature_views", "feature_cache_refresh", "demand_forecast", "drift_monitoring"}


def test_a_daily_dag_asks_for_its_business_date_and_hands_it_on(bag):
    """What waits for a business date, and nothing else: a run by hand is like one that was woken."""
    assert {dag_id for dag_id, dag in bag.dags.items() if isinstance(dag.timetable, PartitionedAssetTimetable)} == DAILY
    for dag_id, dag in bag.dags.items():
        assert ("business_date" in dag.params) == (dag_id in DAILY), dag_id
        emitting = [task for task in dag.tasks if task.outlets] if dag_id in DAILY else []
        assert all(task._post_execute_hook is emit_business_date for task in emitting), dag_id


def test_each_task_that_writes_features_takes_the_writers_slot(bag):
    writers = {
        ("cdc_ingestion", "load"),
        ("cdc_ingestion", "replay"),
        ("feature_views", "build"),
        ("weekly_retraining_demand", "freeze"),
    }
    for dag_id, task_id in writers:
        assert bag.dags[dag_id].get_task(task_id).pool == "cold_store_writers"


def test_the_quarantine_is_replayed_only_when_someone_asks_and_asking_takes_no_writers_slot(bag):
    asked, replay = (bag.dags["cdc_ingestion"].get_task(name) for name in ("replay_asked", "replay"))
    assert replay.upstream_task_ids == {"replay_asked"}
    assert asked.pool != replay.pool
    assert asked.trigger_rule == "none_failed", "also when the shop has no change to load"
    assert asked.python_callable(params={"replay_quarantine": True}) is None
    with pytest.raises(AirflowSkipException, match="replay_quarantine"):
        asked.python_callable(params={"replay_quarantine": False})


def _assets(condition):
    """All assets of a schedule's condition, however nested."""
    if condition is None:
        return []
    nested = getattr(condition, "objects", None)
    return [condition] if nested is None else [asset for each in nested for asset in _assets(each)]


def test_the_loop_is_closed_by_assets(bag):
    """A snapshot of the asset graph: what each DAG waits for and what it emits."""
    graph = {}
    for dag_id, dag in bag.dags.items():
        condition = getattr(dag.timetable, "asset_condition", None)
        waits = {asset.name for asset in _assets(condition)}
        graph[dag_id] = (waits, {asset.name for task in dag.tasks for asset in task.outlets})
    assert graph == {
        "cdc_ingestion": ({"shop_day_closed"}, {"sales_changes"}),
        "feature_views": ({"sales_changes"}, {"demand_features"}),
        "feature_cache_refresh": ({"demand_features"}, {"demand_feature_cache"}),
        "demand_forecast": ({"demand_feature_cache"}, {"demand_forecasts"}),
        "drift_monitoring": ({"demand_forecasts", "sales_changes"}, {"drift_report"}),
        "weekly_retraining_demand": (set(), {"demand_candidate"}),
        "weekly_retraining_order_value": (set(), {"order_value_candidate"}),
        "model_deployment_demand": ({"demand_candidate"}, {"demand_release"}),
        "model_deployment_order_value": ({"order_value_candidate"}, {"order_value_release"}),
    }


def test_training_is_told_which_code_it_is_trained_by(bag):
    train = copy(bag.dags["weekly_retraining_demand"].get_task("train"))
    frozen = SimpleNamespace(xcom_pull=lambda _: {"folder": "/frames/a"})
    train.render_template_fields({"ti": frozen})
    told = dict(zip(train.arguments[::2], train.arguments[1::2], strict=True))
    assert (told["--frame"], told["--code-version"]) == ("/frames/a", code_version())


PARSE = """
import sys
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import Asset
assert not DagBag(dag_folder=sys.argv[1]).import_errors
for uri in sys.argv[2:]:
    Asset(name="with a URI", uri=uri)
print("boto3" in sys.modules)
"""


def test_parsing_loads_no_client_of_a_cloud(tmp_path):
    """Every task parses its DAG file: what that loads, each of them pays for. A URI of an asset is the control."""
    folder = os.environ["AIRFLOW__CORE__DAGS_FOLDER"]
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    said = [
        subprocess.run(
            [sys.executable, "-c", PARSE, folder, *uris], env=environment, capture_output=True, text=True, check=True
        ).stdout.splitlines()[-1]
        for uris in ([], ["shelfcast://somewhere"])
    ]
    assert said == ["False", "True"]
