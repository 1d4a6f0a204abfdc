"""What a candidate costs to serve: measured where a damaged model does no harm."""

import pytest

from shelfcast.registry import candidate_cost
from shelfcast.registry.candidate_cost import measure, microseconds_per_row


@pytest.fixture
def model(tmp_path, candidate):
    path = tmp_path / "model.txt"
    path.write_text(candidate.model.mean_text)
    return path


def test_size_and_time_of_a_model_are_told(model, candidate):
    found = measure(model)
    assert found.model_bytes == len(candidate.model.mean_text.encode())
    assert found.microseconds_per_row > 0
    assert microseconds_per_row(candidate.model.mean_text) > 0


def test_all_models_that_a_prediction_runs_count(model, tmp_path, candidate):
    second = tmp_path / "spread.txt"
    second.write_text(candidate.model.difficulty_text)
    both = measure(model, second)
    assert both.model_bytes == model.stat().st_size + second.stat().st_size
    assert both.microseconds_per_row > max(measure(model).microseconds_per_row, measure(second).microseconds_per_row)
    second.write_text("no model")
    assert measure(model, second).microseconds_per_row is None


def test_a_damaged_model_has_no_time_and_ends_no_process_but_its_own(model, candidate):
    model.write_text(candidate.model.mean_text[: len(candidate.model.mean_text) // 2])
    found = measure(model)
    assert found.microseconds_per_row is None
    assert found.model_bytes == model.stat().st_size


def test_a_model_that_takes_too_long_has_no_time(model, monkeypatch):
    monkeypatch.setattr(candidate_cost, "LIMIT_SECONDS", 0.001)
    assert measure(model).microseconds_per_row is None
