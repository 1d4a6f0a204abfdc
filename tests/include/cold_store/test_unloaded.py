"""Files of any store, read alike."""

from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfcast.cold_store.unloaded import count_rows, pieces

AS_SNOWFLAKE_MAY_WRITE_IT = pa.table(
    {
        "NUMBER_OF_NO_SCALE": pa.array([Decimal(1), None, Decimal(2**53 + 1)], pa.decimal128(38, 0)),
        "SMALL": pa.array([1, None, -3], pa.int8()),
        "AMOUNT": pa.array([Decimal("2.50"), None, Decimal("-0.01")], pa.decimal128(14, 2)),
        "SINGLE": pa.array([0.5, None, 2.0], pa.float32()),
        "AT": pa.array([datetime(2025, 1, 1, 2), None, datetime(1969, 1, 1)], pa.timestamp("ms")),
        "ON_DAY": pa.array([date(2025, 1, 1), None, date(1969, 1, 1)]),
        "IS_SO": pa.array([True, None, False]),
        "Text": pa.array(["a", None, ""]),
    }
)


def test_names_are_lower_case_and_each_kind_of_value_has_one_type(tmp_path):
    pq.write_table(AS_SNOWFLAKE_MAY_WRITE_IT, tmp_path / "rows.parquet")
    (found,) = pieces(tmp_path, rows=10)
    assert found.schema == pa.schema(
        {
            "number_of_no_scale": pa.int64(), "small": pa.int64(), "amount": pa.float64(), "single": pa.float64(),
            "at": pa.timestamp("us"), "on_day": pa.date32(), "is_so": pa.bool_(), "text": pa.string(),
        }
    )  # fmt: skip
    assert found["number_of_no_scale"].to_pylist() == [1, None, 2**53 + 1]
    assert found["amount"].to_pylist() == [2.5, None, -0.01]
    assert found["at"].to_pylist() == [datetime(2025, 1, 1, 2), None, datetime(1969, 1, 1)]


def test_a_number_that_no_longer_fits_is_refused(tmp_path):
    pq.write_table(pa.table({"a": pa.array([Decimal(2**63)], pa.decimal128(38, 0))}), tmp_path / "rows.parquet")
    with pytest.raises(pa.ArrowInvalid):
        list(pieces(tmp_path, rows=10))


@pytest.mark.parametrize("rows", [1, 3, 4, 10, 99])
def test_pieces_are_cut_alike_whatever_the_files_and_their_row_groups(tmp_path, rows):
    numbers = list(range(23))
    for name, part, group in (("a", numbers[:9], 4), ("b", numbers[9:10], 1), ("c", numbers[10:], 5)):
        pq.write_table(pa.table({"n": part}), tmp_path / f"{name}.parquet", row_group_size=group)
    (tmp_path / "not.txt").write_text("no rows")
    found = [piece["n"].to_pylist() for piece in pieces(tmp_path, rows=rows)]
    assert found == [numbers[start : start + rows] for start in range(0, 23, rows)]
    assert count_rows(tmp_path) == 23


def test_of_no_files_there_is_no_piece(tmp_path):
    assert list(pieces(tmp_path, rows=1)) == []
    assert count_rows(tmp_path) == 0
