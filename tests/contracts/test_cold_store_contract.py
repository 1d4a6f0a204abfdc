"""What the code relies on of a cold store, whichever of the two answers."""

import math
from datetime import date, datetime
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfcast.cold_store import unloaded
from shelfcast.errors import ConfigurationError, PostConditionFailed
from shelfcast.serving.vintage import NUMBERS, write_piece

TABLE = "RAW.CONTRACT"
TEXTS = ["it's", '"so"', "50 % of %(text)s", ":text", "a\\b\nc\td", "Käse 奶酪 🧀", "", "NULL", None]


def create(store, *definitions):
    """An empty table with the columns of the log behind those given."""
    store.run("cold_store/create_schema", schema="RAW")
    store.run("cold_store/create_landed", table=TABLE, definitions=definitions)


def load(store, folder, columns, *, place="here", file="part-0.parquet"):
    """Loads columns of values, each with its Arrow type."""
    folder.mkdir(exist_ok=True)
    arrays = {name: pa.array(values, type_) for name, (type_, values) in columns.items()}
    pq.write_table(pa.table(arrays), folder / file)
    return store.load_parquet(folder, table=TABLE, batch_id=place)


def rows(store, *, order="number"):
    return store.fetch("contract/rows", table=TABLE).sort_values(order, ignore_index=True)


def plain(value):
    """A value as the code takes it: dates and moments through pandas, numbers through float, nothing as `None`."""
    if pd.isna(value):
        return None
    if isinstance(value, (date, pd.Timestamp)):
        return pd.Timestamp(value).to_pydatetime()
    return float(value) if isinstance(value, Decimal) else value


MOMENTS = [datetime(1969, 12, 31, 23, 59, 59, 1), datetime(2025, 3, 30, 2, 30, 0, 123456), datetime(2199, 1, 1), None]
DAYS = [date(1969, 12, 31), date(2024, 2, 29), date(2199, 12, 31), None]
TYPES = {
    "DATE": (pa.date32(), DAYS, [day and datetime(day.year, day.month, day.day) for day in DAYS]),
    "TIMESTAMP": (pa.timestamp("us"), MOMENTS, MOMENTS),
    "NUMBER(14,2)": (
        pa.decimal128(14, 2),
        [Decimal("999999999999.99"), Decimal("-0.01"), Decimal("2.50"), None],
        [999999999999.99, -0.01, 2.5, None],
    ),
    "DOUBLE": (pa.float64(), [0.1 + 0.2, -1e300, 5e-324, None], [0.1 + 0.2, -1e300, 5e-324, None]),
    "BIGINT": (pa.int64(), [2**53 + 1, -(2**62), 0, 7], [2**53 + 1, -(2**62), 0, 7]),
    "BOOLEAN": (pa.bool_(), [True, False, None, True], [True, False, None, True]),
    "VARCHAR": (pa.string(), TEXTS, TEXTS),
}


@pytest.mark.parametrize("name", TYPES)
def test_each_type_comes_back_as_it_was_loaded(store, tmp_path, name):
    type_, values, expected = TYPES[name]
    create(store, "number BIGINT", f"found {name}")
    numbers = list(range(len(values)))
    assert load(store, tmp_path, {"number": (pa.int64(), numbers), "found": (type_, values)}) == len(values)
    assert [plain(value) for value in rows(store)["found"]] == expected


def test_what_is_not_a_number_is_not_missing(store, tmp_path):
    create(store, "number BIGINT", "found DOUBLE")
    values = [math.nan, None, 1.0, math.nan]
    load(store, tmp_path, {"number": (pa.int64(), [0, 1, 2, 3]), "found": (pa.float64(), values)})
    counted = store.fetch("contract/nulls", table=TABLE, entity="found").iloc[0]
    assert (int(counted["nulls"]), int(counted["nans"])) == (1, 2)
    assert rows(store)["found"].isna().tolist() == [True, True, False, True]


