"""Debezium's engine on a real PostgreSQL, bounded, killed and robbed of what it needs; then Spark and the load."""

import base64
import gzip
import json
import os
import random
import re
import shutil
import string
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
from shelfcast.ingestion.batch import Batch
from shelfcast.ingestion.change_file_writer import ChangeFileWriter
from shelfcast.ingestion.change_files import UNFINISHED, ChangeFolder
from shelfcast.ingestion.spark_job import landing_job
from shelfcast.sources.shop_schema import TABLES
from shelfcast.sources.simulation_settings import SimulationSettings
from shelfcast_local.environment import connections
from shelfcast_local.playback.notes import read_playback
from shelfcast_local.services import jars, postgres
from shelfcast_local.services.java import java_home
from shelfcast_local.simulator.simulator import Simulator
from shelfcast_local.stack import Stack
from shelfcast_provider.ingestion.change_log import ChangeLog
from shelfcast_provider.spark.spark_submit import DELTA, LAPTOP

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
    day = read_playback(connection).last_date + timedelta(days=1)
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


def submit(landing, export, spark_jars, *, generation=1, after_drain=0, refused_for=None):
    """Runs the landing job as the Spark operator does."""
    done = submitted(landing, export, spark_jars, generation=generation, after_drain=after_drain)
    if refused_for:
        assert done.returncode, "it was not refused"
        assert re.search(refused_for, done.stdout), done.stdout[-3000:]
    else:
        assert done.returncode == 0, done.stderr[-3000:]


def failed_submit(landing, export, spark_jars):
    """What the landing job says when it refuses."""
    done = submitted(landing, export, spark_jars)
    assert done.returncode != 0
    return done.stdout + done.stderr


def submitted(landing, export, spark_jars, *, generation=1, after_drain=0):
    conf = {**LAPTOP, **DELTA, "spark.driver.memory": "1g", "spark.jars": ",".join(map(str, spark_jars))}
    options = [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]
    told = landing_job(
        landing=str(landing),
        generation=str(generation),
        after_drain=str(after_drain),
        batch_id=export.name,
        export=str(export),
    )
    scripts = Path(sys.executable).parent
    command = [scripts / "spark-submit", "--master", "local[2]", *options, LANDING_JOB, *told.arguments]
    environment = {**os.environ, "JAVA_HOME": str(java_home()), "PATH": f"{scripts}:{os.environ['PATH']}"}
    return subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=SUBMIT_SECONDS)


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


@pytest.fixture
def kept_columns(connection):
    """The shop's items as they were, whatever a test does to the table."""
    yield
    names = [
        row[0]
        for row in connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'sales' AND table_name = 'items'"
        )
    ]
    if "ended_on" in names:
        connection.execute("ALTER TABLE sales.items RENAME ended_on TO discontinued_on")
    connection.execute("ALTER TABLE sales.items REPLICA IDENTITY DEFAULT")


def rename(connection, old, new):
    connection.execute(f"ALTER TABLE sales.items RENAME {old} TO {new}")


def test_a_renamed_column_stops_the_run_by_its_name(reader, landing, connection, kept_columns):
    reader.drain(landing)
    rename(connection, "discontinued_on", "ended_on")
    connection.execute("UPDATE sales.items SET ended_on = '2025-02-01'")
    for order in ({}, {"take_snapshot": True}):
        found = reader.drain(landing, **order)
        assert found["error"] == "ConfigurationError"
        assert "lacks items.discontinued_on (there and not expected: items.ended_on)" in found["text"]
    assert list(changes(landing, 1))[-1]["op"] == "r", "nothing was read"


def test_what_was_changed_under_another_name_does_not_land_as_empty(
    reader, landing, connection, kept_columns, spark_jars, tmp_path
):
    reader.drain(landing)
    rename(connection, "discontinued_on", "ended_on")
    connection.execute("UPDATE sales.items SET ended_on = '2025-02-01'")
    rename(connection, "ended_on", "discontinued_on")
    assert reader.drain(landing)["changes"] > 0
    said = failed_submit(landing, tmp_path / "b1", spark_jars)
    assert "Rows were changed while the shop had no column items.discontinued_on" in said
    assert "take_snapshot" in said
    assert not (tmp_path / "b1" / "batch.json").exists()


def test_a_publication_that_leaves_a_column_out_stops_the_run(reader, landing, connection):
    reader.drain(landing)
    connection.execute("ALTER PUBLICATION shelfcast DROP TABLE sales.items")
    connection.execute("ALTER PUBLICATION shelfcast ADD TABLE sales.items (item_id, category)")
    try:
        found = reader.drain(landing)
    finally:
        connection.execute("ALTER PUBLICATION shelfcast DROP TABLE sales.items")
        connection.execute("ALTER PUBLICATION shelfcast ADD TABLE sales.items")
    assert found["error"] == "ConfigurationError"
    assert "carries no changes of items.introduced_on, items.discontinued_on" in found["text"]


