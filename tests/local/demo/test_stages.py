"""The demo's counts are those of the store that each stage leaves its result in."""

import gzip
import json
from datetime import date

import numpy as np
import pytest
from served_world import DuckDBHook, hot_store, hot_store_server, publish

from shelfcast.cold_store import feature_views, load_batch
from shelfcast.ingestion.change_files import ChangeFile, ChangeFolder
from shelfcast.model import declaration
from shelfcast.sources.shop_schema import TABLES
from shelfcast_local.demo import stages
from shelfcast_local.demo.stages import counts
from shelfcast_local.playback.ddl import playback_statement

__all__ = ["hot_store", "hot_store_server"]
DAY = date(2025, 6, 30)


@pytest.fixture
def store():
    """A cold store with all its tables and no rows."""
    made = DuckDBHook(num_threads=1)
    load_batch.prepare(made)
    feature_views.prepare(made)
    return made


def test_the_hot_store_is_asked_what_it_serves(store, hot_store):
    owed = "INSERT INTO FEATURES.DEMAND (business_date, series_id, is_active) VALUES (?, ?, ?)"
    for series, is_active in (("milk@S1", True), ("soap@S1", True), ("tea@S1", False)):
        store.connection.execute(owed, [DAY, series, is_active])
    store.connection.execute("INSERT INTO FEATURES.ORDER_TOTAL (business_date, customer_id) VALUES (?, 7)", [DAY])
    for name, entities in (("demand", ["milk@S1"]), ("order_value", ["7"])):
        declared = declaration.load(name)
        rows = {entity: np.zeros(len(declared.vector_fields), np.float32) for entity in entities}
        publish(hot_store, declared, rows, business_date=DAY)
    assert stages.hot_store_stage(store, hot_store, DAY) == counts(3, 2), "one vector is missing, and it shows"


def test_an_empty_cold_store_counts_nothing_in_each_of_its_stages(store):
    found = stages.cold_store_stages(store)
    assert found == dict.fromkeys(("ingestion", "cold_store", "serving", "monitoring", "retraining"), counts(0, 0))


def test_only_whole_snapshots_and_finished_files_count_as_captured(tmp_path):
    folder = ChangeFolder(tmp_path)
    for lines in (3, 5, 7):
        generation = folder.begin_generation()
        for drain in (1, 2):
            name = ChangeFile(drain=drain, from_position=0, part=0).name
            with gzip.open(folder.generation_folder(generation) / name, "wt") as file:
                file.write("{}\n" * lines)
        (folder.generation_folder(generation) / "drain-000003-from-0-part-00000.jsonl.gz.part").write_text("{}\n")
        if lines != 5:
            folder.mark_complete(generation)
    assert stages.captured_changes(tmp_path) == 2 * (3 + 7)


def test_frames_candidates_and_bundles_are_counted_where_they_lie(tmp_path):
    for run, rows in (("a", 10), ("b", 5)):
        folder = tmp_path / "training" / "demand" / run
        (folder / "candidate").mkdir(parents=True)
        (folder / "frame.json").write_text(json.dumps({"rows": rows}))
    (folder / "candidate" / "training.json").touch()
    assert stages.file_stages(tmp_path) == {"training": counts(15, 1), "deployment": counts(1, 0)}


def test_the_registry_is_asked_for_candidates_and_champions(tmp_path, monkeypatch):
    from shelfcast_provider.registry.mlflow_hook import CHAMPION, MLflowHook

    connection = {"conn_type": "shelfcast_mlflow", "host": "127.0.0.1", "port": 5000, "login": "me", "password": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_MLFLOW", json.dumps(connection))
    monkeypatch.chdir(tmp_path)
    registry = MLflowHook()
    registry.url = f"sqlite:///{tmp_path}/mlflow.db"
    assert stages.registry_stage(registry) == counts(0, 0)
    client = registry.get_conn()
    client.create_registered_model("demand")
    for _ in range(2):
        client.create_model_version("demand", source=f"file:{tmp_path}")
    registry.set_alias("demand", CHAMPION, "2")
    assert stages.registry_stage(registry) == counts(2, 1)


def test_no_table_of_the_shop_is_left_out():
    text = f"{playback_statement('count_rows').decode()}\n"  # a statement is read without the end of its last line
    assert [
        name
        for name in TABLES
        if f"SELECT '{name}' AS table_name, COUNT(*) AS row_count FROM sales.{name}\n" not in text
    ] == []
