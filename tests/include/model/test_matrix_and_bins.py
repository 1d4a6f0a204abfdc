"""Rows that are read from a frozen frame, and bins that are cut of rows that every machine has."""

from datetime import date

import lightgbm
import numpy as np
import pandas as pd
import pytest
from small_world import freeze

from shelfcast.model.lightgbm_fit import SharedBins, native_text, train
from shelfcast.model.matrix import Sample
from shelfcast.training import frame as frames
from shelfcast.training.frame import FRAME, FrozenFrame, columns_of, verify


@pytest.mark.parametrize("model", ["demand", "order_value"])
def test_rows_read_piece_by_piece_are_those_of_the_frame(model, request, frame, tmp_path, monkeypatch):
    declaration = request.getfixturevalue(model)
    rows = frame.head(1000) if model == "demand" else some_orders(1000)
    freeze(
        rows, tmp_path, model=model, cutoff=date(2025, 1, 1), folds=1, horizon_days=0, reason="test", is_forced=False
    )
    monkeypatch.setattr(frames, "PIECE_ROWS", 64)
    halves, few, none = np.arange(1, 1000, 2), np.array([0, 63, 64, 999]), np.array([], dtype=np.intp)
    frozen = FrozenFrame(tmp_path, verify(tmp_path), declaration)
    read, kept = frozen.parts(halves, few, none), frozen.rows(halves, few, none)
    for places, found, table in zip((halves, few, none), read, kept, strict=True):
        expected = Sample.of(columns_of(rows.iloc[places]), declaration)
        np.testing.assert_array_equal(found.rows, expected.rows)
        np.testing.assert_array_equal(found.target, expected.target)
        np.testing.assert_array_equal(found.expected, expected.expected)
        whole = pd.read_parquet(tmp_path / FRAME)
        pd.testing.assert_frame_equal(table, whole.iloc[places].reset_index(drop=True))


def some_orders(number):
    rng = np.random.default_rng(5)
    return pd.DataFrame(
        {
            "total_spent": rng.gamma(2, 50, number),
            "purchase_count": rng.integers(0, 20, number),
            "order_amount": rng.gamma(2, 20, number),
            "ordered_at": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(number), "h"),
        }
    )


def test_bins_are_those_that_lightgbm_cuts_by_a_reference(frame, demand, settings):
    """LightGBM's own dataset of the rows that all have says so; bins of the machine's rows are others."""
    sample = Sample.of(columns_of(frame.head(4000)), demand)
    own, every_machines = sample.part(slice(0, None, 3)), sample.part(slice(0, 2500))
    assert np.isnan(own.rows).any()
    assert (own.rows == 0).mean() > 0.05
    reference = lightgbm.Dataset(every_machines.rows, params=settings).construct()
    by_reference = lightgbm.Dataset(own.rows, label=own.target, reference=reference, params=settings)
    shared = SharedBins(own.rows, of=every_machines.rows, params=settings).set_label(own.target)
    alone = lightgbm.Dataset(own.rows, label=own.target, params=settings)
    texts = [native_text(lightgbm.train(settings, data, 20)) for data in (by_reference, shared, alone)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]


def test_a_machines_own_rows_for_reference_change_nothing(frame, demand, settings):
    sample = Sample.of(columns_of(frame.head(2000)), demand)
    assert train(sample, demand, settings=settings, reference=sample) == train(sample, demand, settings=settings)
