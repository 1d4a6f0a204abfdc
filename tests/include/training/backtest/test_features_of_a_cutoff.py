"""Features in chunks of series are those in one piece, a sample is the same every time, and memory has a limit."""

from datetime import date, timedelta

import duckdb
import numpy as np
import pandas as pd
import pytest
from bench.synthetic_sales import write_sales

from shelfcast.duckdb_file import open_database
from shelfcast.model import declaration as declarations
from shelfcast.training.backtest import run as backtest
from shelfcast.training.backtest.cutoff import CutoffRun
from shelfcast.training.backtest.features import build_features
from shelfcast.training.backtest.input import write_history
from shelfcast.training.backtest.store import BacktestStore

FIRST, DAYS, SERIES, HORIZON = date(2024, 1, 1), 200, 81, 14
CUTOFF = FIRST + timedelta(days=DAYS - 1 - HORIZON)
IN_ONE_PIECE, IN_CHUNKS = 10**9, 7 * DAYS
"""Chunks of seven series, so that the two of an item are not always together."""
KEYS = {"FEATURES.DEMAND": ["series_id", "business_date"], "FEATURES.DEMAND_AHEAD": ["series_id", "business_date"]}
KEYS["FEATURES.DEMAND_AHEAD"] = [*KEYS["FEATURES.DEMAND_AHEAD"], "horizon_days"]


class WithoutNeighbours(BacktestStore):
    """Leaves the means of a store and an item as each chunk has them."""

    def run(self, name, parameters=None, **names):
        return 0 if name == "training/set_neighbour_means" else super().run(name, parameters, **names)


def small_declaration():
    declared = declarations.load("demand")
    fit = declared.fit.model_copy(update={"num_boost_round": 8, "min_data_in_leaf": 20})
    return declared.model_copy(update={"fit": fit, "origins": 12, "folds": 2, "horizon_days": HORIZON})


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_sales(folder, series=SERIES, days=DAYS, first_date=FIRST)
    tables = folder / "tables"
    tables.mkdir()
    return folder, tables, write_history(folder, tables, data=None, lead_days=HORIZON, num_threads=1, memory_gib=1)


@pytest.fixture
def opened(shop, tmp_path):
    """Makes a store of the shop's tables."""
    stores = []

    def made(kind=BacktestStore):
        store = kind(tmp_path / f"{len(stores)}.duckdb", num_threads=1, memory_gib=1)
        store.load_history(shop[1])
        stores.append(store)
        return store

    yield made
    for store in stores:
        store.connection.close()


def features(store, table, *, panel_rows, most_rows=10**9):
    build_features(store, CUTOFF, small_declaration(), most_rows=most_rows, panel_rows=panel_rows)
    return store.connection.execute(f"SELECT * FROM {table}").df().sort_values(KEYS[table], ignore_index=True)


def differing(found, wanted):
    """Columns that differ by more than 1e-6 anywhere."""
    assert len(found) == len(wanted) > 0
    assert found[["series_id", "business_date"]].equals(wanted[["series_id", "business_date"]])
    numbers = wanted.select_dtypes(["number", "bool"])
    return [
        name
        for name in numbers
        if not np.allclose(found[name].astype(float), wanted[name].astype(float), rtol=0, atol=1e-6, equal_nan=True)
    ]