def test_a_long_text_that_an_update_left_as_it_was_is_never_a_placeholder(reader, landing, connection, kept_columns):
    long, touch = "".join(random.choices(string.ascii_letters, k=10_000)), "UPDATE sales.items SET discontinued_on = {}"
    connection.execute("ALTER TABLE sales.items ADD COLUMN IF NOT EXISTS description text")
    first = connection.execute("UPDATE sales.items SET description = %s RETURNING item_id", [long]).fetchone()[0]
    reader.drain(landing)
    connection.execute(touch.format("'2025-02-01'"))
    assert reader.drain(landing)["changes"] > 0, "a column that nobody reads may be left out"
    connection.execute("UPDATE sales.items SET category = %s WHERE item_id = %s", [long, first])
    connection.execute(touch.format("NULL"))
    for _ in range(2):
        found = reader.drain(landing)
        assert_lost(found, "as it was in items.category,")
        assert "ALTER TABLE sales.items REPLICA IDENTITY FULL" in found["text"]
    connection.execute("ALTER TABLE sales.items REPLICA IDENTITY FULL")
    assert reader.drain(landing, take_snapshot=True)["generation"] == 2
    connection.execute(touch.format("'2025-03-01'"))
    reader.drain(landing)
    rows = [event["after"] for event in changes(landing, 2) if event["source"]["table"] == "items"]
    of_first = [(row["category"], row["discontinued_on"]) for row in rows if row["item_id"] == first]
    assert of_first == [(long, None), (long, "2025-03-01Z")]
    connection.execute("ALTER TABLE sales.items DROP COLUMN description")
    connection.execute("UPDATE sales.items SET category = 'short', discontinued_on = NULL")


def write_elsewhere(connection, megabytes):
    """What does not concern the shop's tables."""
    connection.execute("CREATE TABLE IF NOT EXISTS public.elsewhere (text text)")
    thousand = "INSERT INTO public.elsewhere SELECT repeat(md5(n::text), 32) FROM generate_series(1, 1000) AS n"
    for _ in range(megabytes):
        connection.execute(thousand)


def test_the_confirmed_position_passes_what_others_wrote_though_the_shop_is_idle(reader, landing, connection):
    reader.drain(landing)
    log = ChangeLog(connection, slot="shelfcast", publication="shelfcast")
    for _ in range(2):
        write_elsewhere(connection, 5)
        written = connection.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn").fetchone()[0]
        assert reader.drain(landing)["changes"] == 0
        assert log.confirmed() >= written


@pytest.fixture
def short_log(stack, connection):
    """A server that keeps no more than a megabyte for a slot."""

    def keep(size):
        with postgres.connect(stack.configuration, "postgres", user="postgres") as server:
            server.execute(f"ALTER SYSTEM SET max_slot_wal_keep_size = '{size}'")
            server.execute("SELECT pg_reload_conf()")

    keep("1MB")
    yield
    keep("-1")


def test_a_slot_that_is_there_and_lost_is_said_at_once_with_both_cures(stack, reader, landing, connection, short_log):
    reader.drain(landing)
    write_elsewhere(connection, 100)
    with postgres.connect(stack.configuration, "postgres", user="postgres") as server:
        server.execute("CHECKPOINT")
    began = time.monotonic()
    found = reader.drain(landing)
    assert time.monotonic() - began < 60
    assert_lost(found, "shelfcast is there, but lost (wal_removed)")
    assert "Raise max_slot_wal_keep_size (now 1MB)" in found["text"]
    assert reader.drain(landing, take_snapshot=True)["generation"] == 2


def test_an_end_at_infinity_is_open_and_an_event_there_is_quarantined(
    reader, landing, connection, spark_jars, tmp_path
):
    """In the snapshot and in the log, which write it in two ways."""
    reader.drain(landing)
    promotion = "INSERT INTO sales.promotions VALUES (%s, 'S', 'I', '2025-01-01', 'infinity', 0.1, '2025-01-01')"
    order = "INSERT INTO sales.orders VALUES (%s, 1, 'S', %s, 'completed', 1)"
    closed = "INSERT INTO sales.stores VALUES (%s, 'R', 'G', '2020-01-01', 'infinity')"
    for number in (1, 2):
        connection.execute(promotion, [-number])
        connection.execute(closed, [f"open {number}"])
        for event in ("infinity", "-infinity"):
            connection.execute(order, [-10 * number - (event[0] == "-"), event])
        reader.drain(landing, take_snapshot=number == 1)
    submit(landing, tmp_path / "b1", spark_jars, generation=2)
    for table, key in (
        ("promotions", "promotion_id < 0"),
        ("stores", "store_id LIKE 'open%'"),
        ("orders", "order_id < 0"),
    ):
        connection.execute(f"DELETE FROM sales.{table} WHERE {key}")
    store = DuckDBStore()
    load_batch.prepare(store)
    load_batch.load(store, tmp_path / "b1")
    ask = store.connection.execute
    assert ask("SELECT ends_on FROM RAW.PROMOTIONS WHERE promotion_id < 0").fetchall() == [(date(9999, 12, 31),)] * 2
    assert ask("SELECT closed_on FROM RAW.STORES WHERE store_id LIKE 'open%'").fetchall() == [(None,)] * 2
    assert ask("SELECT order_id FROM RAW.ORDERS WHERE order_id < 0").fetchall() == []
    of_ours = "table_name = 'orders' AND row_key LIKE '-%'"
    bad = ask(f"SELECT row_key, reason FROM QUARANTINE.BAD_ROWS WHERE {of_ours} ORDER BY 1").fetchall()
    assert bad == [(str(key), "ordered_at: is no TIMESTAMP") for key in (-10, -11, -20, -21)]


