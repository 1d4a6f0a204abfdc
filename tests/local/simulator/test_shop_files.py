"""The files of a simulated shop: what a backtest takes from them, and what it cannot see."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from shelfcast.errors import ConfigurationError
from shelfcast.sources.canonical_folder import CanonicalFolder
from shelfcast.sources.simulation_settings import SimulationSettings
from shelfcast_cli.main import command_line
from shelfcast_local.simulator.shop_files import SALES, TRUE_DEMAND, ShopFiles, write_shop_files
from shelfcast_local.simulator.simulator import Simulator

SETTINGS = SimulationSettings(stores=2, items=16, history_days=150, short_deliveries=0.2)
KEY = ["store_id", "item_id", "sales_date"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> ShopFiles:
    return write_shop_files(Simulator(SETTINGS), tmp_path_factory.mktemp("simulated") / "shop")


@pytest.fixture(scope="module")
def sales(written: ShopFiles) -> pd.DataFrame:
    return pd.read_parquet(written.folder / SALES)


@pytest.fixture(scope="module")
def truth() -> pd.DataFrame:
    rows = Simulator(SETTINGS).truth(SETTINGS.first_day, SETTINGS.last_history_date)
    return rows.assign(sales_date=rows["sales_date"].dt.date).sort_values(KEY, ignore_index=True)


def test_the_days_are_those_of_the_simulator(written: ShopFiles, sales: pd.DataFrame, truth: pd.DataFrame) -> None:
    names = [*KEY, "units_sold", "is_stocked_out", "on_promotion", "discount", "price", "is_open"]
    pd.testing.assert_frame_equal(sales[names], truth[names])
    wanted = pd.read_parquet(written.folder / TRUE_DEMAND)
    pd.testing.assert_frame_equal(wanted, truth[[*KEY, "units_demanded", "expected_units"]])
    assert (sales["units_sold"] <= wanted["units_demanded"]).all()
    assert 0 < written.lost_share < written.stocked_out_share * 2


def test_holidays_are_those_of_the_stores_region(written: ShopFiles, sales: pd.DataFrame) -> None:
    tables = dict(list(Simulator(SETTINGS).history_tables())[:3])
    region = tables["stores"].to_pandas().set_index("store_id")["region"]
    rows = tables["holidays"].to_pandas()
    for kind in ("public", "school"):
        days = rows[rows["kind"] == kind].groupby("region")["holiday_on"].agg(set)
        expected = [
            day in days[region[store]] for store, day in zip(sales["store_id"], sales["sales_date"], strict=True)
        ]
        assert sales[f"is_{kind}_holiday"].tolist() == expected
        assert 0 < sum(expected) < len(sales)


def test_a_backtest_takes_the_folder_as_it_is_and_never_opens_the_true_demand(
    written: ShopFiles, tmp_path: Path
) -> None:
    (written.folder / TRUE_DEMAND).rename(tmp_path / TRUE_DEMAND)
    (written.folder / TRUE_DEMAND).write_text("no Parquet")
    try:
        read = CanonicalFolder(written.folder, database=tmp_path / "x.duckdb")
    finally:
        (tmp_path / TRUE_DEMAND).rename(written.folder / TRUE_DEMAND)
    roles = {use.column: use.role for use in read.uses if use.file == SALES}
    assert [name for name, role in roles.items() if role == "not used"] == []
    assert roles["is_stocked_out"] == "observed-only"
    assert {use.file for use in read.uses} == {SALES, "items.parquet", "stores.parquet", "weather_forecasts.parquet"}
    assert (read.first_date, read.last_date) == (SETTINGS.first_day, SETTINGS.last_history_date)


def test_the_shop_has_what_a_forecast_is_to_cope_with(sales: pd.DataFrame) -> None:
    assert sales["on_promotion"].any()
    sold_out = sales[sales["is_stocked_out"]]
    assert (sold_out["units_sold"] > 0).any()
    assert (sold_out["units_sold"] == 0).any()
    begins = sales.groupby("item_id")["sales_date"].min()
    assert begins.max() > SETTINGS.first_day + timedelta(days=28)
    sold_share = (sales["units_sold"] > 0).groupby(sales["item_id"]).mean()
    assert sold_share.min() < 0.4
    assert sold_share.max() > 0.8


def test_the_same_seed_writes_the_same_bytes_and_another_one_others(written: ShopFiles, tmp_path: Path) -> None:
    again = write_shop_files(Simulator(SETTINGS), tmp_path / "again").folder
    files = sorted(path.name for path in written.folder.iterdir())
    assert files == sorted(path.name for path in again.iterdir())
    assert all((again / name).read_bytes() == (written.folder / name).read_bytes() for name in files)
    other = write_shop_files(Simulator(SETTINGS.model_copy(update={"seed": 8})), tmp_path / "other").folder
    assert (other / SALES).read_bytes() != (again / SALES).read_bytes()


def test_without_short_deliveries_less_is_hidden(written: ShopFiles, tmp_path: Path) -> None:
    full = write_shop_files(Simulator(SETTINGS.model_copy(update={"short_deliveries": 0.0})), tmp_path / "full")
    assert full.lost_share < written.lost_share / 5


def test_a_folder_that_holds_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / SALES).write_text("mine")
    answered = CliRunner().invoke(command_line(), ["dataset", "write", str(tmp_path), "--days", "28"])
    assert isinstance(answered.exception, ConfigurationError)
    assert "holds sales.parquet" in str(answered.exception)
    assert (tmp_path / SALES).read_text() == "mine"


def test_the_command_says_what_it_wrote(tmp_path: Path) -> None:
    size = ["--stores", "2", "--items", "6", "--days", "28", "--seed", "3", "--short-deliveries", "0.5"]
    answered = CliRunner().invoke(command_line(), ["dataset", "write", str(tmp_path / "shop"), *size])
    assert answered.exit_code == 0, answered.exception
    assert f"{tmp_path / 'shop'}: 10 series, " in answered.output.replace("\n", "")