@pytest.mark.parametrize("table", KEYS)
def test_features_in_chunks_are_those_in_one_piece(opened, table):
    wanted = features(opened(), table, panel_rows=IN_ONE_PIECE)
    store = opened()
    assert len(store.chunks(most_series=IN_CHUNKS // DAYS)) > 4
    assert differing(features(store, table, panel_rows=IN_CHUNKS), wanted) == []


def test_without_the_means_over_all_chunks_two_features_would_be_wrong(opened):
    wanted = features(opened(), "FEATURES.DEMAND", panel_rows=IN_ONE_PIECE)
    found = features(opened(WithoutNeighbours), "FEATURES.DEMAND", panel_rows=IN_CHUNKS)
    assert differing(found, wanted) == ["store_units_mean_28", "item_units_mean_28"]


def forecasts(shop, store, *, panel_rows, most_rows=10**9):
    limits = {"most_rows": most_rows, "num_threads": 1, "seed": 7}
    run = CutoffRun(store, shop[2], small_declaration(), panel_rows=panel_rows, **limits)
    rows = run.forecasts(CUTOFF)
    return rows, run.scored(CUTOFF, rows), run.notes


def test_forecasts_and_scores_in_chunks_are_those_in_one_piece(shop, opened):
    wanted, wanted_scores, _ = forecasts(shop, opened(), panel_rows=IN_ONE_PIECE)
    found, found_scores, _ = forecasts(shop, opened(), panel_rows=IN_CHUNKS)
    pd.testing.assert_frame_equal(found, wanted, check_exact=False, rtol=1e-6, atol=1e-6)
    pd.testing.assert_frame_equal(found_scores, wanted_scores, check_exact=False, rtol=1e-6, atol=1e-6)


def test_chunks_hold_each_series_once(opened):
    store = opened()
    chunks = store.chunks(most_series=7)
    counts = []
    for first, last in chunks:
        store.see_series(first, last)
        counts.append(len(store.series()))
    store.see_all()
    assert sum(counts) == len(store.series()) == SERIES
    assert max(counts) == 7


def sampled(store):
    found = features(store, "FEATURES.DEMAND", panel_rows=IN_CHUNKS, most_rows=2_000)
    return found[["series_id", "business_date"]]


def test_a_sample_is_the_same_every_time_and_smaller_than_the_whole(opened):
    first, second = sampled(opened()), sampled(opened())
    pd.testing.assert_frame_equal(first, second)
    assert len(first) < 12 * SERIES / 2
    at_cutoff = first["business_date"] == pd.Timestamp(CUTOFF)
    assert at_cutoff.sum() == SERIES
    assert first[~at_cutoff].groupby("business_date")["series_id"].agg(tuple).nunique() > 1


def test_a_sample_is_chosen_by_the_hash_of_series_and_origin(opened):
    """The oracle is DuckDB's own: a sample that changes would change the figures of every backtest that has one."""
    store = opened()
    whole = features(store, "FEATURES.DEMAND", panel_rows=IN_CHUNKS)[["series_id", "business_date"]]
    store.connection.register("whole", whole)
    kept = 1000 * 2_000 // (len(whole) * HORIZON)
    asked = f"business_date = '{CUTOFF}' OR hash(series_id, business_date::DATE) % 1000 < {kept}"
    wanted = store.connection.sql(f"SELECT * FROM whole WHERE {asked} ORDER BY ALL").df()
    found = sampled(store).sort_values(["series_id", "business_date"], ignore_index=True)
    pd.testing.assert_frame_equal(found, wanted, check_dtype=False)


def test_a_sample_to_learn_from_leaves_every_series_forecast_and_scored(shop, opened):
    whole, scored, silent = forecasts(shop, opened(), panel_rows=IN_CHUNKS)
    rows, scored_too, notes = forecasts(shop, opened(), panel_rows=IN_CHUNKS, most_rows=3_000)
    assert silent == []
    assert "about 3,000 of them" in notes[0]
    assert list(rows["series_id"]) == list(whole["series_id"])
    assert list(scored_too["rows"]) == list(scored["rows"])
    assert not np.allclose(rows["mean"], whole["mean"], rtol=1e-3)


def test_the_declared_cap_is_taken_unless_another_is_asked_for(shop, tmp_path):
    declared = small_declaration().model_copy(update={"most_rows": 2_500})
    notes = []
    for asked in (None, 1_000_000):
        plan = backtest.BacktestPlan(
            cutoffs=(CUTOFF,), horizon_days=HORIZON, declaration=declared, baselines=False, most_rows=asked
        )
        notes.append(backtest.run(shop[0], tmp_path / "out.parquet", plan).notes)
    assert "about 2,500" in notes[0][0]
    assert notes[1] == []


# sorted text of 200 MB that has to be held until the last row is in
LARGE_SORT = "SELECT count(*) FROM (SELECT md5(range::VARCHAR) AS a FROM range(5_000_000) ORDER BY a OFFSET 1)"


def test_a_query_beyond_the_limit_spills_beside_the_database(tmp_path):
    connection = open_database(tmp_path / "x.duckdb", num_threads=1, memory_gib=0.125)
    limit, place = connection.execute(
        "SELECT current_setting('memory_limit'), current_setting('temp_directory')"
    ).fetchone()
    assert limit == "128.0 MiB"
    assert place == str(tmp_path / "x.duckdb.spill")
    assert connection.execute(LARGE_SORT).fetchone() == (4_999_999,)


def test_a_query_beyond_the_limit_fails_where_it_cannot_spill(tmp_path):
    connection = open_database(tmp_path / "x.duckdb", num_threads=1, memory_gib=0.125)
    connection.execute("SET max_temp_directory_size = '0KiB'")
    with pytest.raises(duckdb.OutOfMemoryException):
        connection.execute(LARGE_SORT).fetchone()


def test_both_databases_of_a_backtest_have_the_limit_that_was_set(shop, tmp_path, monkeypatch):
    seen = []

    class Watched(BacktestStore):
        def __init__(self, *given, **settings):
            super().__init__(*given, **settings)
            seen.append(self.connection.execute("SELECT current_setting('memory_limit')").fetchone()[0])

    def read(*given, **settings):
        seen.append(settings["memory_gib"])
        return write_history(*given, **settings)

    monkeypatch.setenv("SHELFCAST_QUERY_MEMORY_GIB", "0.75")
    monkeypatch.setattr(backtest, "BacktestStore", Watched)
    monkeypatch.setattr(backtest, "write_history", read)
    plan = backtest.BacktestPlan(cutoffs=(CUTOFF,), horizon_days=HORIZON, declaration=small_declaration())
    backtest.run(shop[0], tmp_path / "out.parquet", plan)
    assert seen == [0.75, "768.0 MiB"]
