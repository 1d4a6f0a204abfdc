"""Change files, row checks, batches and Great Expectations."""

import json
from dataclasses import replace
from datetime import date

import duckdb
import numpy as np
import pandas as pd
import pytest

from shelfcast.errors import BatchRefused, ChangeLogLost, IngestionError, PostConditionFailed
from shelfcast.ingestion.batch import Batch, changes_written, check_landed, drains
from shelfcast.ingestion.change_files import ChangeFile, ChangeFolder
from shelfcast.ingestion.check_batch import check
from shelfcast.ingestion.generations import ChangeLogState, generation_to_go_on, lost_slot
from shelfcast.ingestion.row_checks import cast, in_duckdb, reason
from shelfcast.ingestion.spark_job import landing_job
from shelfcast.sources.shop_schema import NUMBER, TABLES


def write(folder, generation, *names):
    place = folder.generation_folder(generation)
    place.mkdir(parents=True, exist_ok=True)
    for drain, part in names:
        (place / ChangeFile(drain=drain, from_position=7, part=part).name).touch()


def test_a_file_name_is_read_as_it_was_written():
    file = ChangeFile(drain=3, from_position=123, part=2)
    assert ChangeFile.parse(file.name) == file
    for changes in (0, 1200, None):
        assert ChangeFile.parse(replace(file, changes=changes).name).changes == changes
    with pytest.raises(IngestionError, match="is not a change file"):
        ChangeFile.parse("drain-1.jsonl.gz")


def test_only_a_complete_generation_counts(tmp_path):
    folder = ChangeFolder(tmp_path)
    assert folder.last_complete() is None
    assert [folder.begin_generation(), folder.begin_generation()] == [1, 2]
    folder.mark_complete(1)
    folder.mark_complete(1)
    assert folder.generations() == [1, 2]
    assert folder.last_complete() == 1
    assert not folder.is_complete(2)


def test_drains_are_numbered_on_and_waiting_ones_are_those_not_loaded(tmp_path):
    folder = ChangeFolder(tmp_path)
    write(folder, 1, (2, 0), (1, 0), (1, 1))
    assert [(file.drain, file.part) for file in folder.files(1)] == [(1, 0), (1, 1), (2, 0)]
    assert folder.next_drain(1) == 3
    assert folder.next_drain(9) == 1
    assert folder.next_drain(1, after=7) == 8
    assert [file.drain for file in folder.waiting(1, after_drain=1)] == [2]
    assert drains(tmp_path, 1, after_drain=0) == (1, 2)
    with pytest.raises(IngestionError, match="no change files after drain 2"):
        drains(tmp_path, 1, after_drain=2)


def test_a_drain_wrote_what_its_files_hold_unless_one_was_not_counted(tmp_path):
    place = ChangeFolder(tmp_path).generation_folder(1)
    place.mkdir(parents=True)
    for drain, part, changes in ((1, 0, 9), (2, 0, 5), (2, 1, 0), (2, 2, 7), (3, 0, 4), (3, 1, None), (4, 0, 0)):
        (place / ChangeFile(drain=drain, from_position=7, part=part, changes=changes).name).touch()
    assert changes_written(tmp_path, 1, after_drain=1) == {2: 12, 4: 0}


def test_a_log_that_holds_more_or_less_than_was_read_is_refused_with_both_numbers(tmp_path):
    check_landed({2: 12, 4: 0}, {2: 12, 3: 5}, checkpoint=tmp_path)
    wrong = r"drain 2 wrote 12 changes, 11 have landed, drain 3 wrote 5 changes, 0 have .*Delete the folder .*take_snap"
    with pytest.raises(PostConditionFailed, match=wrong):
        check_landed({2: 12, 3: 5, 4: 0}, {2: 11}, checkpoint=tmp_path)
    with pytest.raises(PostConditionFailed, match="drain 2 wrote 12 changes, 24 have landed"):
        check_landed({2: 12}, {2: 24}, checkpoint=tmp_path)


def test_what_a_killed_drain_left_is_removed(tmp_path):
    folder = ChangeFolder(tmp_path)
    write(folder, 1, (1, 0))
    (folder.generation_folder(1) / "drain-000002-from-7-part-00000.jsonl.gz.part").touch()
    folder.discard_unfinished(1)
    assert len(list(folder.generation_folder(1).iterdir())) == 1


