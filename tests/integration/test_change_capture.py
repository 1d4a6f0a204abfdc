"""Debezium's engine on a real PostgreSQL: bounded, killed in mid-snapshot, without its slot, without a database."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from datetime import date

import pytest

from shelfcast.ingestion.change_files import UNFINISHED, ChangeFolder
from shelfcast.sources.simulation_settings import SimulationSettings
from shelfcast_local import postgres
from shelfcast_local.simulator.simulator import Simulator
from shelfcast_local.stack import Stack

pytestmark = pytest.mark.integration
DRAIN = """
import json, os, sys
from pathlib import Path
from shelfcast.errors import SourceError
from shelfcast.ingestion.change_files import ChangeFolder
from shelfcast_provider.ingestion.debezium_hook import DebeziumHook
try:
    drained = DebeziumHook().drain(ChangeFolder(Path(sys.argv[1])))
    print(json.dumps(vars(drained)), flush=True)
except SourceError as error:
    print(json.dumps({"error": type(error).__name__, "text": str(error)}), flush=True)
os._exit(0)
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A running shop with four weeks of history, and what a process needs to reach it."""
    stack = Stack(tmp_path_factory.mktemp("capture") / "home")
    stack.up(["postgres"])
    simulator = Simulator(SimulationSettings(stores=3, items=10, first_day=date(2025, 1, 1), history_days=60))
    with postgres.connect(stack.configuration, "shop") as connection:
        simulator.write_history(connection)
        yield stack, simulator, connection
    stack.down()


def start(shop, landing, **changes):
    environment = {**os.environ, **shop[0].environment(), "AIRFLOW_HOME": os.environ["AIRFLOW_HOME"], **changes}
    command = [sys.executable, "-c", DRAIN, str(landing)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def drain(shop, landing, **changes):
    out, _ = start(shop, landing, **changes).communicate(timeout=120)
    return json.loads(out.splitlines()[-1])


def changes(landing, generation):
    folder = ChangeFolder(landing)
    for file in folder.files(generation):
        with gzip.open(folder.generation_folder(generation) / file.name, "rt") as lines:
            yield from (event for event in map(json.loads, lines) if event["op"] != "m")


def keys(landing, generation, table="orders", key="order_id"):
    """Keys that are left when the generation's changes are played in order."""
    left = set()
    for event in changes(landing, generation):
        if event["source"]["table"] == table:
            row = event["after"] or event["before"]
            (left.discard if event["op"] == "d" else left.add)(row[key])
    return left


def test_the_change_log_is_read_up_to_now_once_and_nothing_else(shop, tmp_path):
    _, simulator, connection = shop
    first = drain(shop, tmp_path)
    rows = connection.execute("SELECT count(*) FROM sales.orders").fetchone()[0]
    assert first["generation"] == 1
    assert len(keys(tmp_path, 1)) == rows
    assert drain(shop, tmp_path)["changes"] == 0
    simulator.write_day(connection, simulator.days_to_come[0])
    assert drain(shop, tmp_path)["changes"] > 0
    assert keys(tmp_path, 1) == {row[0] for row in connection.execute("SELECT order_id FROM sales.orders")}


def test_a_snapshot_killed_in_the_middle_leaves_no_ghost(shop, tmp_path):
    _, _, connection = shop
    connection.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    child = start(shop, tmp_path)
    folder = ChangeFolder(tmp_path)
    deadline = time.monotonic() + 60
    while not any(part.stat().st_size for part in tmp_path.rglob(f"*{UNFINISHED}")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert folder.last_complete() is None
    gone = connection.execute("SELECT min(order_id) FROM sales.orders").fetchone()[0]
    connection.execute("DELETE FROM sales.orders WHERE order_id = %s", [gone])
    again = drain(shop, tmp_path)
    assert again["generation"] == 2
    assert folder.last_complete() == 2
    assert keys(tmp_path, 2) == {row[0] for row in connection.execute("SELECT order_id FROM sales.orders")}
    assert gone not in keys(tmp_path, 2)


def test_a_lost_slot_is_said_and_a_column_more_is_borne(shop, tmp_path):
    _, _, connection = shop
    connection.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    drain(shop, tmp_path)
    connection.execute("ALTER TABLE sales.orders ADD COLUMN channel text DEFAULT 'till'")
    connection.execute(
        "UPDATE sales.orders SET channel = 'web' WHERE order_id = (SELECT max(order_id) FROM sales.orders)"
    )
    assert drain(shop, tmp_path)["changes"] == 1
    connection.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    lost = drain(shop, tmp_path)
    assert lost["error"] == "ChangeLogLost"
    assert "take_snapshot" in lost["text"]


def test_a_database_that_does_not_answer_is_named(shop, tmp_path):
    wrong = json.loads(shop[0].environment()["AIRFLOW_CONN_SHOP_DATABASE"]) | {"port": 1}
    found = drain(shop, tmp_path, AIRFLOW_CONN_SHOP_DATABASE=json.dumps(wrong))
    assert found["error"] == "SourceUnavailable"
    assert "127.0.0.1:1/shop" in found["text"]
