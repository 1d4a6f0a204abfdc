"""Vectors, keys, partitions and parity."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shelfcast.cold_store.duckdb_store import DuckDBStore
from shelfcast.errors import HotStoreError, PostConditionFailed
from shelfcast.hot_store.generation import (
    generation_name,
    generations_key,
    manifest_key,
    members_key,
    pointer_key,
    shard,
    vector_key,
)
from shelfcast.hot_store.parity import check_parity
from shelfcast.hot_store.partition import Partition, read_partition
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


def test_a_partition_is_laid_out_as_the_vector_is(store):
    partition = read_partition(store, NARROW, DAY)
    assert partition.entities == ["a@1", "b@1"]
    np.testing.assert_array_equal(
        partition.numbers, np.array([[1.5, 10, 20, 100, 200], [np.nan, 10, 20, 100, 200]], "f4")
    )


def test_a_missing_partition_or_day_ahead_is_refused(store):
    with pytest.raises(HotStoreError, match="no features"):
        read_partition(store, NARROW, date(2025, 7, 1))
    store.connection.execute("DELETE FROM FEATURES.DEMAND_AHEAD WHERE series_id = 'b@1' AND horizon_days = 2")
    with pytest.raises(HotStoreError, match="3 rows of days ahead for 2 series"):
        read_partition(store, NARROW, DAY)


def test_customers_have_no_days_ahead(store):
    store.connection.execute(
        "CREATE TABLE FEATURES.ORDER_TOTAL AS SELECT DATE '2025-06-30' AS business_date, 7 AS customer_id, "
        "12.5 AS total_spent, 2.0 AS purchase_count"
    )
    partition = read_partition(store, declarations.load("order_value"), DAY)
    assert partition.entities == ["7"]
    assert partition.numbers.tolist() == [[12.5, 2.0]]


COLD = Partition(entities=["x", "y"], numbers=np.array([[1, 2, np.nan], [4, 5, 6]], "f4"))


def hot(numbers, day=DAY, names=("x", "y")):
    return dict(zip(names, pack(np.array(numbers), business_date=day, fields=FIELDS), strict=True))


def compare(found):
    return check_parity(COLD, found, fields=FIELDS, business_date=DAY, model="demand")


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