def log(**changes):
    return ChangeLogState(**{"slot": "s", "has_slot": True, "publication": "p"} | changes)


def test_a_drain_goes_on_in_a_complete_generation_only(tmp_path):
    folder = ChangeFolder(tmp_path)
    assert generation_to_go_on(folder, log(has_slot=False), loaded_generation=0, take_snapshot=False) is None
    folder.begin_generation()
    assert generation_to_go_on(folder, log(), loaded_generation=0, take_snapshot=False) is None
    folder.mark_complete(1)
    assert generation_to_go_on(folder, log(), loaded_generation=0, take_snapshot=False) == 1
    assert generation_to_go_on(folder, log(), loaded_generation=1, take_snapshot=False) == 1
    assert generation_to_go_on(folder, log(has_slot=False), loaded_generation=1, take_snapshot=True) is None


@pytest.mark.parametrize(
    ("changes", "loaded", "named"),
    [
        ({"has_slot": False}, 1, "replication slot s is gone"),
        (
            {"lost": lost_slot("s", "wal_removed", "1MB")},
            1,
            r"lost \(wal_removed\).*max_slot_wal_keep_size \(now 1MB\)",
        ),
        (
            {"lost": lost_slot("s", None, "64GB")},
            1,
            r"lost \(the server does not say why\).*max_slot_wal_keep_size \(now 64GB\)",
        ),
        (
            {"lost": lost_slot("s", "idle_timeout", "-1")},
            1,
            r"lost \(idle_timeout\).*Raise idle_replication_slot_timeout on",
        ),
        ({"unpublished": ("prices", "items")}, 1, "Publication p does not carry prices, items"),
        ({}, 2, "ends with generation 1, the cold store has loaded generation 2"),
    ],
)
def test_a_gap_is_said_and_not_stepped_over(tmp_path, changes, loaded, named):
    folder = ChangeFolder(tmp_path)
    folder.begin_generation()
    folder.mark_complete(1)
    with pytest.raises(ChangeLogLost, match=f"(?s){named}.*take_snapshot"):
        generation_to_go_on(folder, log(**changes), loaded_generation=loaded, take_snapshot=False)


def test_an_emptied_landing_area_begins_behind_what_is_loaded(tmp_path):
    folder = ChangeFolder(tmp_path)
    with pytest.raises(ChangeLogLost, match="emptied"):
        generation_to_go_on(folder, log(), loaded_generation=3, take_snapshot=False)
    assert folder.begin_generation(after=3) == 4


ORDER = {
    "order_id": "1",
    "customer_id": "2",
    "store_id": "S1",
    "ordered_at": "2024-01-01T10:00:00Z",
    "status": "completed",
    "order_amount": "12.50",
}


def answer(text, values=()):
    with duckdb.connect() as connection:
        return connection.execute(text, values).fetchall()[0][0]


def judged(table, op="c", **changes):
    """The reason that the expressions give for a row of text."""
    row = {name: ORDER.get(name) for name in TABLES[table].column_names} | changes
    texts = ", ".join(f"CAST(? AS VARCHAR) AS {name}" for name in row)
    text = f"SELECT {in_duckdb(reason(TABLES[table]))} FROM (SELECT '{op}' AS op, {texts})"
    return answer(text, list(row.values()))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"store_id": None}, "store_id: is missing"),
        ({"store_id": "S@1"}, "store_id: has @ in it"),
        ({"order_id": None}, "order_id: is missing"),
        ({"order_amount": "-1"}, "order_amount: is below 0"),
        ({"order_amount": "much"}, "order_amount: is no NUMERIC(14,2)"),
        ({"order_amount": "NaN"}, "order_amount: is no NUMERIC(14,2)"),
        ({"order_amount": "1.005"}, "order_amount: has more than 2 decimals"),
        ({"order_amount": "1.5000"}, None),
        ({"order_amount": "999999999999.99"}, None),
        ({"ordered_at": "yesterday"}, "ordered_at: is no TIMESTAMP"),
        ({"status": "lost"}, "status: is none of completed, cancelled, returned"),
        ({"status": None}, "status: is missing"),
    ],
)
def test_a_bad_row_has_a_reason(changes, expected):
    assert judged("orders", **changes) == expected


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        ("2.5", None),
        ("NaN", "quantity: is not finite"),
        ("Infinity", "quantity: is not finite"),
        ("-Infinity", "quantity: is not finite"),
        ("-1", "quantity: is below 0"),
        ("1000000000", None),
        ("1000000000.5", "quantity: is above 1000000000"),
        ("1e300", "quantity: is above 1000000000"),
    ],
)
def test_a_number_is_finite_and_within_its_bounds(quantity, expected):
    line = {"order_id": "1", "line_number": "1", "item_id": "I", "quantity": quantity, "unit_price": "1"}
    assert judged("order_lines", **line) == expected