def test_an_empty_result_keeps_its_columns(store):
    create(store, "number BIGINT", "found DATE", "text VARCHAR")
    found = store.fetch("contract/rows", table=TABLE)
    assert found.empty
    assert list(found.columns[:3]) == ["number", "found", "text"]


def fill(store, folder, count):
    """Rows of every type, in order, with nothing known of some."""
    create(store, "number BIGINT", *(f"c{position} {name}" for position, name in enumerate(TYPES)))
    columns = {f"c{position}": (type_, [values[row % len(values)] for row in range(count)])
               for position, (type_, values, _) in enumerate(TYPES.values())}  # fmt: skip
    load(store, folder, {"number": (pa.int64(), list(range(count))), **columns})


def plain_rows(frames):
    return [tuple(map(plain, row)) for frame in frames for row in frame.itertuples(index=False)]


@pytest.mark.parametrize(("count", "sizes"), [(8, [3, 3, 2]), (6, [3, 3]), (1, [1]), (0, [])])
def test_batches_are_the_rows_of_a_statement_in_order_and_in_pieces_of_the_size_asked_for(
    store, tmp_path, count, sizes
):
    fill(store, tmp_path, count)
    whole = store.fetch("contract/in_order", {"least": 0}, table=TABLE)
    batches = list(store.batches("contract/in_order", {"least": 0}, rows=3, table=TABLE))
    assert [len(batch) for batch in batches] == sizes
    assert [list(batch.columns) for batch in batches] == [list(whole.columns)] * len(sizes)
    assert plain_rows(batches) == plain_rows([whole])
    assert len(whole) == count


def test_batches_may_be_larger_than_what_the_server_sends_at_a_time(store, tmp_path):
    """Of a result of more than 8 MiB the emulator sends a thousand rows, and the rest when they are asked for."""
    create(store, "number BIGINT", "text VARCHAR")
    texts = [f"{number:0500d}" for number in range(20_000)]
    load(store, tmp_path, {"number": (pa.int64(), list(range(20_000))), "text": (pa.string(), texts)})
    batches = list(store.batches("contract/in_order", {"least": 0}, rows=7_000, table=TABLE))
    assert [len(batch) for batch in batches] == [7_000, 7_000, 6_000]
    assert [text for batch in batches for text in batch["text"]] == texts


def test_other_statements_run_while_batches_are_read(store, tmp_path):
    fill(store, tmp_path, 8)
    one, other = (store.batches("contract/in_order", {"least": least}, rows=3, table=TABLE) for least in (0, 4))
    assert [next(one)["number"].tolist(), next(other)["number"].tolist()] == [[0, 1, 2], [4, 5, 6]]
    assert store.run("contract/delete", {"number": 7}, table=TABLE) == 1
    assert next(one)["number"].tolist() == [3, 4, 5]
    other.close()
    assert [batch["number"].tolist() for batch in one] == [[6, 7]]


@pytest.mark.parametrize("text", TEXTS[:-1])
def test_values_are_bound_and_come_back(store, text):
    moment = datetime(2025, 3, 30, 2, 30, 0, 123456)
    bound = {"text": text, "whole": 2**53 + 1, "fraction": 0.1, "is_true": True, "nothing": None}
    bound |= {"day": date(2025, 3, 30), "moment": moment, "not_asked_for": 1}
    found = store.fetch("contract/values", bound).iloc[0]
    assert (found["text"], int(found["whole"]), float(found["fraction"])) == (text, 2**53 + 1, 0.1)
    assert bool(found["is_true"]) is True
    assert bool(found["is_same"]) is True
    assert (plain(found["day"]), plain(found["moment"])) == (datetime(2025, 3, 30), moment)
    assert (plain(found["nothing"]), found["colon"]) == (None, "a:b")


