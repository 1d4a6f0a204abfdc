"""The pictures of a candidate."""

from shelfcast.training.report.plots import draw


def test_every_picture_is_drawn(candidate, tmp_path):
    rows = candidate.rows
    names = {path.name for path in draw(rows, tmp_path)}
    assert names == {"calibration.png", "error_by_horizon.png", "forecast_against_actual.png"}
    only = draw(rows.drop(columns="horizon_days"), tmp_path / "regression")
    assert [path.name for path in only] == ["calibration.png"]