PROMOTION = {
    "promotion_id": "1",
    "store_id": "S1",
    "item_id": "I",
    "starts_on": "2024-01-01Z",
    "ends_on": "2024-01-07Z",
    "discount": "0.1",
    "announced_at": "2024-01-01T00:00:00Z",
}
ITEM = {"item_id": "I", "category": "C", "introduced_on": "2024-01-01Z", "discontinued_on": None}
ENDLESS = ("+292278994-08-16Z", "-5877611-06-21Z")
BEGINNINGLESS = ("-292275055-05-16Z", "-5877611-06-22Z")


@pytest.mark.parametrize("text", ENDLESS)
def test_an_infinite_end_is_an_open_one(text):
    assert judged("promotions", **PROMOTION | {"ends_on": text}) is None
    assert judged("items", **ITEM | {"discontinued_on": text}) is None
    answered = [
        answer(f"SELECT {in_duckdb(cast(TABLES[table].column(name)))} FROM (SELECT ? AS {name})", [text])
        for table, name in (("promotions", "ends_on"), ("items", "discontinued_on"), ("stores", "closed_on"))
    ]
    assert answered == [date(9999, 12, 31), None, None]


@pytest.mark.parametrize("text", [*ENDLESS, *BEGINNINGLESS])
def test_a_span_that_begins_never_is_bad(text):
    assert judged("promotions", **PROMOTION | {"starts_on": text}) == "starts_on: is no DATE"
    assert judged("items", **ITEM | {"introduced_on": text}) == "introduced_on: is no DATE"


@pytest.mark.parametrize("text", BEGINNINGLESS)
def test_an_end_before_all_time_is_bad(text):
    assert judged("promotions", **PROMOTION | {"ends_on": text}) == "ends_on: is no DATE"
    assert judged("items", **ITEM | {"discontinued_on": text}) == "discontinued_on: is no DATE"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-290308-12-21T19:59:27.6Z", "ordered_at: is no TIMESTAMP"),
        ("+294247-01-10T04:00:25.2Z", "ordered_at: is no TIMESTAMP"),
        ("-0044-03-15T12:00:00Z", "ordered_at: is no TIMESTAMP"),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59.999999Z", None),
    ],
)
def test_an_event_happened_in_a_year_of_four_digits(text, expected):
    assert judged("orders", ordered_at=text) == expected


def test_what_the_log_does_not_hold_is_no_value():
    assert (
        judged("items", **ITEM | {"category": "__debezium_unavailable_value"}) == "category: is not in the change log"
    )
    assert judged("items", "d", **ITEM | {"category": "__debezium_unavailable_value"}) is None


def test_every_number_of_the_shop_has_an_upper_bound_far_within_what_a_vector_holds():
    numbers = [column for table in TABLES.values() for column in table.columns if column.type == NUMBER]
    assert [column.name for column in numbers if not (column.maximum or np.inf) <= 1e9] == []


def test_a_deleted_row_needs_its_key_only():
    nothing = dict.fromkeys(name for name in ORDER if name != "order_id")
    assert judged("orders", "d", **nothing) is None
    assert judged("orders", "d", order_id=None) == "order_id: is missing"


def test_text_becomes_what_the_column_holds():
    column = TABLES["orders"].column("ordered_at")
    text = f"SELECT {in_duckdb(cast(column))} FROM (SELECT '2024-01-01T10:00:00Z' AS ordered_at)"
    assert str(answer(text)) == "2024-01-01 10:00:00"
    assert cast(column) == "try_cast(rtrim('Z', ordered_at) AS TIMESTAMP_NTZ)"
    assert cast(TABLES["orders"].column("store_id")) == "store_id"


BATCH = Batch(batch_id="b1", generation=1, first_drain=1, last_drain=2, rows={"orders": 2}, checksum=5)


