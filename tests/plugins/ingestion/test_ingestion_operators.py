"""What the operators of ingestion answer, skip and refuse; the drain on a fake of the change log's hook."""

import json
from pathlib import Path

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from shelfcast.errors import ChangeLogLost, ConfigurationError, SourceError, SourceUnavailable
from shelfcast.ingestion.batch import Batch
from shelfcast.ingestion.change_files import ChangeFile, ChangeFolder
from shelfcast_provider.ingestion import debezium_hook
from shelfcast_provider.ingestion.check_batch_operator import CheckBatchOperator
from shelfcast_provider.ingestion.debezium_hook import Drained
from shelfcast_provider.ingestion.drain_operator import DrainChangeLogOperator


class FakeChangeLog:
    """The hook as the operator uses it: writes the changes that wait as one file of the next drain."""

    def __init__(self):
        self.changes = 0
        self.failure = None
        self.asked = {}

    def __call__(self, connection_id):
        self.asked["connection_id"] = connection_id
        return self

    def drain(self, folder, *, loaded, take_snapshot):
        self.asked |= {"loaded": loaded, "take_snapshot": take_snapshot}
        if self.failure:
            raise self.failure
        is_new = take_snapshot or not folder.generations()
        generation = folder.begin_generation() if is_new else folder.generations()[-1]
        drain = folder.next_drain(generation, after=loaded[1] if loaded[0] == generation else 0)
        if self.changes:
            name = ChangeFile(drain=drain, from_position=0, part=0).name
            (folder.generation_folder(generation) / name).touch()
        folder.mark_complete(generation)
        return Drained(generation=generation, drain=drain, changes=self.changes, files=int(self.changes > 0))


@pytest.fixture
def log(monkeypatch, tmp_path):
    made = FakeChangeLog()
    monkeypatch.setattr(debezium_hook, "DebeziumHook", made)
    monkeypatch.setenv("SHELFCAST_LANDING", str(tmp_path / "landing"))
    monkeypatch.setenv("SHELFCAST_ARTIFACTS", str(tmp_path / "artifacts"))
    return made


def drain(generation=0, number=0, **about):
    loaded = {"generation": generation, "drain": number}
    return DrainChangeLogOperator(task_id="drain", loaded=loaded, **about).execute({})


def test_a_drain_answers_where_it_is_and_what_is_loaded_before_it(log):
    log.changes = 5
    assert drain() == {"generation": 1, "drain": 1, "after_drain": 0, "changes": 5}
    assert drain(1, 1) == {"generation": 1, "drain": 2, "after_drain": 1, "changes": 5}
    assert log.asked == {"connection_id": "shop_database", "loaded": (1, 1), "take_snapshot": False}


def test_a_shop_without_changes_is_skipped(log):
    log.changes = 5
    drain()
    log.changes = 0
    with pytest.raises(AirflowSkipException, match="Nothing was changed"):
        drain(1, 1)


def test_without_changes_too_what_an_earlier_drain_left_is_loaded(log):
    """The run behind that drain failed: its files wait."""
    log.changes = 5
    drain()
    log.changes = 0
    assert drain() == {"generation": 1, "drain": 2, "after_drain": 0, "changes": 0}


@pytest.mark.parametrize(
    ("asked", "generation", "after"), [("True", 2, 0), ("true", 2, 0), (True, 2, 0), ("False", 1, 7)]
)
def test_a_new_snapshot_begins_with_nothing_loaded_of_it(log, asked, generation, after):
    log.changes = 5
    drain()
    answer = drain(1, 7, take_snapshot=asked)
    assert (answer["generation"], answer["after_drain"]) == (generation, after)


@pytest.mark.parametrize("failure", [ChangeLogLost("the slot is gone"), ConfigurationError("no such table")])
def test_what_a_person_must_mend_is_not_tried_again(log, failure):
    log.failure = failure
    with pytest.raises(AirflowFailException, match=str(failure)):
        drain()


@pytest.mark.parametrize("failure", [SourceUnavailable("no answer"), SourceError("the engine stopped")])
def test_what_may_pass_is_tried_again(log, failure):
    log.failure = failure
    with pytest.raises(type(failure), match=str(failure)):
        drain()


@pytest.mark.parametrize("operator", [DrainChangeLogOperator, CheckBatchOperator])
def test_what_a_run_decides_is_templated(operator):
    expected = {DrainChangeLogOperator: {"loaded", "take_snapshot"}, CheckBatchOperator: {"export"}}
    assert set(operator.template_fields) == expected[operator]


def export(folder, amounts):
    rows = pd.DataFrame({"order_id": range(1, len(amounts) + 1), "order_amount": amounts})
    rows = rows.assign(op="c", position=5, position_ordinal=rows["order_id"], generation=1, batch_id="b1")
    (folder / "orders").mkdir(parents=True)
    rows.to_parquet(folder / "orders" / "part.parquet")
    counts = {"rows": {"orders": len(rows)}, "quarantined": {"orders": 3}}
    Batch(batch_id="b1", generation=1, first_drain=1, last_drain=1, **counts).save(folder)
    return CheckBatchOperator(task_id="check", export=str(folder)).execute({})


def test_a_sound_batch_is_checked_and_has_a_report(log, tmp_path):
    answer = export(tmp_path / "export", [1.0, 2.0])
    assert answer["expectations"] >= 5
    assert (answer["rows"], answer["quarantined"]) == (2, 3)
    assert answer["report"] == str(tmp_path / "artifacts" / "reports" / "batches" / "b1.json")
    assert json.loads(Path(answer["report"]).read_text())["batch_id"] == "b1"


def test_a_batch_that_is_not_what_it_must_be_fails_for_good(log, tmp_path):
    with pytest.raises(AirflowFailException, match="b1"):
        export(tmp_path / "export", [1.0, -2.0])


def test_the_landing_area_is_that_of_the_settings(log, tmp_path):
    log.changes = 5
    drain()
    assert ChangeFolder(tmp_path / "landing").generations() == [1]
