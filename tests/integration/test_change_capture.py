"""Debezium's engine on a real PostgreSQL, bounded, killed and robbed of what it needs; then Spark and the load."""

import gzip
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from change_reader import Reader

import shelfcast
from shelfcast.cold_store import load_batch
from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.cold_store.replay_quarantine import Replayed, replay
from shelfcast.ingestion.batch import Batch, landing_arguments
from shelfcast.ingestion.change_files import UNFINISHED, ChangeFolder
from shelfcast.sources.played_shop import played_shop
from shelfcast.sources.shop_schema import TABLES
from shelfcast.sources.simulation_settings import SimulationSettings
from shelfcast_local import jars, postgres
from shelfcast_local.environment import connections
from shelfcast_local.java import java_home
from shelfcast_local.simulator.simulator import Simulator
from shelfcast_local.stack import Stack
from shelfcast_provider.ingestion.change_log import ChangeLog
from shelfcast_provider.spark_job_operator import DELTA, LAPTOP

pytestmark = pytest.mark.integration
REPOSITORY = Path(__file__).resolve().parents[2]
LANDING_JOB = Path(shelfcast.__file__).parent / "ingestion" / "landing_job.py"
SUBMIT_SECONDS = 180


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    made = Stack(tmp_path_factory.mktemp("capture") / "home")
    made.up(["postgres"])
    yield made
    made.down()


@pytest.fixture(scope="module")
def simulator():
    return Simulator(SimulationSettings(stores=3, items=10, first_day=date(2025, 1, 1), history_days=60))


@pytest.fixture(scope="module")
def connection(stack, simulator):
    """The shop's database with two months of history."""
    with postgres.connect(stack.configuration, "shop") as made:
        simulator.write_history(made)
        yield made


@pytest.fixture(scope="module")
def reader(stack, connection):
    nowhere = connections(stack.configuration)["shop_database"] | {"port": 1}
    made = Reader(stack, nowhere=nowhere)
    yield made
    made.kill()


@pytest.fixture
def landing(tmp_path, connection):
    """An empty landing area; nobody has read the shop's log."""
    drop_slot(connection)
    return tmp_path / "landing"


def drop_slot(connection):
    ChangeLog(connection, slot="shelfcast", publication="shelfcast").drop_slot()


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


def write_next_day(simulator, connection):
    """The tests share the shop and come in any order."""
    day = played_shop(connection).last_date + timedelta(days=1)
    simulator.write_day(connection, day)
    return day


def order_ids(connection):
    return {row[0] for row in connection.execute("SELECT order_id FROM sales.orders")}


def test_the_change_log_is_read_up_to_now_once_and_nothing_else(reader, landing, connection, simulator):
    first = reader.drain(landing)
    assert first["generation"] == 1
    assert keys(landing, 1) == order_ids(connection)
    assert reader.drain(landing)["changes"] == 0
    write_next_day(simulator, connection)
    assert reader.drain(landing)["changes"] > 0
    assert keys(landing, 1) == order_ids(connection)


