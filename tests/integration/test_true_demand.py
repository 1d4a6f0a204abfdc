"""Forecasts against what customers wanted, which only the simulator knows, with and without the stock-outs told.

`.venv/bin/pytest -s tests/integration/test_true_demand.py` prints the figures.
"""

from datetime import date, timedelta

import pandas as pd
import pytest

from shelfcast.cold_store.feature_views import closed_at
from shelfcast.deployment.bundle import Bundle
from shelfcast.errors import PostConditionFailed
from shelfcast.hot_store.partition import packed
from shelfcast.model import declaration as declarations
from shelfcast.model.candidate import TrainingRecord
from shelfcast.serving.predictor import Predictor, Reason
from shelfcast.serving.vintage import check_contract, forecast_all
from shelfcast.sources.simulation_settings import SimulationSettings
from shelfcast.training.backtest import run as backtest
from shelfcast.training.backtest.features import build_features
from shelfcast.training.backtest.input import write_history
from shelfcast.training.backtest.rows import collect, fit
from shelfcast.training.backtest.store import BacktestStore
from shelfcast.training.progress import silent
from shelfcast_local.simulator.shop_files import SALES, TRUE_DEMAND, write_shop_files
from shelfcast_local.simulator.simulator import Simulator

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
SETTINGS = SimulationSettings(stores=4, items=24, history_days=560, short_deliveries=0.2)
CUTOFFS = (date(2025, 4, 6), date(2025, 6, 1))
KEY = ["store_id", "item_id", "sales_date"]
BLIND = "columns: {is_stocked_out: not used}\n"


def show(text):
    print(f"\n{text}", end="")  # noqa: T201 - the figures are what a person runs this for


def declared(*, rounds):
    """The shipped model on fewer origins and with fewer trees; every model here is cut down alike."""
    model = declarations.load("demand")
    fewer = model.fit.model_copy(update={"num_boost_round": rounds})
    return model.model_copy(update={"origins": 40, "folds": 1, "fit": fewer})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("simulated") / "shop"
    show(str(write_shop_files(Simulator(SETTINGS), path)))
    return path


def days_of(path):
    return pd.read_parquet(path).assign(sales_date=lambda rows: pd.to_datetime(rows["sales_date"]))


@pytest.fixture(scope="module")
def wanted(folder):
    """True demand of each series on each day that its store was open."""
    days = days_of(folder / SALES).query("is_open")[KEY]
    return days.merge(days_of(folder / TRUE_DEMAND), on=KEY)


@pytest.fixture(scope="module")
def forecasts(folder, tmp_path_factory):
    """By model: `aware` is told when a shelf was empty, `blind` is not, `all_seeing` learns from the true demand."""
    told = pd.read_parquet(folder / SALES)
    seen = told.assign(units_sold=pd.read_parquet(folder / TRUE_DEMAND)["units_demanded"], is_stocked_out=False)
    plan = backtest.BacktestPlan(
        cutoffs=CUTOFFS, horizon_days=28, declaration=declared(rounds=60), baselines=True, most_rows=60_000
    )
    found = {}
    for name, sales, dataset in (("aware", told, ""), ("blind", told, BLIND), ("all_seeing", seen, "")):
        copy = tmp_path_factory.mktemp(name)
        for path in folder.iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
        (copy / "dataset.yaml").write_text(dataset)
        sales.to_parquet(copy / SALES)
        backtest.run(copy, copy / "forecasts.parquet", plan)
        found[name] = days_of(copy / "forecasts.parquet")
    return found


def errors(forecasts, wanted, method="demand"):
    """WAPE and bias against the true demand, also of the days on which not all of it was sold."""
    rows = forecasts[forecasts["model"] == method].merge(wanted, on=KEY)
    total = rows["units_demanded"].sum()
    return (rows["mean"] - rows["units_demanded"]).abs().sum() / total, rows["mean"].sum() / total - 1


def test_true_demand_is_met_better_than_by_a_naive_method_and_by_a_blind_model(forecasts, wanted):
    naive, _ = errors(forecasts["aware"], wanted, "seasonal_naive_7")
    found = {name: errors(rows, wanted) for name, rows in forecasts.items()}
    for name, (wape, bias) in found.items():
        show(f"{name}: WAPE {wape:.1%} ({wape / naive:.2f} of the seasonal naive's), bias {bias:+.1%}")
    (wape, bias), (_, blind), (_, all_seeing) = found.values()
    assert wape <= 0.8 * naive
    assert abs(bias) < abs(blind)
    # the season moves all three alike; what the stock-outs hide is how far two of them are from the third
    assert blind < all_seeing
    assert abs(bias - all_seeing) < 0.5 * abs(blind - all_seeing)


@pytest.fixture(scope="module")
def served(folder, tmp_path_factory):
    """A release made on the last day of the history, and the vectors of that day."""
    work, model, cutoff = tmp_path_factory.mktemp("store"), declared(rounds=5), SETTINGS.last_history_date
    write_history(folder, work, data=None, lead_days=model.horizon, num_threads=1)
    with BacktestStore(work / "store.duckdb", num_threads=1) as store:
        store.load_history(work)
        origins = build_features(store, cutoff, model, most_rows=10_000).origins
        asked = {"cutoff": cutoff, "known_until": closed_at(store, cutoff), "first_origin": origins[0]}
        asked |= {"origin_step_days": model.origin_step_days, "horizon_days": model.horizon}
        rows = collect(store.batches(model.frame_statement, asked), model)
        fitted = fit(rows, model, seed=7, num_threads=1, progress=silent)
        record = TrainingRecord(model="demand", cutoff=cutoff)
        bundle = Bundle(release_id="demand-20250629-0123456789", model=fitted, record=record, metrics={})
        return Predictor(bundle), packed(store, model, cutoff)


def test_every_item_in_a_stores_range_gets_a_forecast_or_a_reason(served):
    """An item that is introduced within the horizon has a reason: nothing is known of it yet."""
    predictor, values = served
    cutoff, horizon = SETTINGS.last_history_date, predictor.declaration.horizon
    range_ahead = Simulator(SETTINGS).truth(cutoff + timedelta(days=1), cutoff + timedelta(days=horizon))
    active = sorted(set(range_ahead["item_id"] + "@" + range_ahead["store_id"]))
    ledger = forecast_all(predictor, active, values, business_date=cutoff)
    by_series = ledger.groupby("series_id")["reason_code"].first()
    counts = {"forecasts": int(by_series.isna().sum()), "reasons": int(by_series.notna().sum()), "rows": len(ledger)}
    show(f"{len(active)} active = {counts['forecasts']} forecasts + {counts['reasons']} reasons")
    check_contract(len(active), **counts, horizon_days=horizon)
    assert set(by_series.dropna()) == {str(Reason.UNKNOWN_SERIES)}
    assert (ledger["mean"].isna() == ledger["reason_code"].notna()).all()
    with pytest.raises(PostConditionFailed):
        check_contract(len(active) + 1, **counts, horizon_days=horizon)
