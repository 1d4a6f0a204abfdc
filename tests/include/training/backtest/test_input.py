"""Folders of canonical Parquet, good and bad: each fault has a name, a place and advice, each oddity an outcome."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfcast.errors import DatasetError, PostConditionFailed, TrainingError
from shelfcast.model import declaration as declarations
from shelfcast.model import metrics
from shelfcast.sources.canonical_folder import CanonicalFolder
from shelfcast.training.backtest import cutoff as backtest_cutoff
from shelfcast.training.backtest import run as backtest
from shelfcast.training.backtest.input import is_canonical, write_history
from shelfcast.training.backtest.store import BacktestStore

FIRST, DAYS = date(2024, 1, 1), 120
CUTOFF = FIRST + timedelta(days=99)


def sales(**columns):
    """Six series that sell 5 units a day."""
    days = pd.date_range(FIRST, periods=DAYS)
    parts = [
        pd.DataFrame({"store_id": f"S{number % 2}", "item_id": f"I{number}", "sales_date": days, "units_sold": 5.0})
        for number in range(6)
    ]
    return pd.concat(parts, ignore_index=True).assign(**columns)


def write(folder, frame, *, dataset="", **others):
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in {"sales": frame, **others}.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    if dataset:
        (folder / "dataset.yaml").write_text(dataset)
    return folder


def read(folder, tmp_path):
    out = tmp_path / "tables"
    out.mkdir(exist_ok=True)
    return write_history(folder, out, data=None, lead_days=14, num_threads=1), out


def table(out, name):
    frame = pd.read_parquet(out / name / "part.parquet")
    dates = [column for column in frame if column.endswith(("_on", "_date", "_at", "valid_from"))]
    return frame.astype(dict.fromkeys(dates, "datetime64[us]"))


def with_value(column, value, **columns):
    frame = sales(**columns)
    frame.loc[7, column] = value
    return frame


CALENDAR = pd.DataFrame({"day": [FIRST]})
WEATHER = pd.DataFrame(
    {"issued_at": [FIRST], "target_date": [FIRST], "temperature_celsius": [3.0], "precipitation_mm": [0.5]}
)
AHEAD = sales(sales_date=pd.Timestamp(FIRST) + timedelta(days=DAYS)).drop_duplicates(["store_id", "item_id"])
AHEAD = AHEAD.drop(columns="units_sold")
BAD = {
    "no units": (sales().drop(columns="units_sold"), {}, "", "units_sold: found no such column"),
    "a column under another name": (
        sales().rename(columns={"sales_date": "sale_date"}),
        {},
        "",
        "did you mean 'sale_date'",
    ),
    "a day twice": (pd.concat([sales(), sales().head(1)]), {}, "", "1 rows keys in more than one row"),
    "negative sales": (
        with_value("units_sold", -2.0),
        {},
        "",
        "units_sold: found 1 rows below 0.*negative_sales: zero",
    ),
    "units that are not a number": (
        with_value("units_sold", np.nan),
        {},
        "",
        "1 rows NULL or NaN, such as 2024-01-08|NaN",
    ),
    "endless units": (with_value("units_sold", np.inf), {}, "", "units_sold: found 1 rows infinite"),
    "an outlier": (with_value("units_sold", 1e9), {}, "", "1 rows more than 10,000 times the usual of their series"),
    "an endless covariate": (with_value("price", np.inf, price=2.0), {}, "", "price: found 1 rows infinite"),
    "a negative price": (with_value("price", -1.0, price=2.0), {}, "", "price: found 1 rows below 0"),
    "text for units": (sales().assign(units_sold="many"), {}, "", "units_sold: found 720 rows no DOUBLE"),
    "text for a day": (sales().assign(sales_date="soon"), {}, "", "sales_date: found 720 rows no DATE"),
    "text for a covariate": (sales(price="cheap"), {}, "", "price: found 720 rows no DOUBLE"),
    "a row without a store": (with_value("store_id", None), {}, "", "store_id: found 1 rows NULL"),
    "a store whose name splits a series": (
        with_value("store_id", "S@0"),
        {},
        "",
        "store_id: found 1 rows with @, such as S@0 I0 2024-01-08 00:00:00; write names without it",
    ),
    "nothing sold": (sales(units_sold=0.0), {}, "", "no day above 0"),
    "a calendar without days": (
        sales(),
        {"calendar": CALENDAR},
        "",
        "calendar.parquet, sales_date: found no such column",
    ),
    "a calendar whose days are none": (
        sales(),
        {"calendar": pd.DataFrame({"sales_date": ["soon"]})},
        "",
        "calendar.parquet, sales_date: found 1 rows no DATE",
    ),
    "an endless holiday": (
        sales(),
        {"calendar": pd.DataFrame({"sales_date": [FIRST], "is_public_holiday": [np.inf]})},
        "",
        "calendar.parquet, is_public_holiday: found 1 rows infinite",
    ),
    "a store twice": (
        sales(),
        {"stores": pd.DataFrame({"store_id": ["S0", "S0"]})},
        "",
        "stores.parquet, store_id: found 1 rows keys in more than one row, such as S0",
    ),
    "an item that ends on no day": (
        sales(),
        {"items": pd.DataFrame({"item_id": ["I0"], "discontinued_on": ["soon"]})},
        "",
        "items.parquet, discontinued_on: found 1 rows no DATE, such as I0",
    ),
    "weather without a day": (
        sales(),
        {"weather_forecasts": WEATHER.assign(target_date=None)},
        "",
        "weather_forecasts.parquet, target_date: found 1 rows NULL",
    ),
    "weather that is text": (
        sales(),
        {"weather_forecasts": WEATHER.assign(temperature_celsius="hot")},
        "",
        "temperature_celsius: found 1 rows no DOUBLE",
    ),
    "endless weather": (
        sales(),
        {"weather_forecasts": WEATHER.assign(precipitation_mm=np.inf)},
        "",
        "precipitation_mm: found 1 rows infinite",
    ),
    "text for a covariate of the future": (
        sales(on_promotion=0),
        {"future": AHEAD.assign(on_promotion="yes")},
        "",
        "future.parquet, on_promotion: found 6 rows no DOUBLE",
    ),
    "a day of the future twice": (
        sales(on_promotion=0),
        {"future": pd.concat([AHEAD, AHEAD.head(2)])},
        "",
        "future.parquet, store_id, item_id, sales_date: found 2 rows keys in more than one row",
    ),
    "a future without ids": (sales(), {"future": CALENDAR}, "", "future.parquet, store_id: found no such column"),
    "a declared column that is not there": (
        sales(),
        {},
        "columns: {prize: static}",
        "columns.prize: found no such column",
    ),
    "a role that a column cannot have": (
        sales(is_stocked_out=0),
        {},
        "columns: {is_stocked_out: known-ahead}",
        "write observed-only or not used",
    ),
    "an unknown role": (sales(), {}, "columns: {price: sometimes}", "columns.price: found 'sometimes'"),
    "an unknown key": (sales(), {}, "negative_sale: zero", "write 'negative_sales'"),
    "no YAML": (sales(), {}, "columns: [", "is no YAML"),
}


@pytest.mark.parametrize("fault", BAD)
def test_bad_files_are_refused_with_place_and_advice(tmp_path, fault):
    frame, others, dataset, words = BAD[fault]
    with pytest.raises(DatasetError, match=words):
        read(write(tmp_path / "shop", frame, dataset=dataset, **others), tmp_path)


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    folder = write(tmp_path / "shop", sales())
    (folder / "stores.parquet").write_text("store_id,region")
    with pytest.raises(DatasetError, match=r"stores\.parquet, the file"):
        read(folder, tmp_path)


def test_a_folder_without_sales_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"neither dataset\.yaml nor"):
        read(tmp_path, tmp_path)


def test_a_simulated_shop_has_nothing_to_read(tmp_path):
    with pytest.raises(DatasetError, match="declares a simulated shop"):
        write_history(
            declarations.MODELS_FOLDER.parent / "datasets/simulated.yaml",
            tmp_path,
            data=None,
            lead_days=1,
            num_threads=1,
        )


def test_ten_faults_are_told_at_once(tmp_path):
    frame = sales(price=-1.0, units_sold=-1.0, on_promotion=-1)
    with pytest.raises(DatasetError) as error:
        read(write(tmp_path / "shop", frame), tmp_path)
    assert str(error.value).startswith("Dataset shop cannot be used, 3 things are wrong")


def test_a_declaration_decides_what_a_folder_is(tmp_path):
    assert is_canonical(write(tmp_path / "plain", sales()))
    assert is_canonical(write(tmp_path / "roles", sales(), dataset="columns: {}"))
    assert not is_canonical(write(tmp_path / "mapped", sales(), dataset="name: x\nsales: {file: sales.parquet}"))
    assert not is_canonical(tmp_path / "nothing")


@pytest.mark.parametrize("units", [[1e9], [1e9, 3.0], [3.0, 1e9, 2.0]])
def test_an_outlier_of_a_series_with_few_sales_is_judged_by_all_series(tmp_path, units):
    few = sales().query("item_id == 'I0'").head(len(units)).assign(item_id="few", units_sold=units)
    folder = write(tmp_path / "shop", pd.concat([sales(), few]))
    with pytest.raises(DatasetError, match=r"1 rows more than 10,000 times the usual.*S0 few"):
        read(folder, tmp_path)


def judged_at(folder, tmp_path, *, cutoffs):
    """What is ignored at each of some cutoffs, one after the other in one store, and the daily sales in the end."""
    history, out = read(folder, tmp_path)
    assert history.ignores_outliers
    with BacktestStore(tmp_path / "x.duckdb", num_threads=1) as store:
        store.load_history(out)
        found = [store.ignore_outliers(cutoff, cutoff + timedelta(days=14)) for cutoff in cutoffs]
        daily = store.connection.execute("SELECT * FROM FEATURES.DAILY_SALES").df()
    return found, daily.set_index(["item_id", "sales_date"]), history.notes


def test_an_outlier_is_ignored_on_request_as_an_empty_shelf(tmp_path):
    folder = write(tmp_path / "shop", with_value("units_sold", 1e9), dataset="outliers: ignore")
    found, daily, notes = judged_at(folder, tmp_path, cutoffs=[CUTOFF])
    assert daily.loc[("I0", pd.Timestamp("2024-01-08")), ["units_sold", "is_stocked_out"]].tolist() == [0.0, True]
    assert daily["is_stocked_out"].sum() == 1
    assert found == [(1, "S0 I0 2024-01-08")]
    assert not any("learned from as they stand" in note for note in notes)


def test_an_outlier_is_judged_by_what_was_known_at_the_cutoff_alone(tmp_path):
    """From the 61st day on each unit is counted in grams: before that, a single such day is a slip."""
    units = np.where(np.arange(DAYS) < 60, 5.0, 5e5)
    units[20] = 5e5
    folder = write(tmp_path / "shop", sales(units_sold=np.tile(units, 6)), dataset="outliers: ignore")
    early, late = FIRST + timedelta(days=39), FIRST + timedelta(days=DAYS - 1)
    slips = (6, "S0 I0 2024-01-21")
    found, daily, _ = judged_at(folder, tmp_path, cutoffs=[early, late, early])
    assert found == [slips, (0, "None"), slips]
    assert daily["is_stocked_out"].sum() == 6
    assert (daily.loc["I0", "units_sold"] == 5e5).sum() == 60
    (tmp_path / "cut").mkdir()
    cut = sales(units_sold=np.tile(units, 6))
    write(folder, cut[cut["sales_date"] <= pd.Timestamp(early)], dataset="outliers: ignore")
    assert judged_at(folder, tmp_path / "cut", cutoffs=[early])[0] == [slips]


def test_days_after_the_cutoff_have_no_part_in_what_is_ignored_before_it(tmp_path):
    """Of 100 days five are slips, unless the days after the cutoff, which sell as much, make them usual."""
    rng = np.random.default_rng(4)
    frame = pd.concat([sales(), sales().assign(store_id="S2")], ignore_index=True)
    frame["units_sold"] = rng.poisson(5, len(frame)).astype(float)
    frame.loc[frame["sales_date"].isin(pd.date_range("2024-02-01", periods=5)), "units_sold"] = 3e5
    means = []
    for later in (3e5, 5.0):
        frame.loc[frame["sales_date"] > pd.Timestamp(CUTOFF), "units_sold"] = later
        after = frame.assign(sales_date=frame["sales_date"] + timedelta(days=DAYS), units_sold=later)
        folder = write(tmp_path / str(later), pd.concat([frame, after]), dataset="outliers: ignore")
        backtest.run(folder, folder / "out.parquet", small_plan())
        means.append(pd.read_parquet(folder / "out.parquet")["mean"])
    pd.testing.assert_series_equal(*means)
    assert means[0].max() < 30


def test_negative_sales_and_double_days_are_mended_on_request(tmp_path):
    frame = pd.concat([with_value("units_sold", -2.0), sales().head(1)])
    mend = "negative_sales: zero\nduplicate_days: sum"
    history, out = read(write(tmp_path / "shop", frame, dataset=mend), tmp_path)
    daily = table(out, "daily_sales").set_index(["item_id", "sales_date"])["units_sold"]
    assert history.notes[:2] == [
        "sales.parquet, units_sold: 1 rows were added to another one of their series and day.",
        "sales.parquet, units_sold: 1 days with more returns than sales count as 0, such as S0 I0 2024-01-08.",
    ]
    assert daily["I0", pd.Timestamp(FIRST)] == 10.0
    assert ("I0", pd.Timestamp(FIRST) + timedelta(days=7)) not in daily.index


def test_promotions_in_a_row_are_one_that_is_announced_day_by_day_ahead(tmp_path):
    flags = np.zeros(DAYS)
    flags[10:15] = flags[20:22] = 1
    _, out = read(write(tmp_path / "shop", sales(on_promotion=np.tile(flags, 6), discount=0.25)), tmp_path)
    promotions = table(out, "promotions")
    versions = promotions[promotions["item_id"] == "I0"].sort_values("ends_on").head(5)
    assert promotions["promotion_id"].nunique() == 12
    assert versions["promotion_id"].nunique() == 1
    assert (versions["starts_on"] == versions["ends_on"].min()).all()
    assert (versions["ends_on"] - versions["starts_on"]).dt.days.tolist() == [0, 1, 2, 3, 4]
    assert (versions["ends_on"] - versions["announced_at"]).dt.days.eq(14).all()
    assert versions["discount"].eq(0.25).all()


def test_promotions_that_are_only_observed_are_known_day_by_day(tmp_path):
    folder = write(tmp_path / "shop", sales(on_promotion=1), dataset="columns: {on_promotion: observed-only}")
    _, out = read(folder, tmp_path)
    promotions = table(out, "promotions")
    assert len(promotions) == 6 * DAYS
    assert (promotions["announced_at"] == promotions["starts_on"]).all()


def test_prices_are_steps_and_nan_is_not_known(tmp_path):
    price = np.where(np.arange(DAYS) < 50, 2.0, 2.5)
    price[60] = np.nan
    history, out = read(write(tmp_path / "shop", sales(price=np.tile(price, 6))), tmp_path)
    prices = table(out, "prices")
    assert len(prices) == 12
    assert (prices["announced_at"] == prices["valid_from"]).all()
    assert [use.role for use in history.uses if use.column == "price"] == ["observed-only"]


def test_a_covariate_that_is_not_a_number_is_not_known_and_named(tmp_path):
    day = pd.Timestamp(FIRST) + timedelta(days=30)
    frame = with_value("price", np.nan, price=2.0, on_promotion=0.0)
    frame.loc[[1, 2], "on_promotion"] = np.nan
    weather = WEATHER.assign(temperature_celsius=np.nan)
    calendar = pd.DataFrame({"sales_date": [day], "is_public_holiday": [np.nan], "is_open": [np.nan]})
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, rows in {"sales": frame, "weather_forecasts": weather, "calendar": calendar}.items():
        # pandas would write NULL
        arrays = [pa.array(rows[column].to_numpy(), from_pandas=False) for column in rows]
        pq.write_table(pa.Table.from_arrays(arrays, names=list(rows)), folder / f"{name}.parquet")
    history, out = read(folder, tmp_path)
    assert any("Rows without a value (NULL or NaN): price 1, on_promotion 2." in note for note in history.notes)
    assert table(out, "prices")["price"].tolist() == [2.0] * 6
    assert table(out, "promotions").empty
    assert table(out, "holidays").empty
    assert table(out, "store_closures").empty
    assert table(out, "weather_forecasts")["temperature_celsius"].isna().all()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            lambda frame: frame[(frame["sales_date"] < "2024-02-01") | (frame["sales_date"] > "2024-02-10")],
            "No series sold anything from 2024-02-01 to 2024-02-10: these 10 days",
        ),
        (
            lambda frame: pd.concat([frame, frame.head(1).assign(sales_date=pd.Timestamp("2099-01-01"))]),
            "No series sold anything from 2024-04-30 to 2098-12-31",
        ),
        (
            lambda frame: pd.concat(
                [frame, frame.tail(8).assign(sales_date=pd.date_range("2024-04-30", periods=8)).assign(units_sold=0.0)]
            ),
            "No series sold anything from 2024-04-30 to 2024-05-07: these 8 days",
        ),
        (
            lambda frame: frame.assign(units_sold=frame["units_sold"].where(frame.index != 7, 501.0)),
            "1 days of more than 100 times the usual of their series, such as S0 I0 2024-01-08",
        ),
    ],
    ids=["a hole in the file", "a slip far in the future", "days to come as zeros", "a large day"],
)
def test_what_looks_like_a_slip_is_named(tmp_path, changed, words):
    history, _ = read(write(tmp_path / "shop", changed(sales())), tmp_path)
    assert any(words in note for note in history.notes)


def test_files_without_oddities_have_no_note_but_their_size(tmp_path):
    history, _ = read(write(tmp_path / "shop", sales(price=2.0), future=AHEAD), tmp_path)
    assert history.notes == ["6 series, 720 rows, 100% of them with a sale, 120 days."]


def test_rows_of_the_future_file_that_cannot_be_used_are_named(tmp_path):
    future = pd.concat([AHEAD.assign(sales_date=pd.Timestamp(FIRST)), AHEAD.head(1).assign(item_id="unseen")])
    history, _ = read(write(tmp_path / "shop", sales(), future=future), tmp_path)
    notes = " ".join(history.notes)
    assert "6 rows are ignored, such as S0 I0 2024-01-01" in notes
    assert "1 rows belong to series without any row in sales.parquet, such as S0 unseen" in notes


def test_a_column_of_the_future_file_is_known_ahead(tmp_path):
    future = sales(price=3.0).drop(columns="units_sold").assign(sales_date=pd.Timestamp(FIRST) + timedelta(days=DAYS))
    folder = write(tmp_path / "shop", sales(price=2.0), future=future.drop_duplicates(["store_id", "item_id"]))
    history, out = read(folder, tmp_path)
    use = next(use for use in history.uses if use.file == "sales.parquet" and use.column == "price")
    assert (use.role, use.why) == ("known-ahead", "future.parquet has it")
    assert sorted(table(out, "prices")["price"].unique()) == [2.0, 3.0]


def test_calendar_stores_items_and_weather_are_taken_too(tmp_path):
    day = pd.Timestamp(FIRST) + timedelta(days=30)
    weather = {"region": ["north"], "issued_at": [day], "target_date": [day], "temperature_celsius": [3.0]}
    folder = write(
        tmp_path / "shop",
        sales(is_school_holiday=0, colour="red"),
        calendar=pd.DataFrame({"sales_date": [day], "is_public_holiday": [1], "is_open": [0], "moon": ["full"]}),
        stores=pd.DataFrame({"store_id": ["S0", "S1"], "region": ["north", "south"], "size": [1, 2]}),
        items=pd.DataFrame({"item_id": ["I0"], "discontinued_on": [day]}),
        weather_forecasts=pd.DataFrame({**weather, "precipitation_mm": [0.5]}),
    )
    history, out = read(folder, tmp_path)
    roles = {(use.file, use.column): use.role for use in history.uses}
    assert roles["sales.parquet", "colour"] == roles["calendar.parquet", "moon"] == "not used"
    assert roles["stores.parquet", "size"] == "not used"
    assert roles["calendar.parquet", "is_public_holiday"] == "known-ahead"
    assert roles["items.parquet", "discontinued_on"] == "static"
    assert len(table(out, "store_closures")) == len(table(out, "holidays")) == 2
    assert list(table(out, "weather_forecasts")["region"]) == ["S0"]
    assert table(out, "items")["discontinued_on"].notna().sum() == 1


@pytest.mark.parametrize(("place", "stores"), [({"store_id": "S1"}, ["S1"]), ({}, ["S0", "S1"])])
def test_weather_belongs_to_a_store_or_to_all(tmp_path, place, stores):
    day = pd.Timestamp(FIRST)
    weather = pd.DataFrame({"issued_at": [day], "target_date": [day], "temperature_celsius": [3.0]})
    folder = write(tmp_path / "shop", sales(), weather_forecasts=weather.assign(precipitation_mm=0.0, **place))
    assert sorted(table(read(folder, tmp_path)[1], "weather_forecasts")["region"]) == stores


def test_the_reader_itself_refuses_a_folder_without_sales(tmp_path):
    with pytest.raises(DatasetError, match=r"a sales\.parquet into it"):
        CanonicalFolder(tmp_path, database=tmp_path / "x.duckdb")


@pytest.mark.parametrize("sold", [0.0, 3.0])
@pytest.mark.parametrize("column", ["is_stocked_out", "units_on_hand"])
def test_a_day_that_sold_out_is_told_apart_from_one_that_did_not(tmp_path, column, sold):
    is_empty = np.tile(np.arange(DAYS) == 40, 6)
    frame = sales(units_sold=np.where(is_empty, sold, 5.0), **{column: is_empty == (column == "is_stocked_out")})
    history, out = read(write(tmp_path / "shop", frame), tmp_path)
    daily = table(out, "daily_sales")
    assert (daily["sales_date"][daily["is_stocked_out"]] == pd.Timestamp(FIRST) + timedelta(days=40)).all()
    assert daily["is_stocked_out"].sum() == 6
    assert len(daily) == 6 * DAYS
    assert any("6 days (0.8%) ended with an empty shelf" in note for note in history.notes)


def small_plan(**changed):
    declared = declarations.load("demand")
    fit = declared.fit.model_copy(update={"num_boost_round": 5, "min_data_in_leaf": 20})
    declared = declared.model_copy(update={"fit": fit, "origins": 12, "folds": 1})
    return backtest.BacktestPlan(**{"cutoffs": (CUTOFF,), "horizon_days": 7, "declaration": declared, **changed})


def odd_series():
    """Besides five constant series: one that never sold, one that sold once, one with gaps, a late one."""
    frame, day = sales(), pd.Timestamp(FIRST)
    never = frame[frame["item_id"] == "I0"].assign(item_id="never", units_sold=0.0)
    once = never.assign(item_id="once", units_sold=np.where(np.arange(DAYS) == 90, 1.0, 0.0))
    gaps = never.assign(item_id="gaps", units_sold=4.0)[np.arange(DAYS) % 3 == 0]
    late = never.assign(item_id="late", units_sold=4.0)[np.arange(DAYS) >= 110]
    asleep = never.assign(item_id="asleep", units_sold=np.where(np.arange(DAYS) < 20, 2.0, 0.0))
    assert day == frame["sales_date"].min()
    return pd.concat([frame, never, once, gaps, late, asleep], ignore_index=True)


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("odd") / "shop", odd_series())
    report = backtest.run(folder, folder / "out.parquet", small_plan())
    return report, pd.read_parquet(folder / "out.parquet").set_index("item_id")["mean"]


@pytest.mark.parametrize(
    ("item", "low", "high"),
    [
        ("I0", 4.0, 6.0),
        ("never", 0.0, 0.0),
        ("asleep", 0.0, 0.0),
        ("once", 0.0, 1.0),
        ("gaps", 0.2, 4.0),
    ],
)
def test_odd_series_have_an_outcome_each(odd, item, low, high):
    _, mean = odd
    assert len(mean[item]) == 7
    assert np.isfinite(mean[item]).all()
    assert mean[item].between(low, high).all()


def test_a_series_that_first_sells_after_the_cutoff_is_not_forecast(odd):
    assert "late" not in odd[1].index


def test_what_the_figures_leave_out_is_said(odd):
    report, _ = odd
    notes = " ".join([*report.history.notes, *report.notes])
    assert "2 of 10 series are not active" in notes
    assert "asleep@S0, never@S0" in notes
    assert "1 of 11 series were first seen after it" in notes
    assert "late@S0" in notes
    assert "days without a row count as days without sale" in notes


def test_too_little_to_calibrate_on_is_one_clear_failure(tmp_path):
    frame = sales().query("item_id == 'I0'")
    folder = write(tmp_path / "shop", frame)
    with pytest.raises(TrainingError, match="too little to learn from"):
        backtest.run(folder, folder / "out.parquet", small_plan(horizon_days=28))
    assert not (folder / "out.parquet").exists()


def test_a_shop_that_fell_asleep_is_one_clear_failure(tmp_path):
    frame = sales(units_sold=np.tile(np.where(np.arange(DAYS) < 10, 1.0, 0.0), 6))
    frame = pd.concat(
        [frame, frame.tail(1).assign(sales_date=pd.Timestamp(FIRST) + timedelta(days=500), units_sold=1.0)]
    )
    folder = write(tmp_path / "shop", frame)
    cutoff = FIRST + timedelta(days=490)
    declared = small_plan().declaration.model_copy(update={"origins": 4})
    with pytest.raises(TrainingError, match="No series was active"):
        backtest.run(folder, folder / "out.parquet", small_plan(cutoffs=(cutoff,), declaration=declared))


def test_a_shop_that_is_asleep_at_the_cutoff_has_nothing_to_forecast(tmp_path):
    frame = sales(units_sold=np.tile(np.where(np.arange(DAYS) < 35, 5.0, 0.0), 6))
    folder = write(tmp_path / "shop", frame)
    with pytest.raises(TrainingError, match="No series was active at 2024-04-09, so there is nothing to forecast"):
        backtest.run(folder, folder / "out.parquet", small_plan())


def test_forecasts_that_are_no_numbers_are_not_handed_out(tmp_path, monkeypatch):
    folder = write(tmp_path / "shop", odd_series())
    whole = backtest_cutoff.forecast

    def with_a_hole(*given, **named):
        rows = whole(*given, **named)
        rows.loc[rows["item_id"] == "I2", "q95"] = np.inf
        return rows

    monkeypatch.setattr(backtest_cutoff, "forecast", with_a_hole)
    with pytest.raises(
        PostConditionFailed, match="49 finite forecasts for 56 days of 8 active series; not finite: I2@S0"
    ):
        backtest.run(folder, folder / "out.parquet", small_plan())
    assert not (folder / "out.parquet").exists()


def test_an_outlier_that_is_ignored_moves_no_other_series(tmp_path):
    """A 10⁹ among units of five; the others' WAPE with it is that without it, give or take a tenth."""
    rng = np.random.default_rng(4)
    frame = pd.concat([sales(), sales().assign(store_id="S2")], ignore_index=True)
    frame["units_sold"] = rng.poisson(5, len(frame)).astype(float)
    errors = {}
    for name, value in {"without": 5.0, "with": 1e9}.items():
        frame.loc[60, "units_sold"] = value
        folder = write(tmp_path / name, frame, dataset="outliers: ignore")
        report = backtest.run(folder, folder / "out.parquet", small_plan())
        rows = pd.read_parquet(folder / "out.parquet").query("item_id != 'I0' or store_id == 'S2'")
        rows["sales_date"] = pd.to_datetime(rows["sales_date"])
        both = rows.merge(frame, on=["store_id", "item_id", "sales_date"])
        errors[name] = metrics.wape(both["units_sold"].to_numpy(), both["mean"].to_numpy())
    assert any("1 days of more than 10,000 times" in note and "S0 I0 2024-03-01" in note for note in report.notes)
    assert errors["with"] == pytest.approx(errors["without"], rel=0.1)
