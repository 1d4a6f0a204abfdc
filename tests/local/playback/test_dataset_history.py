"""A user's own days, played into the shop."""

from datetime import date
from pathlib import Path

import pytest

from shelfcast.errors import DatasetError
from shelfcast.sources.dataset import Dataset
from shelfcast_local.playback.dataset_history import DatasetHistory

SALES = "store_id,sales_date,units\nA,2024-01-01,2\nB,2024-01-02,1\nA,2024-01-04,3\nB,2024-01-04,5\n"


@pytest.fixture
def history(tmp_path: Path) -> DatasetHistory:
    (tmp_path / "sales.csv").write_text(SALES)
    (tmp_path / "dataset.yaml").write_text("name: mine\nhold_back_days: 2\nsales: {file: sales.csv}\n")
    return DatasetHistory(Dataset(tmp_path))


def test_the_days_held_back_are_to_come(history: DatasetHistory) -> None:
    assert history.last_history_date == date(2024, 1, 2)
    assert history.days_to_come == [date(2024, 1, 3), date(2024, 1, 4)]


def test_a_day_is_played_as_its_orders_by_store(history: DatasetHistory) -> None:
    first, second = history.transactions(date(2024, 1, 4))
    for store, transaction in (("A", first), ("B", second)):
        assert [(one.table, one.kind) for one in transaction] == [("orders", "insert"), ("order_lines", "insert")]
        assert transaction[0].rows.column("store_id").to_pylist() == [store]


def test_days_behind_the_last_sale_cannot_be_played(history: DatasetHistory) -> None:
    with pytest.raises(DatasetError, match=r"ends on 2024-01-04; there is no 2024-01-05"):
        history.write_day(None, date(2024, 1, 5))  # type: ignore[arg-type]
