"""A user's files as a shop."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfcast.errors import DatasetError
from shelfcast.sources.dataset import SHIPPED, Dataset, check, find_declaration
from shelfcast.sources.shop_schema import TABLES

SALES = """shop,product,day,pieces,price
B,milk,2024-01-01,3,1.10
A,milk,2024-01-01,2,1.10
A,bread,2024-01-02,1,2.50
A,milk,2024-01-02,0,1.10
A,milk,2024-01-03,4,0.90
B,bread,2024-01-04,5,2.50
"""
DECLARATION = """
name: corner_shops
hold_back_days: 2
sales:
  file: sales.csv
  columns:
    store_id: shop
    item_id: product
    sales_date: day
    units: pieces
    unit_price: price
"""
NO_NUMBER = "units: {{sql: \"if(pieces > 4, '{}', '1')\"}}"
STORES = "shop,state\nA,north\nB,south\n"
WITH_STORES = (
    DECLARATION
    + """
tables:
  stores:
    file: stores.csv
    columns:
      store_id: shop
      region: {sql: upper(state)}
      store_group: {value: corner}
  promotions:
    sql: |
      SELECT shop AS store_id, product AS item_id, min(day) AS starts_on, max(day) AS ends_on, 0.18 AS discount,
        TIMESTAMP '2024-01-02 08:00:00' AS announced_at
      FROM "sales.csv" WHERE price < 1 GROUP BY ALL
