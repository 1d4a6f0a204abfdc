"""What the training job writes and reads besides fitting, without Spark."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from small_world import FitsHere, freeze

from shelfcast.model import declaration as declarations
from shelfcast.model.candidate import FOLD_FORECASTS, FOLDS, RELEASED, Candidate, Question, TrainingRecord
from shelfcast.model.metrics import wape
from shelfcast.training import training_job
from shelfcast.training.champion import Champion
from shelfcast.training.folds import MOST_SINCE, folds_of, folds_since
from shelfcast.training.frame import FrozenFrame

ABOUT = {"model": "demand", "folds": 2, "horizon_days": 28, "reason": "x", "is_forced": True}


@pytest.fixture
def frozen(demand, tmp_path, monkeypatch):
    """A function that freezes a frame of demand, which is declared as the fixture says."""
    monkeypatch.setattr(declarations, "load", lambda _: demand)

    def made(frame, *, cutoff=date(2024, 6, 30), **about):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        manifest = freeze(frame, folder, cutoff=cutoff, **ABOUT | about)
        return FrozenFrame(folder, manifest, demand)

    return made


def trained(frame, out):
    """The candidate that a training job makes of a frame while nothing serves."""
    training_job.train(frame, None, FitsHere(frame), out)
    return Candidate.read(out)


def test_a_candidate_says_what_it_was_made_of(frame, frozen, tmp_path):
    made = frozen(frame)
    about = trained(made, tmp_path / "out").record.model_dump(exclude={"declared", "code"})
    assert about == {
        "model": "demand", "cutoff": date(2024, 6, 30), "frame_digest": made.manifest.digest, "seed": 7,
        "horizon_days": 28, "rows": len(frame), "reason": "x", "is_forced": True, "question": Question.FIRST,
        "champion": None, "champion_cutoff": None, "changes": (), "is_refitted": False,
    }  # fmt: skip
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*RELEASED, FOLD_FORECASTS, FOLDS}


def test_a_candidate_says_how_each_fold_went(frame, frozen, tmp_path):
    folds = trained(frozen(frame), tmp_path / "out").folds
    rows = pd.read_parquet(tmp_path / "out" / FOLD_FORECASTS)
    assert [(fold["number"], fold["origin"]) for fold in folds] == [(0, "2024-05-13"), (1, "2024-04-15")]
    for fold in folds:
        own = rows[rows["fold"] == fold["number"]]
        assert set(own["business_date"].astype(str)) == {fold["origin"]}
        assert fold["metrics"]["wape"] == wape(own["actual"].to_numpy(), own["mean"].to_numpy())


def test_the_difficulty_of_a_candidate_knows_no_day_that_it_is_measured_on(frame, frozen, demand, tmp_path):
    def difficulty_text(rows, name):
        found = trained(frozen(rows), tmp_path / name)
        forecasts = pd.read_parquet(tmp_path / name / FOLD_FORECASTS)
        assert (forecasts["difficulty"] > 0).all()
        assert sorted(forecasts["fold"].unique()) == [0, 1]
        return found.model.difficulty_text

    made = frozen(frame)
    oldest = pd.Timestamp(folds_of(made.deciding, demand, made.manifest)[-1].origin)
    is_later = pd.to_datetime(frame["sales_date"]) > oldest
    later, earlier = (
        frame.assign(units_sold=np.where(chosen, 2 * frame["units_sold"], frame["units_sold"]))
        for chosen in (is_later, ~is_later & (np.arange(len(frame)) % 3 == 0))
    )
    as_it_was = difficulty_text(frame, "as it was")
    assert difficulty_text(later, "later") == as_it_was
    assert difficulty_text(earlier, "earlier") != as_it_was


def served_until(cutoff, demand):
    record = TrainingRecord(model="demand", cutoff=cutoff)
    return Champion(release_id="demand-x", declaration=demand, features=(), record=record)


def test_origins_behind_the_champions_cutoff_are_forecast_by_models_that_know_no_more_than_they(frame, frozen, demand):
    made = frozen(frame, cutoff=frame["sales_date"].max())
    origins = sorted(set(frame["business_date"]))
    rows = training_job._since_champion(made, demand, FitsHere(made), served_until(origins[-4], demand))
    assert sorted(set(rows["business_date"])) == origins[-3:]
    assert {"series_id", "store_id", "horizon_days", "sales_date", "actual", "mean", "fold"} <= set(rows)
    assert (rows["sales_date"] > rows["business_date"]).all()
    assert np.isfinite(rows["mean"]).all()


def test_a_champion_as_old_as_the_newest_origin_has_no_days_to_be_compared_on(frame, frozen, demand):
    made = frozen(frame, cutoff=frame["sales_date"].max())
    fits, newest = FitsHere(made), served_until(max(frame["business_date"]), demand)
    assert training_job._since_champion(made, demand, fits, newest) is None
    assert training_job._since_champion(made, demand, fits, None) is None


def test_of_many_origins_some_are_taken_from_the_first_to_the_last(frame, frozen):
    made = frozen(frame, cutoff=frame["sales_date"].max())
    origins = sorted(set(frame["business_date"]))
    found = [fold.origin.astype(object) for fold in folds_since(made.deciding, made.manifest, origins[0])]
    assert len(found) == MOST_SINCE
    assert (found[0], found[-1]) == (origins[-1], origins[1])