@pytest.mark.parametrize("text", TEXTS[:-1])
def test_a_text_is_found_by_its_bound_value(store, tmp_path, text):
    create(store, "number BIGINT", "text VARCHAR")
    load(store, tmp_path, {"number": (pa.int64(), list(range(len(TEXTS)))), "text": (pa.string(), TEXTS)})
    found = store.fetch("contract/found", {"text": text}, table=TABLE)
    assert [int(number) for number in found["number"]] == [TEXTS.index(text)]


def test_a_value_that_is_not_given_is_refused(store):
    create(store, "number BIGINT", "text VARCHAR")
    with pytest.raises(KeyError, match="text"):
        store.fetch("contract/found", {"other": 1}, table=TABLE)


def test_a_statement_answers_the_rows_it_changed(store):
    create(store, "number BIGINT", "text VARCHAR")
    changed = [
        store.run(f"contract/{name}", {"number": number, "text": "t"}, table=TABLE)
        for name, number in (("insert", 1), ("update", 2), ("update", 9), ("merge", 7), ("delete", 2), ("delete", 2))
    ]
    assert changed == [2, 1, 0, 3, 2, 0]
    assert rows(store)["number"].tolist() == [1]


def test_columns_are_matched_by_name_and_those_not_in_the_files_are_missing(store, tmp_path):
    create(store, "number BIGINT", "text VARCHAR", "found DOUBLE")
    load(store, tmp_path, {"text": (pa.string(), ["a"]), "NUMBER": (pa.int64(), [7])})
    found = rows(store).iloc[0]
    assert (found["number"], found["text"], plain(found["found"])) == (7, "a", None)


def test_the_same_place_loaded_twice_loads_twice_the_same_rows(store, tmp_path):
    """So a table that is made anew before each load holds the same after the second one."""
    for _ in range(2):
        create(store, "number BIGINT")
        assert load(store, tmp_path, {"number": (pa.int64(), [1, 2])}) == 2
        assert rows(store)["number"].tolist() == [1, 2]
    assert load(store, tmp_path, {"number": (pa.int64(), [1, 2])}) == 2
    assert rows(store)["number"].tolist() == [1, 1, 2, 2]


def test_all_files_of_a_folder_are_loaded_and_those_below_it_are_not(store, tmp_path):
    create(store, "number BIGINT")
    load(store, tmp_path / "below", {"number": (pa.int64(), [9])}, place="below")
    load(store, tmp_path, {"number": (pa.int64(), [1])}, place="first")
    create(store, "number BIGINT")
    assert load(store, tmp_path, {"number": (pa.int64(), [2, 3])}, place="both", file="part-1.parquet") == 3
    assert rows(store)["number"].tolist() == [1, 2, 3]


def test_a_vintage_is_loaded_from_files_of_forecasts_only_and_of_reasons_only(store, tmp_path):
    """Each file says the same of its columns, though it may have nothing to tell one by."""
    day = date(2025, 6, 30)
    rows = pd.DataFrame({"series_id": ["a@1", "b@1", "c@2"], "sales_date": date(2025, 7, 1), "horizon_days": 1})
    rows = rows.assign(**dict.fromkeys(("item_id", "store_id", "release_id", "generation", "run_id"), "x"))
    rows = rows.assign(business_date=day, release_cutoff=day, reason_code=[None, None, "no_history"])
    rows = rows.assign(**{name: [1.5, 0.0, None] for name in NUMBERS})
    for number, piece in enumerate((rows[:1], rows[1:2], rows[2:])):
        write_piece(piece, tmp_path, number)
    store.run("cold_store/create_schema", schema="FORECASTS")
    store.run("serving/create_ledger")
    store.run("serving/create_ledger_draft")
    assert store.load_parquet(tmp_path, table="FORECASTS.LEDGER_DRAFT", batch_id="vintage") == 3
    store.run("serving/swap_vintage", {"business_date": day})
    counted = store.fetch("serving/count_vintage", {"business_date": day}).iloc[0]
    assert [int(counted[name]) for name in ("forecasts", "reasons", "row_count")] == [2, 1, 3]