"""
)


def folder(path: Path, declaration: str = DECLARATION, sales: str = SALES, stores: str = STORES) -> Path:
    (path / "sales.csv").write_text(sales)
    (path / "stores.csv").write_text(stores)
    (path / "dataset.yaml").write_text(declaration)
    return path


def frame(dataset: Dataset, table: str, **written: str) -> pd.DataFrame:
    return dataset.rows(table, **written).to_pandas()


def test_a_row_of_sales_becomes_an_order_of_one_line(tmp_path: Path) -> None:
    dataset = Dataset(folder(tmp_path))
    orders = dataset.rows("orders").to_pylist()
    assert [(row["order_id"], row["store_id"], row["ordered_at"]) for row in orders] == [
        (1, "A", datetime(2024, 1, 1, 12)),
        (2, "B", datetime(2024, 1, 1, 12)),
        (3, "A", datetime(2024, 1, 2, 12)),
        (4, "A", datetime(2024, 1, 3, 12)),
        (5, "B", datetime(2024, 1, 4, 12)),
    ]
    assert [row["order_amount"] for row in orders] == [Decimal(x) for x in ("2.20", "3.30", "2.50", "3.60", "12.50")]
    lines = dataset.rows("order_lines").to_pylist()
    assert [(row["item_id"], row["quantity"]) for row in lines] == [
        ("milk", 2.0),
        ("milk", 3.0),
        ("bread", 1.0),
        ("milk", 4.0),
        ("bread", 5.0),
    ]


def test_what_nobody_listed_is_derived_from_the_sales(tmp_path: Path) -> None:
    dataset = Dataset(folder(tmp_path))
    assert frame(dataset, "stores")[["store_id", "region", "opened_on"]].to_numpy().tolist() == [
        ["A", "all", date(2024, 1, 1)],
        ["B", "all", date(2024, 1, 1)],
    ]
    assert frame(dataset, "items")[["item_id", "introduced_on"]].to_numpy().tolist() == [
        ["bread", date(2024, 1, 2)],
        ["milk", date(2024, 1, 1)],
    ]
    assert [day.isoformat() for day in frame(dataset, "business_days")["business_date"]] == [
        "2024-01-01",
        "2024-01-02",
        "2024-01-03",
        "2024-01-04",
    ]
    assert frame(dataset, "business_days")["closed_at"].iloc[0] == pd.Timestamp("2024-01-01 23:59:59")


def test_days_are_closed_when_the_declaration_says(tmp_path: Path) -> None:
    times = ["18:00", "22:10", "26:00", "18:00", "18:00", "18:00", "18:00"]
    dataset = Dataset(folder(tmp_path, DECLARATION + f"closes_at: {times}\n"))
    closes = [f"{moment:%d %H:%M}" for moment in frame(dataset, "business_days")["closed_at"]]
    assert closes == ["01 18:00", "02 22:10", "04 02:00", "04 18:00"]


def test_declared_tables_take_columns_expressions_constants_and_whole_queries(tmp_path: Path) -> None:
    dataset = Dataset(folder(tmp_path, WITH_STORES))
    stores = frame(dataset, "stores")
    assert stores[["store_id", "region", "store_group"]].to_numpy().tolist() == [
        ["A", "NORTH", "corner"],
        ["B", "SOUTH", "corner"],
    ]
    (promotion,) = dataset.rows("promotions").to_pylist()
    assert (promotion["promotion_id"], promotion["starts_on"], promotion["discount"]) == (1, date(2024, 1, 3), 0.18)


def test_history_and_the_days_to_come_make_up_all_rows(tmp_path: Path) -> None:
    dataset = Dataset(folder(tmp_path, WITH_STORES))
    assert dataset.last_history_date == date(2024, 1, 2)
    assert dataset.days_to_come == [date(2024, 1, 3), date(2024, 1, 4)]
    for name in TABLES:
        if name == "holidays":
            continue
        parts = [dataset.rows(name, f"<= DATE '{dataset.last_history_date}'")]
        parts += [dataset.rows(name, f"= DATE '{day}'") for day in dataset.days_to_come]
        assert sum(part.num_rows for part in parts) == dataset.rows(name).num_rows


def test_a_new_item_is_written_on_the_day_of_its_first_sale(tmp_path: Path) -> None:
    dataset = Dataset(folder(tmp_path, sales=SALES + "A,new,2024-01-04,1,1\n"))
    rows = dataset.rows("items", written="= DATE '2024-01-04'").to_pylist()
    assert [row["item_id"] for row in rows] == ["new"]


def test_the_first_stores_are_kept_with_what_belongs_to_them(tmp_path: Path) -> None:
    dataset = Dataset(folder(tmp_path, WITH_STORES), stores=1, hold_back_days=0)
    assert set(frame(dataset, "orders")["store_id"]) == {"A"}
    assert len(frame(dataset, "order_lines")) == 3
    assert frame(dataset, "stores")["store_id"].tolist() == ["A"]
    assert frame(dataset, "orders")["order_id"].tolist() == [1, 3, 4]


def test_parquet_and_orders_of_many_lines_are_read_as_they_are(tmp_path: Path) -> None:
    at = pd.Timestamp("2024-03-01 09:30")
    days = [at + timedelta(days=day) for day in range(3)]
    pd.DataFrame(
        {"order_id": [1, 2, 3], "customer_id": 7, "store_id": "x", "ordered_at": days, "order_amount": 5.0}
    ).to_parquet(tmp_path / "orders.parquet")
    pd.DataFrame(
        {"order_id": [1, 1, 2, 3], "line_number": [1, 2, 1, 1], "item": "i", "quantity": 1.0, "unit_price": 2.5}
    ).to_parquet(tmp_path / "lines.parquet")
    (tmp_path / "dataset.yaml").write_text(
        "name: tills\nhold_back_days: 1\ntables:\n  orders: {file: orders.parquet}\n"
        "  order_lines: {file: lines.parquet, columns: {item_id: item}}\n"
    )
    dataset = Dataset(tmp_path)
    assert set(frame(dataset, "orders")["status"]) == {"completed"}
    assert len(frame(dataset, "order_lines", written="<= DATE '2024-03-01'")) == 2
    assert frame(dataset, "stores")["opened_on"].tolist() == [date(2024, 3, 1)]


@pytest.mark.parametrize(
    ("declaration", "expected"),
    [
        (DECLARATION.replace("sales.csv", "sale.csv"), r"found no file 'sale.csv' in .*; write 'sales.csv'"),
        (DECLARATION.replace("sales.csv", "../sales.csv"), r"which lies outside; write a path inside the data folder"),
        (DECLARATION.replace("day\n", "daay\n"), r"sales.columns.sales_date: found 'daay', .*; write 'day'"),
        (DECLARATION.replace("    units: pieces\n", ""), r"sales.columns: found no units; write `units:` and the name"),
        (DECLARATION.replace("units: pieces", "units: {sql: piecez * 2}"), r"sales.columns.units: found Binder Error"),
        (DECLARATION.replace("units: pieces", "units: {sql: '1; DROP TABLE y; SELECT 1'}"), r"more than one SELECT"),
        (DECLARATION.replace("units: pieces", "units: product"), r"sales.csv, sales.columns.units: found \d values"),
        (DECLARATION.replace("units: pieces", "units: {sql: pieces - 3}"), r"found \d values below 0, such as '-1'"),
        (DECLARATION.replace("units: pieces", NO_NUMBER.format("NaN")), r"units: found 1 values that are NaN or infinite"),
        (DECLARATION.replace("units: pieces", NO_NUMBER.format("inf")), r"units: found 1 values that are NaN or infinite"),
        (DECLARATION.replace("units: pieces", NO_NUMBER.format("1e9")), r"found 1 values of more than 10,000 times"),
        (DECLARATION.replace("store_id: shop", "store_id: {value: all}"), r"in more than one row"),
        (DECLARATION.replace("store_id: shop", "store_id: {sql: \"shop || '@'\"}"), r"values with @ in them, such as 'A@'"),
        (DECLARATION.replace("sales_date: day", "sales_date: {sql: 'nullif(day, day)'}"), r"rows without a value"),
        (DECLARATION.replace("  file: sales.csv", "  sql: SELECT * FROM nowhere"), r"sales: found Catalog Error"),
        (DECLARATION.replace("  file: sales.csv", "  sql: COPY (SELECT 1) TO 'x.csv'"), r"sales: found Parser Error"),
        (DECLARATION + "  where: pieces > 99\n", r"sales: found no sale at all"),
        (DECLARATION.replace("hold_back_days: 2", "hold_back_days: 4"), r"4 days with sales, of which 4 are held back"),
        (WITH_STORES.replace("file: stores.csv", "file: stores.csv\n    where: shop = 'A'"), r"found 1 store_id"),
        (
            DECLARATION
            + "tables:\n  holidays:\n    sql: SELECT 'x' AS region, DATE '2024-01-01' AS holiday_on, 'bank' AS kind",
            r"values other than 'public', 'school', such as 'bank'",
        ),
        (
            DECLARATION.replace("units: pieces", "units: {sql: \"CAST(product || 'x' AS INTEGER)\"}"),
            r"found Conversion Error.*write an expression that fits every row",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_what_to_write(tmp_path: Path, declaration: str, expected: str) -> None:
    with pytest.raises(DatasetError, match=expected):
        check(folder(tmp_path, declaration))


def test_units_of_parquet_that_are_not_a_number_are_named(tmp_path: Path) -> None:
    columns = {"shop": ["A", "B"], "product": ["x", "x"], "day": [date(2024, 1, 1)] * 2, "price": [1.0, 1.0]}
    table = pa.table({**columns, "pieces": pa.array([5.0, float("nan")])})
    pq.write_table(table, folder(tmp_path, DECLARATION.replace("sales.csv", "sales.parquet")) / "sales.parquet")
    with pytest.raises(DatasetError, match="1 values that are NaN or infinite"):
        check(tmp_path)


def test_problems_of_several_files_are_listed_together(tmp_path: Path) -> None:
    wrong = WITH_STORES.replace("pieces", "pices").replace("upper(state)", "upper(stat)")
    with pytest.raises(DatasetError, match=r"2 things are wrong") as caught:
        check(folder(tmp_path, wrong))
    assert "write 'pieces'" in str(caught.value)
    assert "tables.stores.columns.region" in str(caught.value)


def test_an_expression_reads_nothing_outside_the_data_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    inside = tmp_path / "data"
    inside.mkdir()
    wrong = DECLARATION.replace("file: sales.csv", f"sql: SELECT * FROM read_csv('{tmp_path}/secret.csv')")
    with pytest.raises(DatasetError, match="Permission Error"):
        check(folder(inside, wrong))


def test_a_file_that_is_no_table_is_named(tmp_path: Path) -> None:
    folder(tmp_path, DECLARATION.replace("sales.csv", "broken.parquet"))
    (tmp_path / "broken.parquet").write_text("not parquet")
    with pytest.raises(DatasetError, match=r"broken.parquet, the file: found .*; write a CSV file with a header line"):
        check(tmp_path)


def test_a_folder_without_declaration_is_told_what_to_put_there(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"found neither dataset.yaml nor .*; write a dataset.yaml into it"):
        find_declaration(tmp_path)


def test_a_good_dataset_is_summed_up_in_one_line(tmp_path: Path) -> None:
    text = check(folder(tmp_path))
    assert text.startswith("corner_shops: history up to 2024-01-02, then 2 days to come; 2 stores, 2 items, 5 orders")


def test_a_declaration_may_lie_apart_from_its_data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    folder(tmp_path / "data")
    (tmp_path / "data" / "dataset.yaml").rename(tmp_path / "mine.yaml")
    assert check(tmp_path / "mine.yaml", data=tmp_path / "data").startswith("corner_shops")


def test_the_shipped_simulated_shop_is_found_by_its_name() -> None:
    assert find_declaration(Path("simulated"))[0] == SHIPPED / "simulated.yaml"
    assert check(Path("simulated")) == "simulated: a simulated shop, 8 stores, 25 items."


def rossmann_like(path: Path) -> Path:
    """Three weeks of two stores in the form of the Kaggle files."""
    days = pd.date_range("2015-07-06", periods=21)
    rows = [
        {
            "Store": store,
            "Date": day,
            "Sales": 0 if day.dayofweek == 6 else 100 + day.day,
            "Open": int(day.dayofweek != 6),
            "Promo": int(day.dayofweek < 5 and day.isocalendar().week % 2 == 0),
            "StateHoliday": "a" if day.day == 12 else "0",
            "SchoolHoliday": int(day.day > 20),
        }
        for store in (1, 2)
        for day in days
        if not (store == 2 and day.day == 15)
    ]
    pd.DataFrame(rows).to_parquet(path / "train.parquet")
    ahead = [
        {"Store": 1, "Date": f"2015-07-{day}", "Open": 1.0, "Promo": 1, "StateHoliday": "0", "SchoolHoliday": 1}
        for day in (27, 28)
    ]
    pd.DataFrame(ahead).to_parquet(path / "test.parquet")
    pd.DataFrame({"Store": [1, 2], "StoreType": ["a", "c"]}).to_parquet(path / "store.parquet")
    pd.DataFrame({"Store": [1, 2], "State": ["HE", "BY"]}).to_parquet(path / "store_states.parquet")
    pd.DataFrame(
        {"State": ["HE"], "Date": [pd.Timestamp("2015-07-06")], "Mean_TemperatureC": [20], "Precipitationmm": [0.4]}
    ).to_parquet(path / "weather.parquet")
    return path


def test_the_kaggle_files_are_recognised_and_read_as_declared(tmp_path: Path) -> None:
    dataset = Dataset(rossmann_like(tmp_path), hold_back_days=7)
    assert dataset.declaration.name == "rossmann"
    promotions = frame(dataset, "promotions")
    assert promotions[["store_id", "starts_on", "ends_on"]].drop_duplicates().to_numpy().tolist() == [
        ["0001", date(2015, 7, 6), date(2015, 7, 10)],
        ["0001", date(2015, 7, 20), date(2015, 7, 24)],
        ["0001", date(2015, 7, 27), date(2015, 7, 28)],
        ["0002", date(2015, 7, 6), date(2015, 7, 10)],
        ["0002", date(2015, 7, 20), date(2015, 7, 24)],
    ]
    assert (pd.to_datetime(promotions["starts_on"]) - promotions["announced_at"]).dt.days.unique().tolist() == [42]
    closures = frame(dataset, "store_closures")
    assert closures[["store_id", "closed_on", "reason"]].to_numpy().tolist() == [
        ["0001", date(2015, 7, 12), "public holiday"],
        ["0001", date(2015, 7, 19), "sunday"],
        ["0001", date(2015, 7, 26), "sunday"],
        ["0002", date(2015, 7, 12), "public holiday"],
        ["0002", date(2015, 7, 15), "rebuilding"],
        ["0002", date(2015, 7, 19), "sunday"],
        ["0002", date(2015, 7, 26), "sunday"],
    ]
    holidays = frame(dataset, "holidays")
    assert set(holidays.loc[holidays["kind"] == "public", "holiday_on"]) == {date(2015, 7, 12)}
    school = set(holidays.loc[holidays["kind"] == "school", "holiday_on"])
    assert school == {date(2015, 7, day) for day in range(21, 29)}
    assert dataset.rows("weather_forecasts").num_rows == 0
    assert dataset.rows("weather_observations").num_rows == 1
    assert set(frame(dataset, "order_lines")["item_id"]) == {"all"}
