"""Predictor, vintage and smoke test."""

import zlib
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from served_world import with_model

from shelfcast.errors import BundleError, HotStoreError, PostConditionFailed
from shelfcast.hot_store.vector import CHECK, Vector, identity, pack, schema_id
from shelfcast.serving.overrides import Override
from shelfcast.serving.predictor import Predictor, Reason, smoke_test
from shelfcast.serving.vintage import check_contract, forecast_all

DAY = date(2025, 6, 30)


def test_a_batch_equals_its_series_one_by_one(predictor, vectors):
    together = predictor.forecast(vectors, horizon_days=28)
    for number, vector in enumerate(vectors):
        alone = predictor.forecast([vector], horizon_days=28)
        np.testing.assert_allclose(together.mean[number], alone.mean[0], rtol=1e-12)
        np.testing.assert_allclose(together.quantiles[number], alone.quantiles[0], rtol=1e-12)
    assert together.sales_dates[0] == DAY + timedelta(days=1)


def test_forecasts_are_not_negative_and_quantiles_do_not_cross(predictor, vectors):
    made = predictor.forecast(vectors, horizon_days=28)
    assert (made.mean >= 0).all()
    assert (np.diff(made.quantiles, axis=2) >= 0).all()


def test_an_override_changes_its_day_only(predictor, vectors):
    before = predictor.forecast(vectors[:1], horizon_days=7).mean[0]
    planned = bool(vectors[0].numbers[len(predictor.declaration.as_of_features) + 2])
    override = Override(horizon_day=3, on_promotion=not planned)
    after = predictor.forecast(vectors[:1], horizon_days=7, overrides=[override]).mean[0]
    assert [number for number in range(7) if before[number] != after[number]] == [2]


def test_a_closed_day_has_no_demand(predictor, vectors):
    closed = [Override(horizon_day=2, is_open=False)]
    made = predictor.forecast(vectors[:1], horizon_days=3, overrides=closed)
    assert made.mean[0, 1] == 0
    assert not made.quantiles[0, 1].any()
    assert made.mean[0, 0] > 0


def packed(predictor, vectors, names, day=DAY):
    rows = np.stack([vector.numbers for vector in vectors])
    return dict(zip(names, pack(rows, business_date=day, fields=predictor.declaration.vector_fields), strict=True))


def test_every_active_series_gets_a_forecast_or_a_reason(predictor, vectors):
    unknown = Vector(business_date=DAY, numbers=np.full_like(vectors[0].numbers, np.nan))
    values = packed(predictor, [*vectors, unknown], ["a@1", "b@1", "c@2", "d@2"])
    active = ["a@1", "b@1", "c@2", "d@2", "e@3"]
    rows = forecast_all(predictor, active, values, business_date=DAY)
    assert len(rows) == 5 * 28
    reasons = rows.groupby("series_id")["reason_code"].first().to_dict()
    assert reasons == {"a@1": None, "b@1": None, "c@2": None, "d@2": Reason.NO_HISTORY, "e@3": Reason.UNKNOWN_SERIES}
    assert rows.loc[rows["series_id"] == "c@2", "store_id"].unique().tolist() == ["2"]
    assert rows.loc[rows["reason_code"].isna(), "mean"].notna().all()


@pytest.mark.parametrize("field", ["units_mean_28", "price_mean_56", "weekday_mean_3", "price_1", "is_open_2"])
@pytest.mark.parametrize("number", [np.inf, -np.inf])
def test_a_series_with_an_endless_number_gets_a_reason_and_the_others_their_forecasts(
    predictor, vectors, field, number
):
    numbers = vectors[0].numbers.copy()
    numbers[predictor.declaration.vector_fields.index(field)] = number
    endless = as_written(Vector(business_date=DAY, numbers=numbers), predictor)
    values = packed(predictor, vectors[1:2], ["b@1"]) | {"a@1": endless}
    rows = forecast_all(predictor, ["a@1", "b@1"], values, business_date=DAY)
    assert rows.groupby("series_id")["reason_code"].first().to_dict() == {"a@1": Reason.NOT_FINITE, "b@1": None}
    assert rows.loc[rows["series_id"] == "a@1", ["mean", "q05", "q95"]].isna().all(axis=None)
    assert np.isfinite(rows.loc[rows["series_id"] == "b@1", ["mean", "q05", "q95"]]).all(axis=None)