def test_a_place_is_one_tables_own(store, tmp_path):
    """Two tables of one batch are loaded from places of their own, whatever their files are called."""
    store.run("cold_store/create_schema", schema="RAW")
    for table in ("RAW.CONTRACT_ONE", "RAW.CONTRACT_TWO"):
        store.run("cold_store/create_landed", table=table, definitions=["number BIGINT"])
        folder = tmp_path / table
        folder.mkdir()
        number = 1 if table.endswith("ONE") else 2
        pq.write_table(pa.table({"number": [number]}), folder / f"{number}.parquet")
        assert store.load_parquet(folder, table=table, batch_id="same") == 1


def test_a_statement_that_fails_says_so_and_the_next_one_runs(store):
    with pytest.raises(Exception, match=r"(?i)not_there"):
        store.fetch("contract/broken")
    create(store, "number BIGINT")
    assert store.run("contract/delete", {"number": 0}, table=TABLE) == 0


def swap(store, other):
    """Replaces all rows by the two from 7 on; returns how many the other connection finds in between."""
    store.run("contract/delete", {"number": 0}, table=TABLE)
    found = len(other.fetch("contract/rows", table=TABLE))
    store.run("contract/insert", {"number": 7, "text": "b"}, table=TABLE)
    return found


@pytest.fixture
def two_rows(store):
    create(store, "number BIGINT", "text VARCHAR")
    store.run("contract/insert", {"number": 1, "text": "a"}, table=TABLE)


@pytest.mark.usefixtures("two_rows")
def test_others_find_what_was_there_until_a_transaction_ends(store, other):
    with store.transaction():
        assert swap(store, other) == 2
        assert rows(other)["number"].tolist() == [1, 2]
    assert rows(other)["number"].tolist() == rows(store)["number"].tolist() == [7, 8]


@pytest.mark.usefixtures("two_rows")
def test_without_a_transaction_others_find_nothing_between_two_statements(store, other):
    """The control of the one above."""
    assert swap(store, other) == 0


def swap_and_fail(store, other, statement):
    with store.transaction():
        swap(store, other)
        if statement:
            store.fetch(statement)
        raise ValueError("not_there")


@pytest.mark.usefixtures("two_rows")
@pytest.mark.parametrize("statement", ["contract/broken", None], ids=["a statement", "the code between"])
def test_an_error_within_a_transaction_leaves_what_was_there(store, other, statement):
    with pytest.raises(Exception, match=r"(?i)not_there"):
        swap_and_fail(store, other, statement)
    assert rows(other)["number"].tolist() == rows(store)["number"].tolist() == [1, 2]
    with store.transaction():
        swap(store, other)
    assert rows(other)["number"].tolist() == [7, 8]


def begin_and_be_overtaken(gone, store):
    """Begins a swap and runs nothing until another one has ended."""
    with gone.transaction():
        gone.run("contract/delete", {"number": 0}, table=TABLE)
        with store.transaction():
            swap(store, store)
        gone.run("contract/insert", {"number": 3, "text": "c"}, table=TABLE)


@pytest.mark.integration
def test_a_transaction_whose_task_is_gone_does_not_keep_the_next_one_waiting(snowflake_store):
    """As Snowflake has it; the task that is gone after all cannot go on in the middle."""
    create(snowflake_store, "number BIGINT", "text VARCHAR")
    snowflake_store.run("contract/insert", {"number": 1, "text": "a"}, table=TABLE)
    with type(snowflake_store)() as gone:
        with pytest.raises(Exception, match="was rolled back: it ran nothing for 10 s"):
            begin_and_be_overtaken(gone, snowflake_store)
        assert rows(gone)["number"].tolist() == [7, 8]


