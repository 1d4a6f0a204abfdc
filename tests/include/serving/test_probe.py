"""Whether an answer is what the release says."""

import json

import numpy as np
import pytest
from served_world import DAY

from shelfcast.deployment.build_bundle import build
from shelfcast.deployment.bundle import load
from shelfcast.errors import ReleaseError
from shelfcast.hot_store.vector import Vector, pack
from shelfcast.serving.answers import days_of, named
from shelfcast.serving.predictor import Predictor
from shelfcast.serving.probe import check_answer, chosen, question


@pytest.fixture
def answer(predictor, vectors):
    """What the forecaster sends for a series."""
    made = predictor.forecast(vectors[:1], horizon_days=28)
    return json.loads(json.dumps({"forecasts": [day.model_dump(mode="json") for day in days_of(made)]}))


def test_the_release_agrees_with_itself(predictor, vectors, answer):
    check_answer(answer, predictor, vectors[0], entity="milk@S1")
    with pytest.raises(ReleaseError, match="answers mean"):
        check_answer(answer, predictor, vectors[1], entity="milk@S1")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("sales_date", "2025-07-01"),
        ("horizon_day", 1),
        ("is_open", False),
        *((name, -1.0) for name in ("mean", "q05", "q25", "q50", "q75", "q95")),
        ("q50", None),
        ("q50", "3"),
    ],
)
def test_every_part_of_every_day_counts(predictor, vectors, answer, part, value):
    answer["forecasts"][27][part] = value
    with pytest.raises(ReleaseError, match=f"answers {part} .* for milk@S1"):
        check_answer(answer, predictor, vectors[0], entity="milk@S1")


def test_a_missing_day_counts(predictor, vectors, answer):
    answer["forecasts"].pop()
    with pytest.raises(ReleaseError, match="27 days for milk@S1, the release 28"):
        check_answer(answer, predictor, vectors[0], entity="milk@S1")


def test_a_prediction_is_compared_in_mean_and_quantiles(order_value_parts, tmp_path, order_value):
    predictor = Predictor(load(tmp_path / build(order_value_parts, tmp_path)))
    vector = Vector(business_date=DAY, numbers=np.array([120.0, 3.0], dtype=np.float32))
    mean, quantiles = predictor.predict(vector.numbers[None, :].astype(float))
    answer = {"business_date": "2025-06-30", "mean": float(mean[0]), **named(quantiles[0])}
    check_answer(answer, predictor, vector, entity="17")
    for name, value in (("q95", 0.0), ("business_date", "2025-07-01")):
        with pytest.raises(ReleaseError, match=f"answers {name}"):
            check_answer({**answer, name: value}, predictor, vector, entity="17")
    assert question(order_value, "17") == {"customer_id": 17}


def test_a_series_is_asked_for_with_the_whole_horizon(demand):
    assert question(demand, "milk@S1") == {"series_id": "milk@S1", "horizon_days": 28}


def packed(predictor, rows):
    fields = predictor.declaration.vector_fields
    return dict(zip(rows, pack(np.stack(list(rows.values())), business_date=DAY, fields=fields), strict=True))


@pytest.mark.parametrize("count", [1, 3, 5, 50])
def test_the_probes_lie_far_apart_and_have_history(predictor, vectors, count):
    unseen = np.full_like(vectors[0].numbers, np.nan)
    rows = {f"i{number:03d}@S1": vectors[0].numbers if number % 10 else unseen for number in range(50)}
    names = [name for name, _ in chosen(predictor, packed(predictor, rows), count=count)]
    assert len(names) == len(set(names)) == min(count, 45)
    assert all(int(name[1:4]) % 10 for name in names)
    if count == 5:
        assert names == ["i001@S1", "i011@S1", "i021@S1", "i031@S1", "i041@S1"]


def test_without_history_there_is_nothing_to_probe_with(predictor, vectors):
    rows = {"unseen@S1": np.full_like(vectors[0].numbers, np.nan)}
    with pytest.raises(ReleaseError, match="None of 1 vectors of demand has history"):
        chosen(predictor, packed(predictor, rows), count=5)
    with pytest.raises(ReleaseError, match="None of 0 vectors"):
        chosen(predictor, {}, count=5)
