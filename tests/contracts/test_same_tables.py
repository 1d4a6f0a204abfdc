"""The same batches bring both cold stores to the same tables, and the same features come out of them."""

import ledger_page
import numpy as np
import pandas as pd
import pytest
from exported_shop import DAYS, ExportedShop

from shelfcast.cold_store import feature_views, load_batch, statements
from shelfcast.cold_store.unloaded import pieces
from shelfcast.hot_store.partition import read_pieces
from shelfcast.model import declaration as declarations
from shelfcast.serving.vintage import prepare_ledger
from shelfcast.sources.shop_schema import TABLES
from shelfcast.training.frame_rows import frame_parameters, unload_frame

pytestmark = pytest.mark.integration
LOADED = [f"RAW.{name.upper()}{suffix}" for name in TABLES for suffix in ("", "_CHANGES")]
WRITTEN = [*LOADED, "OPERATIONS.BATCHES", "OPERATIONS.BUSINESS_DATES", "QUARANTINE.BAD_ROWS"]
FEATURES = {
    "FEATURES.DAILY_SALES": ["series_id", "sales_date", "known_at"],
    "FEATURES.DEMAND": ["business_date", "series_id"],
    "FEATURES.DEMAND_AHEAD": ["business_date", "series_id", "horizon_days"],
    "FEATURES.ORDER_TOTAL": ["business_date", "customer_id"],
}
HORIZON_DAYS = declarations.longest_horizon()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return ExportedShop(tmp_path_factory.mktemp("exports"))


@pytest.fixture(scope="module")
def stores(duckdb_store, snowflake_store, shop):
    """Both stores, and what each said of every batch; one batch is loaded twice."""
    said = {}
    exports = list(shop.export_all())
    for store in (duckdb_store, snowflake_store):
        load_batch.prepare(store)
        said[store] = [load_batch.load(store, export) for export in [*exports, exports[-1]]]
    return said


@pytest.fixture(scope="module")
def built(stores, shop):
    """The reports of each store's features, a day at a time and then the first day once more."""
    dates = [*shop.dates(), shop.dates()[0]]
    return {
        store: [feature_views.build_partitions(store, day, horizon_days=HORIZON_DAYS) for day in dates]
        for store in stores
    }


def rows(store, table):
    return store.fetch("contract/rows", table=table)


def comparable(frame):
    """Rows in no order; moments and dates as pandas has them, numbers as they are printed, nothing as `None`."""
    shown = frame.drop(columns="loaded_at", errors="ignore")
    return sorted(repr([cell(value) for value in row]) for row in shown.astype(object).to_numpy().tolist())


def cell(value):
    if pd.isna(value):
        return None
    if hasattr(value, "year"):
        return pd.Timestamp(value).isoformat()
    return value if isinstance(value, (str, bool)) else float(value)


def test_each_batch_is_loaded_alike(stores, shop):
    one, other = stores.values()
    assert one == other
    assert [loaded.business_dates for loaded in one] == [*[[day] for day in shop.dates()], [], []]
    assert one[3].quarantined == 1


@pytest.mark.parametrize("table", WRITTEN)
def test_each_table_holds_the_same_rows(stores, table):
    one, other = (rows(store, table) for store in stores)
    assert list(one.columns) == list(other.columns)
    assert comparable(one) == comparable(other)
    assert len(one)


def test_the_batches_bring_every_kind_of_change(stores):
    """The control of the batches: without these the merges would not be compared."""
    ops = {
        op for store in stores for name in ("ORDERS", "ORDER_LINES") for op in rows(store, f"RAW.{name}_CHANGES")["op"]
    }
    assert ops == {"r", "c", "u", "d"}
    for store in stores:
        assert set(rows(store, "RAW.ORDERS")["generation"]) == {1, 2}, "one row went to quarantine and stayed"


@pytest.mark.parametrize("table", FEATURES)
def test_the_same_features_come_out_of_both(built, table):
    one, other = (rows(store, table).sort_values(FEATURES[table], ignore_index=True) for store in built)
    assert list(one.columns) == list(other.columns)
    assert len(one) == len(other) > 10
    for name in one.columns:
        if pd.api.types.is_float_dtype(one[name]) or pd.api.types.is_float_dtype(other[name]):
            numbers = [frame[name].to_numpy(dtype=float, na_value=np.nan) for frame in (one, other)]
            np.testing.assert_allclose(*numbers, rtol=1e-9, atol=1e-9, err_msg=name)
        else:
            assert [cell(value) for value in one[name]] == [cell(value) for value in other[name]], name


