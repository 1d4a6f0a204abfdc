"""Freezing a run's frame out of the shipped fake of the cold store."""

from datetime import date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from served_world import artifacts, cold_store

from shelfcast.cold_store import feature_views, load_batch
from shelfcast.model import declaration as declarations
from shelfcast.training import frame as frames
from shelfcast.training.frame import FRAME, digest, verify
from shelfcast.training.frame_rows import frame_parameters
from shelfcast_provider.training.freeze_frame_operator import FreezeFrameOperator

__all__ = ["artifacts", "cold_store"]

LAST = date(2025, 6, 30)
DAYS = [LAST - timedelta(days=back) for back in reversed(range(70))]
SERIES = [f"i{number}@s0" for number in range(30)]
PARAMS = {"cutoff": None, "folds": 2, "reason": "a test", "force": False, "horizon_days": 28, "trials": 0}


@pytest.fixture
def shop(cold_store, artifacts):
    """Ten weeks of thirty series, closed day by day; what is planned ahead is not built yet."""
    load_batch.prepare(cold_store)
    feature_views.prepare(cold_store)
    rng = np.random.default_rng(0)
    closed = [datetime.combine(day, time(23)) for day in DAYS]
    insert(cold_store, "OPERATIONS.BUSINESS_DATES", pd.DataFrame({"business_date": DAYS, "closed_at": closed}))
    keys = pd.MultiIndex.from_product([DAYS, SERIES], names=["business_date", "series_id"]).to_frame(index=False)
    series = keys["series_id"].str.split("@", expand=True)
    keys = keys.assign(item_id=series[0], store_id=series[1])
    insert(cold_store, "FEATURES.DEMAND", keys.assign(is_active=True, units_mean_28=5.0))
    sold = keys.rename(columns={"business_date": "sales_date"}).assign(is_stocked_out=False)
    known_at = pd.to_datetime(sold["sales_date"]) + timedelta(hours=22)
    insert(cold_store, "FEATURES.DAILY_SALES", sold.assign(units_sold=rng.poisson(5, len(sold)), known_at=known_at))
    return cold_store


def insert(store, table, rows):
    store.connection.register("given", rows)
    store.connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM given")


def freeze(run_id="a run", model="demand", **params):
    operator = FreezeFrameOperator(task_id="freeze", model=model)
    return operator.execute({"run_id": run_id, "params": PARAMS | params})


def frame_of(answer):
    return pd.read_parquet(Path(answer["folder"]) / FRAME)


def test_a_frame_holds_what_was_sold_by_the_cutoff_and_is_found_again(shop, artifacts):
    answer = freeze("manual__2025-07-01T03:00:00+00:00")
    frame = frame_of(answer)
    assert Path(answer["folder"]) == artifacts / "training" / "demand" / "manual__2025-07-01T03_00_00_00_00"
    assert (answer["rows"], answer["cutoff"]) == (len(frame), "2025-06-30")
    assert answer["digest"] == digest(Path(answer["folder"]) / FRAME)
    assert (frame["sales_date"].max(), frame["horizon_days"].max()) == (LAST, 28)
    shop.connection.execute("UPDATE FEATURES.DAILY_SALES SET units_sold = 99")
    assert freeze("manual__2025-07-01T03:00:00+00:00") == answer


def test_the_trials_that_were_asked_for_are_frozen_with_the_frame(shop):
    assert verify(Path(freeze("as declared")["folder"])).trials == 0
    assert verify(Path(freeze("searched", trials=20)["folder"])).trials == 20


def test_an_earlier_cutoff_is_kept_to(shop):
    answer = freeze(cutoff="2025-06-20")
    assert answer["cutoff"] == "2025-06-20"
    assert frame_of(answer)["sales_date"].max() == date(2025, 6, 20)


def test_a_run_of_fewer_days_leaves_whole_partitions_for_the_runs_after_it(shop):
    short = frame_of(freeze("short", horizon_days=7))
    assert short["horizon_days"].max() == 7
    spans = "SELECT DISTINCT n FROM (SELECT COUNT(DISTINCT horizon_days) n FROM FEATURES.DEMAND_AHEAD GROUP BY business_date)"
    assert shop.connection.execute(spans).fetchall() == [(28,)]
    after = freeze("whole")
    shop.connection.execute("DELETE FROM FEATURES.DEMAND_AHEAD")
    assert after["digest"] == freeze("on its own")["digest"]


def of_a_ceiling(monkeypatch, most_rows):
    """Lets demand learn from so many rows, which a declaration may not say: a shop of that size fits in a test."""
    declared = declarations.load("demand").model_copy(update={"most_rows": most_rows})
    monkeypatch.setattr(declarations, "load", lambda _: declared)