def test_a_snapshot_killed_in_the_middle_leaves_no_ghost(stack, reader, landing, connection):
    folder, killed = ChangeFolder(landing), Reader(stack)
    killed.begin(landing)
    deadline = time.monotonic() + 60
    while not any(part.stat().st_size for part in landing.rglob(f"*{UNFINISHED}")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    killed.kill()
    assert folder.last_complete() is None
    gone = min(order_ids(connection))
    connection.execute("DELETE FROM sales.orders WHERE order_id = %s", [gone])
    assert reader.drain(landing)["generation"] == 2
    assert folder.last_complete() == 2
    assert keys(landing, 2) == order_ids(connection)
    assert gone not in keys(landing, 2)


def test_a_snapshot_waits_for_a_transaction_that_is_open_when_it_begins(stack, reader, landing, connection):
    """The slot is busy while it is made; a mark written then would never come out of it."""
    with postgres.connect(stack.configuration, "shop") as open_one, open_one.transaction():
        open_one.execute("UPDATE sales.stores SET store_group = store_group")
        reader.begin(landing)
        deadline = time.monotonic() + 60
        while not connection.execute("SELECT 1 FROM pg_replication_slots WHERE active").fetchone():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(1)
    assert reader.answer()["generation"] == 1


def test_a_lost_slot_is_said_and_a_column_more_is_borne(reader, landing, connection):
    reader.drain(landing)
    connection.execute("ALTER TABLE sales.orders ADD COLUMN channel text DEFAULT 'till'")
    last = max(order_ids(connection))
    connection.execute("UPDATE sales.orders SET channel = 'web' WHERE order_id = %s", [last])
    assert reader.drain(landing)["changes"] == 1
    drop_slot(connection)
    assert_lost(reader.drain(landing), "replication slot shelfcast is gone")


def assert_lost(outcome, text):
    assert outcome["error"] == "ChangeLogLost"
    assert text in outcome["text"]
    assert "take_snapshot" in outcome["text"]


def test_an_emptied_landing_area_touches_nothing_until_a_snapshot_is_asked_for(reader, landing, connection):
    reader.drain(landing)
    slots = connection.execute("SELECT slot_name, confirmed_flush_lsn FROM pg_replication_slots").fetchall()
    emptied = landing.with_name("emptied")
    assert_lost(reader.drain(emptied, loaded=[1, 1]), "landing area was emptied")
    assert connection.execute("SELECT slot_name, confirmed_flush_lsn FROM pg_replication_slots").fetchall() == slots
    assert reader.drain(emptied, loaded=[1, 1], take_snapshot=True)["generation"] == 2


def test_a_table_that_is_not_published_and_one_that_is_truncated_need_a_snapshot(reader, landing, connection):
    connection.execute("CREATE PUBLICATION more FOR TABLE sales.weather_observations")
    connection.execute("DROP PUBLICATION shelfcast")
    connection.execute("ALTER PUBLICATION more RENAME TO shelfcast")
    assert reader.drain(landing)["generation"] == 1
    connection.execute("ALTER PUBLICATION shelfcast DROP TABLE sales.items, sales.prices")
    assert_lost(reader.drain(landing), "does not carry items, prices")
    assert reader.drain(landing, take_snapshot=True)["generation"] == 2
    published = connection.execute("SELECT count(*) FROM pg_publication_tables WHERE pubname = 'shelfcast'").fetchone()
    assert published == (len(TABLES),)
    connection.execute("TRUNCATE sales.weather_observations")
    assert_lost(reader.drain(landing), "truncated weather_observations")
    assert_lost(reader.drain(landing), "truncated weather_observations")
    assert reader.drain(landing, take_snapshot=True)["generation"] == 3


def test_a_database_that_does_not_answer_is_named(reader, landing):
    found = reader.drain(landing, connection_id="nowhere")
    assert found["error"] == "SourceUnavailable"
    assert "127.0.0.1:1/shop" in found["text"]


@pytest.fixture(scope="module")
def spark_jars():
    """Delta's jars, downloaded once for all runs of the tests."""
    return jars.resolve(REPOSITORY / ".shelfcast")


def submit(landing, export, spark_jars, *, after_drain=0):
    """Runs the landing job as the Spark operator does."""
    conf = {**LAPTOP, **DELTA, "spark.driver.memory": "1g", "spark.jars": ",".join(map(str, spark_jars))}
    options = [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    told = landing_arguments(
        landing=str(landing), generation="1", after_drain=str(after_drain), batch_id=export.name, export=str(export)
    )
    scripts = Path(sys.executable).parent
    command = [scripts / "spark-submit", "--master", "local[2]", *options, LANDING_JOB, *told]
    environment = {**os.environ, "JAVA_HOME": str(java_home()), "PATH": f"{scripts}:{os.environ['PATH']}"}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=SUBMIT_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]


def test_what_is_landed_and_loaded_is_what_the_shop_holds(reader, landing, connection, simulator, spark_jars, tmp_path):
    reader.drain(landing)
    day = write_next_day(simulator, connection)
    lines = connection.execute("SELECT order_id, line_number FROM sales.order_lines LIMIT 2").fetchall()
    (number, line), mended = lines
    quantity = "UPDATE sales.order_lines SET quantity = %s WHERE order_id = %s AND line_number = %s"
    for value, key in (("NaN", (number, line)), ("NaN", mended), (2, mended)):
        connection.execute(quantity, [value, *key])
    reader.drain(landing)
    deliver_again(landing)
    submit(landing, tmp_path / "b1", spark_jars)
    store = DuckDBStore()
    load_batch.prepare(store)
    loaded = load_batch.load(store, tmp_path / "b1")
    assert loaded.business_dates[-1] == day
    bad = store.connection.execute(
        "SELECT reason, op, generation, committed_at > '2025-01-01' FROM QUARANTINE.BAD_ROWS"
    )
    assert bad.fetchall() == [("quantity: is not finite", "u", 1, True)] * 2
    assert replay(store) == Replayed(merged=0, still_bad=2), "Spark and the replay judge alike"
    batch, keys = Batch.read(tmp_path / "b1"), "SELECT count(DISTINCT (order_id, line_number)) FROM sales.order_lines"
    assert batch.bad_keys == {"order_lines": 1}, "what was mended does not count"
    assert batch.keys["order_lines"] == connection.execute(keys).fetchone()[0]
    assert load_batch.last_drain(store) == load_batch.Drain(generation=1, drain=3)
    lines = "FROM {}.order_lines WHERE NOT (order_id = {} AND line_number = {})"
    for table in TABLES.values():
        rows = lines.format("{0}", number, line) if table.name == "order_lines" else f"FROM {{0}}.{table.name}"
        asked = f"SELECT {', '.join(table.column_names)} {rows} ORDER BY {', '.join(table.key)}"
        found = store.connection.execute(asked.format("RAW")).fetchall()
        assert found == connection.execute(asked.format("sales")).fetchall(), table.name
    versions = f"SELECT count(*) FROM RAW.ORDER_LINES_CHANGES WHERE order_id = {number} AND line_number = {line}"
    assert store.connection.execute(versions).fetchone() == (1,)


def test_a_change_made_during_the_snapshot_is_landed_after_it(reader, landing, connection, spark_jars, tmp_path):
    """No transaction was seen before it whose position could be its own."""
    reader.begin(landing)
    wait_for_the_snapshot(connection)
    connection.execute("UPDATE sales.stores SET store_group = store_group || '!'")
    reader.answer()
    assert [event["op"] for event in changes(landing, 1)].count("u") > 0, "the change came after the mark"
    submit(landing, tmp_path / "b1", spark_jars)
    store = DuckDBStore()
    load_batch.prepare(store)
    load_batch.load(store, tmp_path / "b1")
    groups = "SELECT store_id, store_group FROM {}.stores ORDER BY 1"
    found = store.connection.execute(groups.format("RAW")).fetchall()
    assert found == connection.execute(groups.format("sales")).fetchall()


def wait_for_the_snapshot(connection):
    """Until the slot is made: with it, what the snapshot sees is settled."""
    deadline = time.monotonic() + 60
    made = "SELECT 1 FROM pg_replication_slots WHERE confirmed_flush_lsn IS NOT NULL"
    while not connection.execute(made).fetchone():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def deliver_again(landing):
    """The second drain's changes once more, as a reader that was killed before it confirmed them would bring them."""
    folder = ChangeFolder(landing)
    (second,) = (file for file in folder.files(1) if file.drain == 2)
    place = folder.generation_folder(1)
    shutil.copy(place / second.name, place / replace(second, drain=3).name)