def test_both_say_the_same_of_what_they_built(built, shop):
    one, other = built.values()
    assert one == other
    assert [report.business_date for report in one] == [*shop.dates(), shop.dates()[0]]
    assert feature_views.built_dates(next(iter(built))) >= set(shop.dates())
    assert len(one) == DAYS + 2


@pytest.mark.parametrize("model", declarations.names())
def test_both_give_the_hot_store_the_same_vectors(built, shop, model):
    declaration = declarations.load(model)
    for day in shop.dates():
        (one,), (other,) = (read_pieces(store, declaration, day) for store in built)
        assert one.entities == other.entities
        np.testing.assert_allclose(one.numbers, other.numbers, rtol=1e-6)


@pytest.fixture(scope="module")
def scored(built, shop):
    """Both stores with a vintage and the view, which is made again by each run of the monitoring."""
    for store in built:
        prepare_ledger(store)
        store.run("contract/insert_vintage", {"business_date": shop.dates()[0]})
        for _ in range(2):
            store.run("monitoring/create_scored_forecasts")
    return built


def test_both_score_a_vintage_alike(scored):
    one, other = (rows(store, "FORECASTS.SCORED_FORECASTS") for store in scored)
    assert comparable(one) == comparable(other)
    assert len(one)
    assert one["actual"].sum() > 0


def test_both_answer_the_documented_queries_alike(scored, shop):
    series_id = rows(next(iter(scored)), "FORECASTS.SCORED_FORECASTS")["series_id"].iloc[0]
    for number, (question, query) in enumerate(ledger_page.blocks().items()):
        name = f"contract/documented_{number}"
        (statements.SQL_FOLDER / f"{name}.sql").write_text(query)
        asked_for = {"series_id": series_id, "sales_date": shop.dates()[1], "business_date": shop.dates()[0]}
        one, other = (store.fetch(name, asked_for) for store in scored)
        assert comparable(one.round(9)) == comparable(other.round(9)), question
        assert len(one) or question == ledger_page.REASONS, question


@pytest.mark.parametrize("model", declarations.names())
def test_both_unload_the_same_frame_of_the_types_that_are_fetched(built, shop, tmp_path, model):
    declaration, cutoff, found = declarations.load(model), shop.dates()[-1], []
    for number, store in enumerate(built):
        asked = frame_parameters(store, declaration, cutoff, horizon_days=declaration.horizon)
        fetched, folder = store.fetch(declaration.frame_statement, asked), tmp_path / str(number)
        folder.mkdir()
        unload_frame(store, declaration, cutoff, folder, horizon_days=declaration.horizon)
        (unloaded,) = pieces(folder, rows=1_000_000)
        assert list(unloaded.column_names) == list(fetched.columns)
        assert [repr(cell(value)) for value in unloaded.to_pandas().to_numpy(object).ravel()] == [
            repr(cell(value)) for value in fetched.to_numpy(object).ravel()
        ]
        kinds = zip(unloaded.to_pandas(date_as_object=False).dtypes, fetched.dtypes, strict=True)
        assert not [pair for pair in kinds if pair[0].kind != pair[1].kind and pair[1].kind != "O"]
        found.append(unloaded)
    one, other = found
    assert one.schema == other.schema
    for name in one.column_names:
        left, right = (table[name].to_pandas() for table in found)
        pd.testing.assert_series_equal(left, right, check_exact=False, rtol=1e-9, atol=1e-9)
    assert one.num_rows > 10
    if model == "order_value":
        assert one["purchase_count"].to_pandas().max() > 1


def test_both_keep_the_same_sample_of_more_rows_than_a_model_learns_from(built, shop, tmp_path):
    whole, found = declarations.load("demand"), []
    declaration = whole.model_copy(update={"most_rows": 300})
    for number, store in enumerate(built):
        folder = tmp_path / str(number)
        folder.mkdir()
        kept = unload_frame(store, declaration, shop.dates()[-1], folder, horizon_days=whole.horizon)
        found.append(
            (kept, [piece.select(["business_date", "series_id"]).to_pylist() for piece in pieces(folder, rows=9_999)])
        )
    one, other = found
    assert one == other
    assert 0 < one[0].rows < one[0].of_rows / 2