def read(folder, *, rows=2):
    """What was unloaded, as one table."""
    return pa.concat_tables(unloaded.pieces(folder, rows=rows))


def test_what_is_unloaded_is_what_is_fetched(store, tmp_path):
    """Values, names, order and kinds of numbers, with what is missing at every place."""
    columns = {name.partition("(")[0].lower(): (type_, values) for name, (type_, values, _) in TYPES.items()}
    columns = {name: (type_, values[:4]) for name, (type_, values) in columns.items()}
    create(store, *(f"{name.partition('(')[0]} {name}" for name in TYPES))
    load(store, tmp_path, columns, place="unloaded")
    (tmp_path / "out").mkdir()
    assert (
        store.unload("contract/largest_first", {"oldest": -(2**62)}, tmp_path / "out", table=TABLE, entity="bigint")
        == 4
    )
    asked = ("contract/largest_first", {"oldest": -(2**62)})
    fetched, found = store.fetch(*asked, table=TABLE, entity="bigint"), read(tmp_path / "out")
    assert found.column_names == list(fetched.columns)
    assert found["bigint"].to_pylist() == [2**53 + 1, 7, 0, -(2**62)]
    for name in columns:
        assert [plain(value) for value in found[name].to_pylist()] == [plain(value) for value in fetched[name]], name
    kinds = {name: str(found.schema.field(name).type) for name in columns}
    assert kinds == {
        "date": "date32[day]",
        "timestamp": "timestamp[us]",
        "number": "double",
        "double": "double",
        "bigint": "int64",
        "boolean": "bool",
        "varchar": "string",
    }


def test_many_rows_are_unloaded_in_the_order_of_the_statement(store, tmp_path):
    numbers = [number * 7919 % 300_007 for number in range(300_007)]
    create(store, "number BIGINT", "text VARCHAR")
    load(store, tmp_path, {"number": (pa.int64(), numbers), "text": (pa.string(), [str(n) for n in numbers])})
    (tmp_path / "out").mkdir()
    assert (
        store.unload("contract/largest_first", {"oldest": 7}, tmp_path / "out", table=TABLE, entity="number") == 300_000
    )
    pieces = list(unloaded.pieces(tmp_path / "out", rows=70_000))
    assert [piece.num_rows for piece in pieces] == [70_000, 70_000, 70_000, 70_000, 20_000]
    found = pa.concat_tables(pieces)
    assert found["number"].to_pylist() == list(range(300_006, 6, -1))
    assert found["text"].to_pylist() == [str(number) for number in range(300_006, 6, -1)]


def test_of_no_rows_no_file_is_unloaded(store, tmp_path):
    create(store, "number BIGINT")
    assert store.unload("contract/rows", None, tmp_path, table=TABLE) == 0
    assert list(tmp_path.iterdir()) == list(unloaded.pieces(tmp_path, rows=2)) == []


def test_a_statement_that_cannot_be_unloaded_says_so_and_the_next_one_runs(store, tmp_path):
    with pytest.raises(Exception, match=r"(?i)not_there"):
        store.unload("contract/broken", None, tmp_path)
    create(store, "number BIGINT")
    assert store.unload("contract/rows", None, tmp_path, table=TABLE) == 0


@pytest.mark.integration
def test_a_folder_that_holds_other_rows_is_no_place_to_unload_to(snowflake_store, tmp_path):
    create(snowflake_store, "number BIGINT")
    load(snowflake_store, tmp_path, {"number": (pa.int64(), [1, 2])})
    with pytest.raises(
        PostConditionFailed, match=r"4 rows of sql/contract/rows\.sql were downloaded, Snowflake unloaded 2"
    ):
        snowflake_store.unload("contract/rows", None, tmp_path, table=TABLE)
    odd = tmp_path / "it's"
    odd.mkdir()
    with pytest.raises(ConfigurationError, match="its name holds one of"):
        snowflake_store.unload("contract/rows", None, odd, table=TABLE)