def test_a_batch_is_read_as_it_was_saved(tmp_path):
    with pytest.raises(IngestionError, match="has not finished"):
        Batch.read(tmp_path)
    BATCH.save(tmp_path)
    assert replace(Batch.read(tmp_path), checksum=5) == BATCH
    assert BATCH.rows_read == 2


def test_files_that_changed_since_they_were_sealed_are_refused(tmp_path):
    folder = export(tmp_path / "export")
    (file,) = folder.rglob("*.parquet")
    file.rename(file.with_name("other.parquet"))
    assert Batch.read(folder).checksum > 0  # the name does not matter
    other = export(tmp_path / "more", order_id=[1, 3])
    (other / "orders" / "part.parquet").rename(folder / "orders" / "other.parquet")
    with pytest.raises(IngestionError, match="changed, lost or mixed"):
        Batch.read(folder)


def batch_of_bad(*, keys, bad_keys, rows=0, bad_rows=0):
    about = {"batch_id": "b", "generation": 1, "first_drain": 1, "last_drain": 1}
    counts = {"rows": rows, "quarantined": bad_rows, "keys": keys, "bad_keys": bad_keys}
    return Batch(**about, **{name: {"orders": count} for name, count in counts.items()})


def test_a_batch_is_refused_for_the_keys_that_end_with_a_bad_row():
    batch_of_bad(keys=100, bad_keys=5).refuse_if_bad()
    with pytest.raises(BatchRefused, match=r"6 of the 100 keys .*orders 6"):
        batch_of_bad(keys=100, bad_keys=6).refuse_if_bad()


def test_versions_that_were_mended_since_are_no_reason_to_refuse():
    batch_of_bad(keys=100, bad_keys=0, rows=100, bad_rows=90).refuse_if_bad()
    with pytest.raises(BatchRefused):  # nor do many good versions make a bad end good
        batch_of_bad(keys=100, bad_keys=100, rows=9000, bad_rows=100).refuse_if_bad()


def test_the_landing_job_is_told_by_name():
    job = landing_job(landing="l", generation="1", after_drain="0", batch_id="b", export="e")
    told = ("--landing", "l", "--generation", "1", "--after-drain", "0", "--batch-id", "b", "--export", "e")
    assert job.arguments == told
    assert (job.inputs, job.outputs, job.written_last) == (("l",), ("l", "e"), "e/batch.json")


def export(folder, **changes):
    rows = pd.DataFrame(
        {
            "order_id": [1, 2],
            "order_amount": [1.0, 2.0],
            "op": ["c", "u"],
            "position": [5, 6],
            "position_ordinal": [5, 6],
            "generation": [1, 1],
            "batch_id": ["b1", "b1"],
        }
    ).assign(**changes)
    (folder / "orders").mkdir(parents=True)
    rows.to_parquet(folder / "orders" / "part.parquet")
    BATCH.save(folder)
    return folder


def test_a_sound_batch_passes_every_expectation(tmp_path):
    report = check(export(tmp_path / "export"), tmp_path / "reports")
    assert report.checked >= 5
    assert report.failed == []
    assert json.loads(report.path.read_text())["batch_id"] == "b1"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"order_id": [1, 1], "position_ordinal": [5, 5]}, "expect_compound_columns_to_be_unique"),
        ({"order_id": [1, None]}, r"expect_column_values_to_not_be_null\(order_id\)"),
        ({"order_amount": [1.0, -2.0]}, r"expect_column_values_to_be_between\(order_amount\)"),
        ({"op": ["c", "x"]}, r"expect_column_values_to_be_in_set\(op\)"),
    ],
)
def test_an_expectation_that_is_not_met_refuses_the_batch(tmp_path, changes, named):
    with pytest.raises(BatchRefused, match=named):
        check(export(tmp_path / "export", **changes), tmp_path / "reports")


def test_bad_rows_do_not_stop_a_batch_before_they_are_in_quarantine(tmp_path):
    """Rows are judged one by one before; what waits in quarantine is none of the expectations' business."""
    folder = export(tmp_path / "export")
    (folder / "quarantine" / "orders").mkdir(parents=True)
    pd.DataFrame({"row_key": ["9"] * 50}).to_parquet(folder / "quarantine" / "orders" / "part.parquet")
    replace(BATCH, quarantined={"orders": 50}, keys={"orders": 52}, bad_keys={"orders": 50}).save(folder)
    assert check(folder, tmp_path / "reports").failed == []
