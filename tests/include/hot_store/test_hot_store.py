"""Vectors, keys, partitions and parity."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.errors import HotStoreError, PostConditionFailed
from shelfcast.hot_store.draft import Draft
from shelfcast.hot_store.generation import (
    describe,
    generation_name,
    generations_key,
    manifest_key,
    members_key,
    pointer_key,
    shard,
    vector_key,
)
from shelfcast.hot_store.generation_reader import GenerationReader
from shelfcast.hot_store.parity import check_parity
from shelfcast.hot_store.partition import Partition, packed, read_pieces
from shelfcast.hot_store.vector import pack, unpack
from shelfcast.model import declaration as declarations

FIELDS = ("a", "b", "c")
DAY = date(2025, 6, 30)
NARROW = declarations.load("demand").model_copy(
    update={"as_of_features": ("units_mean_7",), "ahead_covariates": ("on_promotion", "price"), "horizon_days": 2}
)


def one_value(numbers=(1.0, 2.0, np.nan)):
    return pack(np.array([numbers]), business_date=DAY, fields=FIELDS)[0]


@given(arrays(np.float32, (4, 3), elements=st.floats(width=32, allow_nan=True, allow_infinity=True)))
def test_what_is_packed_is_unpacked(numbers):
    for row, value in zip(numbers, pack(numbers, business_date=DAY, fields=FIELDS), strict=True):
        found = unpack(value, fields=FIELDS)
        assert found.business_date == DAY
        np.testing.assert_array_equal(found.numbers, row)


def test_rows_of_another_width_are_not_packed():
    with pytest.raises(HotStoreError, match="3 fields"):
        pack(np.ones((2, 4)), business_date=DAY, fields=FIELDS)


def test_a_value_of_other_fields_or_of_another_format_is_refused():
    value = one_value()
    assert unpack(value, fields=FIELDS).numbers.tolist()[:2] == [1.0, 2.0]
    for wrong, text in ((value[:-1], "27 bytes, 28 were expected"), (b"SCV1" + value[4:], "another format")):
        with pytest.raises(HotStoreError, match=text):
            unpack(wrong, fields=FIELDS)
    with pytest.raises(HotStoreError, match="another version of the model's fields"):
        unpack(value, fields=("a", "b", "other"))


@pytest.mark.parametrize("position", range(28))
@pytest.mark.parametrize("bit", [0, 7])
def test_whatever_byte_is_damaged_the_value_is_refused(position, bit):
    """The header too: a business date that is off by a day is as wrong as a number is."""
    value = bytearray(one_value())
    value[position] ^= 1 << bit
    with pytest.raises(HotStoreError, match="another format" if position < 4 else "damaged"):
        unpack(bytes(value), fields=FIELDS)


def test_keys_keep_a_store_together_and_generations_apart():
    assert shard("series_id", "milk@S001") == "S001"
    assert shard("customer_id", "42") == shard("customer_id", "42")
    key = vector_key("demand", "g1", "milk@S001", shard_name="S001")
    assert key == "fs:{S001}:demand:g1:milk@S001"
    assert generation_name(DAY, "run 1") != generation_name(DAY, "run 2")
    assert generation_name(DAY, "run 1").startswith("20250630-")
    kinds = {make("demand") for make in (pointer_key, generations_key)}
    kinds |= {make("demand", "g") for make in (manifest_key, members_key)}
    assert len(kinds) == 4
    assert {key.partition("{")[2].partition("}")[0] for key in kinds} == {"demand"}, "one slot, one transaction"


@pytest.fixture
def store():
    made = DuckDBStore()
    made.connection.execute(
        "CREATE TABLE FEATURES.DEMAND AS SELECT DATE '2025-06-30' AS business_date, s AS series_id, TRUE AS is_active, "
        "u AS units_mean_7 FROM (VALUES ('a@1', 1.5), ('b@1', NULL)) t(s, u)"
    )
    made.connection.execute(
        "CREATE TABLE FEATURES.DEMAND_AHEAD AS SELECT DATE '2025-06-30' AS business_date, s AS series_id, "
        "h AS horizon_days, h * 10.0 AS on_promotion, h * 100.0 AS price "
        "FROM (VALUES ('a@1'), ('b@1')) t(s), (VALUES (1), (2)) d(h)"
    )
    return made


def read_partition(store, declaration=NARROW, day=DAY):
    (partition,) = read_pieces(store, declaration, day)
    return partition


def test_a_partition_is_laid_out_as_the_vector_is(store):
    partition = read_partition(store)
    assert partition.entities == ["a@1", "b@1"]
    np.testing.assert_array_equal(
        partition.numbers, np.array([[1.5, 10, 20, 100, 200], [np.nan, 10, 20, 100, 200]], "f4")
    )


def test_a_missing_partition_or_day_ahead_is_refused(store):
    with pytest.raises(HotStoreError, match="no features"):
        read_partition(store, day=date(2025, 7, 1))
    store.connection.execute("DELETE FROM FEATURES.DEMAND_AHEAD WHERE series_id = 'b@1' AND horizon_days = 2")
    with pytest.raises(HotStoreError, match="3 rows of days ahead for 2 series"):
        read_partition(store)


def test_customers_have_no_days_ahead(store):
    store.connection.execute(
        "CREATE TABLE FEATURES.ORDER_TOTAL AS SELECT DATE '2025-06-30' AS business_date, 7 AS customer_id, "
        "12.5 AS total_spent, 2.0 AS purchase_count"
    )
    partition = read_partition(store, declarations.load("order_value"))
    assert partition.entities == ["7"]
    assert partition.numbers.tolist() == [[12.5, 2.0]]


@pytest.fixture
def many(store):
    """Seven series, each with numbers of its own."""
    store.connection.execute("DELETE FROM FEATURES.DEMAND")
    store.connection.execute("DELETE FROM FEATURES.DEMAND_AHEAD")
    series = "(SELECT i, 'i' || i || '@1' AS s FROM range(7) r(i))"
    store.connection.execute(f"INSERT INTO FEATURES.DEMAND SELECT DATE '2025-06-30', s, TRUE, i / 2 FROM {series}")
    days = f"{series}, (VALUES (1), (2)) d(h)"
    store.connection.execute(
        f"INSERT INTO FEATURES.DEMAND_AHEAD SELECT DATE '2025-06-30', s, h, i + h, i * h FROM {days}"
    )
    return store


@pytest.mark.parametrize(("size", "sizes"), [(3, [3, 3, 1]), (7, [7]), (1, [1] * 7)])
def test_pieces_are_the_partition_whatever_their_size(many, monkeypatch, size, sizes):
    whole = read_partition(many)
    assert len(np.unique(whole.numbers, axis=0)) == 7
    vectors = packed(many, NARROW, DAY)
    monkeypatch.setattr("shelfcast.hot_store.partition.PIECE_ENTITIES", size)
    pieces = list(read_pieces(many, NARROW, DAY))
    assert [len(piece.entities) for piece in pieces] == sizes
    assert [name for piece in pieces for name in piece.entities] == whole.entities
    np.testing.assert_array_equal(np.concatenate([piece.numbers for piece in pieces]), whole.numbers)
    assert list(packed(many, NARROW, DAY).items()) == list(vectors.items())


class Losing(DuckDBStore):
    """Loses the second batch of a statement."""

    lost = "hot_store/demand_vectors"

    def batches(self, name, *rest, **names):
        for number, batch in enumerate(super().batches(name, *rest, **names)):
            if name != self.lost or number != 1:
                yield batch


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("hot_store/demand_vectors", "days ahead of i6@1 to i6@1 are not 2 of each series: i3@1, i4@1, i5@1, i6@1"),
        (
            "hot_store/demand_ahead_vectors",
            "days ahead of i3@1 to i5@1 are not 2 of each series: i3@1, i4@1, i5@1, i6@1",
        ),
        ("hot_store/order_value_vectors", "4 of 7 vectors of order_value for 2025-06-30 came out of the cold store"),
    ],
)
def test_a_piece_that_is_lost_on_the_way_is_missed(many, monkeypatch, statement, says):
    monkeypatch.setattr("shelfcast.hot_store.partition.PIECE_ENTITIES", 3)
    many.connection.execute(
        "CREATE TABLE FEATURES.ORDER_TOTAL AS SELECT DATE '2025-06-30' AS business_date, i AS customer_id, "
        "12.5 AS total_spent, 2.0 AS purchase_count FROM range(7) r(i)"
    )
    losing = Losing()
    losing.connection, losing.lost = many.connection, statement
    model = declarations.load("order_value") if "order_value" in statement else NARROW
    with pytest.raises(HotStoreError, match=says):
        list(read_pieces(losing, model, DAY))


def test_an_entity_that_comes_twice_is_refused(many):
    many.connection.execute("INSERT INTO FEATURES.DEMAND SELECT * FROM FEATURES.DEMAND WHERE series_id = 'i3@1'")
    with pytest.raises(HotStoreError, match="8 rows of 7 different series_id for 2025-06-30"):
        list(read_pieces(many, NARROW, DAY))


def test_days_ahead_of_other_series_are_not_taken_for_theirs(many):
    """The counts alone would let them through."""
    many.connection.execute("UPDATE FEATURES.DEMAND_AHEAD SET series_id = 'other@1' WHERE series_id = 'i3@1'")
    with pytest.raises(HotStoreError, match=r"are not 2 of each series: i3@1, other@1\. Days of one series"):
        list(read_pieces(many, NARROW, DAY))


def test_a_draft_is_gone_through_as_often_as_one_likes(tmp_path):
    pieces = [{"a@1": b"\0\1", "Käse@1": b""}, {"b@1": b"xyz"}]
    draft = Draft(iter(pieces), tmp_path / "draft.parquet")
    for _ in range(2):
        assert list(draft) == pieces
        assert list(draft.values()) == [b"\0\1", b"", b"xyz"]


COLD = Partition(entities=["x", "y"], numbers=np.array([[1, 2, np.nan], [4, 5, 6]], "f4"))


def hot(numbers, day=DAY, names=("x", "y")):
    return dict(zip(names, pack(np.array(numbers), business_date=day, fields=FIELDS), strict=True))


def compare(found, *, cold=COLD, size=1):
    """Compares what a generation of `found` holds, some entities at a time."""
    day = unpack(next(iter(found.values())), fields=FIELDS).business_date
    manifest = describe(found.values(), model="demand", business_date=day, fields=FIELDS, run="a run")
    reader = GenerationReader(manifest, found, lambda names: [found[name] for name in names], remedy="Again.")
    starts = range(0, len(cold.entities), size)
    pieces = [Partition(entities=cold.entities[at : at + size], numbers=cold.numbers[at : at + size]) for at in starts]
    return check_parity(pieces, reader, fields=FIELDS, business_date=DAY, model="demand")


def test_equal_stores_are_at_parity():
    assert compare(hot([[1, 2, np.nan], [4, 5, 6]])) == 2


def test_a_difference_is_named_with_entity_field_and_both_values():
    with pytest.raises(PostConditionFailed, match=r"y\.b: hot 9\.0, cold 5\.0"):
        compare(hot([[1, 2, np.nan], [4, 9, 6]]))
    with pytest.raises(PostConditionFailed, match=r"x\.c: hot 0\.0, cold nan"):
        compare(hot([[1, 2, 0], [4, 5, 6]]))


def test_missing_extra_and_stale_entities_are_named():
    with pytest.raises(PostConditionFailed, match=r"lacks 1 entities \(y\) and holds 1 .*\(z\)"):
        compare(hot([[1, 2, np.nan], [4, 5, 6]], names=("x", "z")))
    with pytest.raises(PostConditionFailed, match="x is of 2025-06-29"):
        compare(hot([[1, 2, np.nan], [4, 5, 6]], day=date(2025, 6, 29)))


@pytest.mark.parametrize("size", [1, 3, 20])
def test_of_many_differences_ten_are_named_whatever_the_size_of_a_piece(size):
    names = [f"e{number:02d}" for number in range(20)]
    cold = Partition(entities=names, numbers=np.zeros((20, 3), "f4"))
    other = hot(np.ones((20, 3)), names=names)
    with pytest.raises(PostConditionFailed, match=r"60 values .*: e00\.a: .*e03\.a: hot 1\.0, cold 0\.0 and 50 more\."):
        compare(other, cold=cold, size=size)
    with pytest.raises(PostConditionFailed, match=r"lacks 10 entities \(e10, .*e19\) and holds 0"):
        compare(dict(list(hot(np.zeros((20, 3)), names=names).items())[:10]), cold=cold, size=size)


def test_a_damaged_generation_is_said_before_its_differences():
    found = hot([[1, 2, 3], [4, 5, 6]])
    manifest = describe(found.values(), model="demand", business_date=DAY, fields=FIELDS, run="a run")
    reader = GenerationReader(manifest, found, lambda names: [None for _ in names], remedy="Again.")
    with pytest.raises(HotStoreError, match=r"without a vector: x, y\. Again\."):
        check_parity([COLD], reader, fields=FIELDS, business_date=DAY, model="demand")