def as_written(vector, predictor):
    """A value as a writer that does not look at its numbers would write it."""
    head = identity(schema=schema_id(predictor.declaration.vector_fields), business_date=vector.business_date)
    payload = vector.numbers.astype("<f4").tobytes()
    return head + CHECK.pack(zlib.crc32(head + payload)) + payload


def test_a_forecast_that_is_no_number_becomes_a_reason(predictor, vectors):
    ratios = np.full_like(predictor.bundle.model.calibration.ratios, np.inf)
    broken = Predictor(
        with_model(predictor.bundle, calibration=replace(predictor.bundle.model.calibration, ratios=ratios))
    )
    rows = forecast_all(broken, ["a@1"], packed(predictor, vectors[:1], ["a@1"]), business_date=DAY)
    assert rows["reason_code"].unique().tolist() == [Reason.NOT_FINITE]
    assert rows[["mean", "q05", "q95"]].isna().all(axis=None)


def test_a_series_that_was_free_for_weeks_is_forecast(predictor, vectors):
    numbers = vectors[0].numbers.copy()
    for name in ("price_mean_56", "price_latest"):
        numbers[predictor.declaration.vector_fields.index(name)] = 0
    made = predictor.forecast([Vector(business_date=DAY, numbers=numbers)], horizon_days=28)
    assert np.isfinite(made.mean).all()
    assert np.isfinite(made.quantiles).all()


def test_a_vintage_of_reasons_only_is_a_vintage(predictor):
    rows = forecast_all(predictor, ["x@1"], {}, business_date=DAY)
    assert rows["reason_code"].unique().tolist() == [Reason.UNKNOWN_SERIES]


def test_vectors_of_another_date_are_refused(predictor, vectors):
    values = packed(predictor, vectors[:1], ["a@1"], day=DAY - timedelta(days=1))
    with pytest.raises(HotStoreError, match="not of 2025-06-30: a@1"):
        forecast_all(predictor, ["a@1"], values, business_date=DAY)


def test_the_contract_can_be_broken():
    check_contract(2, forecasts=1, reasons=1, rows=56, horizon_days=28)
    for counts in ({"forecasts": 1, "reasons": 0, "rows": 56}, {"forecasts": 1, "reasons": 1, "rows": 55}):
        with pytest.raises(PostConditionFailed, match="2 series are active"):
            check_contract(2, **counts, horizon_days=28)


def test_a_sound_release_passes_the_smoke_test(predictor):
    assert smoke_test(predictor) == {"release_id": predictor.bundle.release_id, "is_sound": True, "rows": 56}


def test_days_say_whether_the_store_is_open(predictor, vectors):
    unknown = Vector(business_date=DAY, numbers=np.full_like(vectors[0].numbers, np.nan))
    made = predictor.forecast([vectors[0], unknown], horizon_days=3, overrides=[Override(horizon_day=2, is_open=False)])
    assert made.is_open.tolist() == [[True, False, True], [True, False, True]]


def test_a_release_with_crossed_quantiles_fails_the_smoke_test(predictor):
    calibration = replace(predictor.bundle.model.calibration, ratios=-predictor.bundle.model.calibration.ratios)
    assert not smoke_test(Predictor(with_model(predictor.bundle, calibration=calibration)))["is_sound"]


def test_a_regression_is_smoke_tested_as_well(order_value_parts, tmp_path):
    from shelfcast.deployment.build_bundle import build
    from shelfcast.deployment.bundle import load

    assert smoke_test(Predictor(load(tmp_path / build(order_value_parts, tmp_path))))["rows"] == 2


def test_a_model_that_lightgbm_does_not_take_is_no_release(predictor):
    with pytest.raises(BundleError, match="LightGBM does not take the models of demand-"):
        Predictor(with_model(predictor.bundle, mean_text="tree\nversion=v4\n"))