def test_a_stream_that_lost_its_checkpoint_lands_everything_and_exports_nothing_twice(
    reader, landing, connection, simulator, spark_jars, tmp_path
):
    reader.drain(landing)
    submit(landing, tmp_path / "b1", spark_jars)
    shutil.rmtree(landing / "checkpoints")
    write_next_day(simulator, connection)
    reader.drain(landing)
    submit(landing, tmp_path / "b2", spark_jars)
    found = Batch.read(tmp_path / "b2")
    assert found.last_drain == 2
    assert found.rows_read == sum(1 for _ in changes(landing, 1))


def change_file(folder, drain, lines):
    """A drain's only file, as the change capture writes it."""
    writer = ChangeFileWriter(folder, 1, from_position=drain)
    assert writer.drain == drain
    writer.expect("mark")
    mark = json.dumps({"op": "m", "message": {"content": base64.b64encode(b"mark").decode()}}, separators=(",", ":"))
    writer.take("\n".join([*lines, mark, ""]).encode(), len(lines) + 1, lambda: None)


def store_lines(drain, names):
    """The insertions of some stores."""
    lines = []
    for number, name in enumerate(names):
        row = {"store_id": name, "region": "north", "store_group": "a", "opened_on": "2024-01-01Z", "closed_on": None}
        source = {"table": "stores", "lsn": 100 * drain + number, "sequence": None, "ts_ms": 1}
        lines.append(json.dumps({"op": "c", "before": None, "after": row, "source": source}, separators=(",", ":")))
    return lines


def test_what_has_landed_is_what_was_written_however_much_of_the_checkpoint_is_lost(spark_jars, tmp_path):
    """A micro-batch that was written and not recorded, then a lost checkpoint with a drain that came since."""
    landing, folder = tmp_path / "landing", ChangeFolder(tmp_path / "landing")
    folder.begin_generation()
    change_file(folder, 1, store_lines(1, ["S1", "S2", "S3"]))
    submit(landing, tmp_path / "b1", spark_jars)
    checkpoint = landing / "checkpoints" / "generation=0001"
    newest = max(int(path.name) for path in (checkpoint / "commits").glob("[0-9]*"))
    for path in (checkpoint / "commits").glob(f"*{newest}*"):
        path.unlink()
    submit(landing, tmp_path / "b2", spark_jars)
    shutil.rmtree(checkpoint)
    change_file(folder, 2, store_lines(2, ["S4", "S5"]))
    submit(landing, tmp_path / "b3", spark_jars)
    assert [Batch.read(tmp_path / name).rows for name in ("b1", "b2", "b3")] == [
        {"stores": 3},
        {"stores": 3},
        {"stores": 5},
    ]
    store = DuckDBStore()
    load_batch.prepare(store)
    for name in ("b1", "b2", "b3"):
        load_batch.load(store, tmp_path / name)
    for table in ("RAW.STORES", "RAW.STORES_CHANGES"):
        found = store.connection.execute(f"SELECT store_id FROM {table} ORDER BY 1").fetchall()
        assert found == [("S1",), ("S2",), ("S3",), ("S4",), ("S5",)]


def test_a_file_that_lost_changes_on_its_way_stops_the_landing(spark_jars, tmp_path):
    landing, folder = tmp_path / "landing", ChangeFolder(tmp_path / "landing")
    folder.begin_generation()
    change_file(folder, 1, store_lines(1, ["S1", "S2", "S3"]))
    (file,) = folder.files(1)
    path = folder.generation_folder(1) / file.name
    path.write_bytes(gzip.compress(b"".join(gzip.decompress(path.read_bytes()).splitlines(keepends=True)[1:])))
    submit(landing, tmp_path / "b1", spark_jars, refused_for="drain 1 wrote 3 changes, 2 have landed")
    assert not (tmp_path / "b1").exists()