def test_of_more_rows_than_the_model_learns_from_each_origin_keeps_a_part_of_its_series(shop, monkeypatch):
    whole, about = frame_of(freeze("whole")), verify(Path(freeze("whole")["folder"]))
    assert (about.rows, about.of_rows) == (len(whole), len(whole))
    of_a_ceiling(monkeypatch, 3_000)
    answer = freeze("sampled")
    sampled, manifest = frame_of(answer), verify(Path(answer["folder"]))
    active = len(SERIES) * len([day for day in DAYS if (LAST - day).days % 7 == 0])
    assert (manifest.rows, manifest.of_rows) == (len(sampled), active * 28)
    # an oracle: the hash as DuckDB has it, series by series
    shop.connection.register("keys", whole[["series_id", "business_date"]].drop_duplicates())
    hashed = shop.connection.sql("SELECT *, hash(series_id, business_date::DATE) % 1000 AS place FROM keys").df()
    kept = hashed.loc[hashed["place"] < 1000 * 3_000 // (active * 28), ["series_id", "business_date"]]
    wanted = whole.assign(business_date=pd.to_datetime(whole["business_date"])).merge(kept)
    wanted = wanted.sort_values(["business_date", "series_id", "horizon_days"], ignore_index=True)
    pd.testing.assert_frame_equal(sampled.assign(business_date=pd.to_datetime(sampled["business_date"])), wanted)
    assert sampled.groupby("business_date")["series_id"].agg(lambda ids: tuple(sorted(set(ids)))).nunique() > 3
    assert freeze("again")["digest"] == answer["digest"]


def test_of_fewer_rows_nothing_is_left_out(shop, monkeypatch):
    whole = verify(Path(freeze("whole")["folder"]))
    active = len(SERIES) * len([day for day in DAYS if (LAST - day).days % 7 == 0])
    of_a_ceiling(monkeypatch, active * 28)
    assert verify(Path(freeze("just as many")["folder"])) == whole
    of_a_ceiling(monkeypatch, active * 28 - 1)
    assert verify(Path(freeze("one row too many")["folder"])).of_rows == active * 28 > whole.of_rows


def test_what_is_unloaded_is_frozen_as_the_same_rows_in_one_piece_would_be(shop, tmp_path, monkeypatch):
    """The control of writing in pieces: the bytes are those of a frame that was held whole."""
    monkeypatch.setattr(frames, "ROW_GROUP_ROWS", 1_000)
    frozen = Path(freeze()["folder"]) / FRAME
    declared = declarations.load("demand")
    asked = frame_parameters(shop, declared, LAST, horizon_days=28)
    fetched = shop.fetch(declared.frame_statement, asked)
    days = {name: pd.to_datetime(fetched[name]).dt.date for name in ("business_date", "sales_date")}
    table = pa.Table.from_pandas(fetched.assign(**days), preserve_index=False).replace_schema_metadata(None)
    pq.write_table(table, tmp_path / "whole.parquet", compression="zstd", row_group_size=1_000)
    assert pq.read_schema(frozen).equals(table.schema)
    assert pq.read_table(frozen).equals(table)
    assert frozen.read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_a_regression_has_a_frame_without_horizon(shop):
    orders = pd.DataFrame({"order_id": range(600), "customer_id": np.arange(600) % 9, "order_amount": 10.0})
    at = pd.Timestamp(LAST) - pd.to_timedelta(np.arange(600) % 60, unit="D")
    orders = orders.assign(ordered_at=at, known_at=at, status="completed", op="r", generation=1, position_ordinal=0)
    insert(shop, "RAW.ORDERS_CHANGES", orders)
    answer = freeze(model="order_value", horizon_days=None)
    assert answer["rows"] == 600


@pytest.mark.parametrize(
    ("spoil", "params", "says"),
    [
        ("DELETE FROM FEATURES.DEMAND", {}, "no business date has features"),
        (None, {"cutoff": "2025-07-01"}, "2025-07-01 lies after the latest complete business date, 2025-06-30"),
        ("DELETE FROM OPERATIONS.BUSINESS_DATES", {}, "2025-06-30 is not a complete business date"),
        (None, {"cutoff": "2025-04-23"}, "Nothing to train demand on yet: 0 rows"),
    ],
    ids=["no features", "after the latest", "not closed", "too short"],
)
def test_nothing_to_train_on_is_a_skip_with_the_reason(shop, artifacts, spoil, params, says):
    if spoil:
        shop.connection.execute(spoil)
    with pytest.raises(AirflowSkipException, match=says):
        freeze(**params)
    assert [path for path in artifacts.rglob("*") if path.is_file()] == []


def test_a_frame_that_was_edited_fails_for_good(shop):
    path = Path(freeze()["folder"]) / FRAME
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(AirflowFailException, match="was frozen with digest"):
        freeze()
