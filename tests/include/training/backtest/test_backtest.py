"""Backtests on a small world of files: what is written, what must not leak, and how errors are told."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from shelfcast.errors import ConfigurationError, DatasetError
from shelfcast.model import declaration as declarations
from shelfcast.model.segments import demand_class
from shelfcast.sources.canonical_columns import ColumnUse
from shelfcast.training.backtest import run as backtest
from shelfcast.training.backtest.scores import scores
from shelfcast.training.backtest.store import BacktestStore

FIRST, DAYS, HORIZON = date(2024, 1, 1), 150, 14
CUTOFF = FIRST + timedelta(days=119)
KEY = ["store_id", "item_id", "sales_date"]


def small_declaration():
    declared = declarations.load("demand")
    fit = declared.fit.model_copy(update={"num_boost_round": 8, "min_data_in_leaf": 20})
    return declared.model_copy(update={"fit": fit, "origins": 12, "folds": 2})


def sales(seed=5, count=DAYS):
    """Nine series of so many days with a week, promotions, a price and a closed day each Sunday of store 3."""
    rng = np.random.default_rng(seed)
    days = pd.date_range(FIRST, periods=count)
    parts = []
    for number in range(9):
        promoted = ((np.arange(count) // 7 + number) % 4 == 0).astype(int)
        is_open = np.where((number % 3 == 2) & (days.weekday == 6), 0, 1)
        mean = (2 + number) * np.array([0.8, 0.8, 0.9, 1, 1.3, 1.6, 0.6])[days.weekday] * (1 + promoted) * is_open
        part = {"store_id": number % 3 + 1, "item_id": f"I{number // 3}", "sales_date": days}
        part |= {"units_sold": rng.poisson(mean), "on_promotion": promoted, "is_open": is_open, "price": 4.0 - promoted}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True).astype({"units_sold": float})


def write(folder, frame, **others):
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in {"sales": frame, **others}.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    return folder


def run(folder, *, cutoffs=(CUTOFF,), horizon=HORIZON, baselines=False, declared=None, **changed):
    plan = backtest.BacktestPlan(
        cutoffs=tuple(cutoffs),
        horizon_days=horizon,
        declaration=declared or small_declaration(),
        baselines=baselines,
        **changed,
    )
    out = folder / "out.parquet"
    report = backtest.run(folder, out, plan)
    return report, pd.read_parquet(out)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("canonical") / "shop", sales())


@pytest.fixture(scope="module")
def found(folder):
    return run(folder, baselines=True)


@pytest.fixture
def forecasts(found):
    return found[1]


def of_model(forecasts, name="demand"):
    return forecasts[forecasts["model"] == name].set_index(KEY).sort_index()


def test_every_series_has_a_forecast_for_every_day_ahead(found):
    report, forecasts = found
    rows = of_model(forecasts)
    assert list(forecasts.columns) == [*KEY[:2], "cutoff", "sales_date", "mean", *backtest_quantiles(), "model"]
    assert len(rows) == 9 * HORIZON
    assert rows.index.is_unique
    assert report.rows == len(forecasts)
    assert set(forecasts["cutoff"]) == {CUTOFF}
    assert set(forecasts["sales_date"]) == {CUTOFF + timedelta(days=day) for day in range(1, HORIZON + 1)}


def backtest_quantiles():
    return ["q05", "q25", "q50", "q75", "q95"]


def test_quantiles_ascend_and_no_forecast_is_negative(forecasts):
    quantiles = of_model(forecasts)[backtest_quantiles()].to_numpy()
    assert (np.diff(quantiles, axis=1) >= 0).all()
    assert (quantiles >= 0).all()
    assert (of_model(forecasts)["mean"] >= 0).all()


def test_whole_number_ids_come_back_as_they_were_given(forecasts):
    assert forecasts["store_id"].dtype == np.int64
    assert set(forecasts["item_id"]) == {"I0", "I1", "I2"}


def test_a_day_on_which_the_store_is_closed_is_forecast_as_zero(forecasts):
    rows = of_model(forecasts).reset_index()
    sunday = pd.to_datetime(rows["sales_date"]).dt.weekday == 6
    closed = sunday & (rows["store_id"] == 3)
    assert (rows.loc[closed, ["mean", "q95"]] == 0).all(axis=None)
    assert (rows.loc[~closed, "mean"] > 0).all()


def test_simple_methods_are_written_without_quantiles(found):
    report, forecasts = found
    names = set(forecasts["model"]) - {"demand"}
    assert report.scores["strongest_simple"].iloc[0] in names
    assert forecasts.loc[forecasts["model"] != "demand", backtest_quantiles()].isna().all(axis=None)
    without = [column for column in forecasts if column not in backtest_quantiles()]
    assert forecasts[without].notna().all(axis=None)


def test_seasonal_naive_is_the_last_same_weekday(forecasts):
    sold = sales().set_index(KEY)["units_sold"]
    for key, row in of_model(forecasts, "seasonal_naive_7").iterrows():
        store, item, day = key
        if (store, pd.Timestamp(day).weekday()) == (3, 6):
            continue
        back = pd.Timestamp(day) - timedelta(days=7 * (((day - CUTOFF).days - 1) // 7 + 1))
        assert row["mean"] == sold[store, item, back]


@pytest.mark.parametrize(
    ("column", "when", "changes"),
    [
        ("units_sold", "after", False),
        ("price", "after", False),
        ("units_sold", "before", True),
        ("on_promotion", "after", True),
    ],
)
def test_only_what_was_known_at_the_cutoff_moves_a_forecast(tmp_path, forecasts, column, when, changes):
    frame = sales()
    is_after = frame["sales_date"] > pd.Timestamp(CUTOFF)
    chosen = (
        is_after if when == "after" else ~is_after & (frame["sales_date"] > pd.Timestamp(CUTOFF) - timedelta(days=9))
    )
    frame.loc[chosen, column] = (
        1 - frame.loc[chosen, column] if column == "on_promotion" else frame.loc[chosen, column] * 7 + 3
    )
    _, changed = run(write(tmp_path / "shop", frame), baselines=True)
    same = changed.equals(forecasts)
    assert same is not changes


def test_rows_after_the_cutoff_may_be_missing_altogether(tmp_path, forecasts):
    frame = sales()
    known = frame[frame["sales_date"] <= pd.Timestamp(CUTOFF)]
    future = frame[frame["sales_date"] > pd.Timestamp(CUTOFF)].drop(columns=["units_sold", "price"])
    report, ahead = run(write(tmp_path / "shop", known, future=future), baselines=True)
    pd.testing.assert_frame_equal(ahead, forecasts)
    assert report.scores.empty
    assert "nothing was sold after it yet" in report.notes[0]


@pytest.mark.parametrize("horizon", [5, HORIZON])
def test_rows_beyond_the_horizon_change_no_forecast(tmp_path, horizon):
    """Of what is known ahead, the plan of the horizon is all: promotions and holidays go on behind it, prices change."""
    frame, last = sales(), pd.Timestamp(CUTOFF) + timedelta(days=horizon)
    day = (frame["sales_date"] - last).dt.days
    frame["on_promotion"] |= day.between(-3, 30)
    frame["is_public_holiday"] = day.isin([-40, -9, 0, 3, 6]).astype(int)
    frame["is_school_holiday"] = day.between(-2, 9).astype(int)
    frame.loc[(day > 0) & (frame["sales_date"].dt.weekday < 2), "is_open"] = 0
    frame.loc[day > 2, "price"] = 9.0
    roles = write(tmp_path / "roles", frame)
    (roles / "dataset.yaml").write_text("columns: {price: known-ahead}")
    declared = small_declaration().model_copy(update={"origins": 17})
    _, whole = run(roles, horizon=horizon, declared=declared)
    write(roles, frame[day <= 0])
    _, cut = run(roles, horizon=horizon, declared=declared)
    pd.testing.assert_frame_equal(cut, whole)


def test_future_rows_in_the_past_file_are_taken_as_plans(tmp_path, forecasts):
    frame = sales()
    frame.loc[frame["sales_date"] > pd.Timestamp(CUTOFF), ["units_sold", "price"]] = np.nan
    _, ahead = run(write(tmp_path / "shop", frame), baselines=True)
    pd.testing.assert_frame_equal(ahead, forecasts)


def test_the_same_files_give_the_same_forecasts_in_any_order_of_rows(tmp_path, forecasts):
    shuffled = sales().sample(frac=1, random_state=3)
    _, again = run(write(tmp_path / "shop", shuffled), baselines=True)
    pd.testing.assert_frame_equal(again, forecasts)


FOREIGN = {
    "store_id": "Filiale",
    "item_id": "Artikel",
    "sales_date": "Tag",
    "units_sold": "Absatz",
    "on_promotion": "Aktion",
    "is_open": "offen",
}
DECLARATION = """
name: foreign
sales:
  file: Verkauf.parquet
  columns: {store_id: Filiale, item_id: Artikel, sales_date: Tag, units: Absatz}
tables:
  promotions:
    sql: |
      SELECT Filiale AS store_id, Artikel AS item_id, min(Tag) AS starts_on, max(Tag) AS ends_on,
        min(Tag) - INTERVAL 14 DAY AS announced_at
      FROM (
        SELECT *, Tag - to_days(CAST(row_number() OVER (PARTITION BY Filiale, Artikel ORDER BY Tag) AS INTEGER)) AS run
        FROM "Verkauf.parquet" WHERE Aktion = 1
      ) GROUP BY Filiale, Artikel, run
  store_closures:
    sql: |
      SELECT DISTINCT Filiale AS store_id, Tag AS closed_on, Tag - INTERVAL 14 DAY AS announced_at
      FROM "Verkauf.parquet" WHERE offen = 0
"""


def test_a_declaration_of_the_same_sales_under_other_names_forecasts_the_same(tmp_path):
    """Promotions of a day each: of longer ones the declaration tells the end, however far ahead it is."""
    frame = sales().drop(columns="price")
    frame["on_promotion"] &= frame["sales_date"].dt.weekday == 2
    _, canonical = run(write(tmp_path / "canonical", frame), baselines=True)
    declared = tmp_path / "declared"
    declared.mkdir()
    frame.rename(columns=FOREIGN).to_parquet(declared / "Verkauf.parquet", index=False)
    (declared / "dataset.yaml").write_text(DECLARATION)
    _, mapped = run(declared, baselines=True)
    assert (mapped["store_id"] == canonical["store_id"].astype(str)).all()
    for name in ("item_id", "sales_date", "model"):
        assert (mapped[name] == canonical[name]).all()
    np.testing.assert_allclose(mapped["mean"], canonical["mean"], rtol=1e-6)
    np.testing.assert_allclose(mapped["q95"], canonical["q95"], rtol=1e-6)


def test_a_second_cutoff_changes_nothing_at_the_first(folder, forecasts):
    report, both = run(folder, cutoffs=(CUTOFF, CUTOFF + timedelta(days=9)), baselines=True)
    first = both[both["cutoff"] == CUTOFF].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, forecasts)
    assert len(report.scores["cutoff"].unique()) == 2


def test_fewer_rows_to_train_on_still_forecast_every_series(folder):
    _, thinned = run(folder, most_rows=1300)
    assert len(of_model(thinned)) == 9 * HORIZON


def test_errors_agree_with_the_file_and_the_sales(found):
    report, forecasts = found
    rows = of_model(forecasts).reset_index().assign(sales_date=lambda frame: pd.to_datetime(frame["sales_date"]))
    both = rows.merge(sales(), on=KEY)
    both = both[both["is_open"] == 1]
    whole = report.scores.set_index("segment").loc["all"]
    error = both["units_sold"] - both["mean"]
    assert whole["rows"] == len(both)
    assert whole["wape"] == pytest.approx(error.abs().sum() / both["units_sold"].sum(), rel=1e-5)
    assert whole["bias"] == pytest.approx(both["mean"].sum() / both["units_sold"].sum() - 1, abs=1e-5)
    # of the days that hit an end of the interval as many count as outside as each tail's 5 % has room for
    below, at_or_below = ((both["units_sold"] < both["q05"]).mean(), (both["units_sold"] <= both["q05"]).mean())
    above, at_or_above = ((both["units_sold"] > both["q95"]).mean(), (both["units_sold"] >= both["q95"]).mean())
    outside = min(max(0.05, below), at_or_below) + min(max(0.05, above), at_or_above)
    assert whole["coverage_90"] == pytest.approx(1 - outside)
    assert {
        "week 1 ahead",
        "week 2 ahead",
        "on promotion",
        "without promotion",
        "smooth demand",
        "large stores",
    } <= set(report.scores["segment"])
    assert "item × store × day" in report.level
    assert min(report.wall_seconds, report.cpu_seconds, report.peak_bytes) > 0


def test_a_series_scale_is_that_of_a_loop(tmp_path):
    with BacktestStore(tmp_path / "x.duckdb", num_threads=1) as store:
        from shelfcast.training.backtest.input import write_history

        folder = write(tmp_path / "shop", sales())
        (tmp_path / "tables").mkdir()
        write_history(folder, tmp_path / "tables", data=None, lead_days=HORIZON, num_threads=1)
        store.load_history(tmp_path / "tables")
        until = pd.Timestamp(CUTOFF) + timedelta(seconds=86399)
        scale = store.fetch("training/series_scale", {"cutoff": CUTOFF, "known_until": until}).set_index("series_id")
    for (store_id, item), part in sales().groupby(["store_id", "item_id"]):
        known = part[(part["sales_date"] <= pd.Timestamp(CUTOFF)) & (part["is_open"] == 1)]["units_sold"].to_numpy()
        known = known[np.flatnonzero(known)[0] :]
        row = scale.loc[f"{item}@{store_id}"]
        assert row["squared_step"] == pytest.approx(np.mean(np.diff(known) ** 2))
        assert row["demand_interval"] == pytest.approx(len(known) / (known > 0).sum())
        assert row["size_variation"] == pytest.approx(known[known > 0].std(ddof=1) / known[known > 0].mean())


def test_rmsse_is_the_mean_over_series_of_scaled_errors():
    rows = pd.DataFrame({"series_id": ["a", "a", "b"], "horizon_days": [1, 2, 8], "on_promotion": [0.0, 1.0, 0.0]})
    rows = rows.assign(store_group=["big", "big", "small"])
    rows = rows.assign(
        actual=[1.0, 3.0, 10.0], mean=[2.0, 1.0, 10.0], simple_x=[1.0, 3.0, 12.0], simple_y=[9.0, 9.0, 9.0]
    )
    rows = rows.assign(**dict.fromkeys(backtest_quantiles(), 2.0))
    rows = rows.assign(store_id=["S", "S", "T"], zero_share_28=[0.0, 0.0, 0.5], units_mean_28=1.0, units_std_28=1.1)
    scale = pd.DataFrame({"series_id": ["a", "b"], "squared_step": [4.0, 0.0]})
    table = scores(rows, scale, declarations.load("demand")).set_index("segment")
    assert table.loc["all", "rmsse"] == pytest.approx((np.mean([1.0, 4.0]) / 4.0) ** 0.5)
    assert table.loc["all", "strongest_simple"] == "x"
    assert table.loc["all", "ratio"] == pytest.approx(3 / 2)
    assert table.loc["week 2 ahead", "rows"] == 1
    assert table.loc["intermittent demand", "rows"] == 1
    assert table.loc["store group big", "wape"] == pytest.approx(3 / 4)
    assert table.loc["store group small", "wape"] == 0


def test_demand_classes_are_those_of_syntetos_and_boylan():
    """Squared variations of selling days of 0.04 and 0.81, each with a sale a day and with two in three days."""
    share = np.array([0.0, 0.0, 1 / 3, 1 / 3, 1.0])
    deviation = np.sqrt([0.04, 0.81, 0.56, 1.715, 0.0])
    found = demand_class(share, np.array([1.0, 1.0, 1.0, 1.0, 0.0]), deviation)
    assert list(found) == ["smooth", "erratic", "intermittent", "lumpy", "unknown"]


@pytest.mark.parametrize(
    ("cutoff", "horizon", "words"),
    [
        (FIRST + timedelta(days=DAYS), HORIZON, "lies after the last day"),
        (FIRST + timedelta(days=20), HORIZON, "leaves fewer than 28 days"),
        (FIRST + timedelta(days=100), 56, "leaves fewer than 112 days"),
        (
            FIRST + timedelta(days=149),
            90,
            "leaves fewer than 180 days.*A horizon of 90 days is learned from at least twice",
        ),
    ],
)
def test_a_cutoff_outside_of_the_history_is_refused(folder, cutoff, horizon, words):
    with pytest.raises(DatasetError, match=words):
        run(folder, cutoffs=[cutoff], horizon=horizon)
    assert not (folder / ".out.parquet.part").exists()


@pytest.mark.parametrize("horizon", [90, 120])
def test_a_horizon_of_months_has_every_row_week_and_interval(tmp_path, horizon):
    """The cutoff leaves twice the horizon to learn from, and the whole of it to score."""
    cutoff = FIRST + timedelta(days=2 * horizon + 13)
    shop = write(tmp_path / "shop", sales(count=3 * horizon + 14))
    declared = small_declaration().model_copy(update={"origins": 160})
    report, forecasts = run(shop, cutoffs=[cutoff], horizon=horizon, declared=declared)
    rows = of_model(forecasts)
    days = {cutoff + timedelta(days=day) for day in range(1, horizon + 1)}
    assert len(rows) == 9 * horizon
    assert rows.groupby(KEY[:2])["mean"].count().tolist() == [horizon] * 9
    assert set(forecasts["sales_date"]) == days
    numbers = rows[["mean", *backtest_quantiles()]].to_numpy()
    assert np.isfinite(numbers).all()
    assert (np.diff(numbers[:, 1:], axis=1) >= 0).all()
    table = report.scores.set_index("segment")
    weeks = [f"week {number} ahead" for number in range(1, -(-horizon // 7) + 1)]
    assert [name for name in table.index if name.startswith("week ")] == weeks
    assert table.loc[weeks, "rows"].sum() == table.loc["all", "rows"]
    assert table.loc[weeks, ["wape", "pinball", "coverage_90"]].notna().all(axis=None)
    assert 0.7 < table.loc["all", "coverage_90"] < 0.99
    open_rows = rows[rows["mean"] > 0]
    assert (open_rows["q95"] > open_rows["q05"]).all()


@pytest.mark.parametrize(
    ("model", "cutoffs", "horizon", "words"),
    [
        ("demand", "", 28, "No cutoff is given"),
        ("demand", "2015-13-01", 28, "'2015-13-01' is no date"),
        ("demand", "2015-01-01", 367, "367 days; write 1 to 366"),
        ("order_value", "2015-01-01", 28, "order_value is a regression"),
        ("nothing", "2015-01-01", 28, "no model nothing"),
    ],
)
def test_a_plan_that_no_dataset_could_fulfil_is_refused_before_any_work(model, cutoffs, horizon, words):
    with pytest.raises(ConfigurationError, match=words):
        backtest.plan(model, cutoffs, horizon, baselines=False)


def test_a_plan_takes_each_cutoff_once_in_order():
    plan = backtest.plan("demand", "2015-06-19, 2015-05-08,2015-06-19", 42, baselines=True)
    assert plan.cutoffs == (date(2015, 5, 8), date(2015, 6, 19))
    assert plan.steps > 10


def test_columns_say_how_they_were_taken(found):
    uses = {use.column: use.role for use in found[0].history.uses}
    assert uses == {
        "store_id": "key",
        "item_id": "key",
        "sales_date": "key",
        "units_sold": "target",
        "on_promotion": "known-ahead",
        "is_open": "known-ahead",
        "price": "observed-only",
    }
    assert all(isinstance(use, ColumnUse) for use in found[0].history.uses)
