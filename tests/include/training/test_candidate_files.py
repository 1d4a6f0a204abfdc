"""What the training job writes and reads besides fitting, without Spark."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd

from shelfcast.training import training_job
from shelfcast.training.champion import Champion, matter_of
from shelfcast.training.crew import Crew
from shelfcast.training.fit import train
from shelfcast.training.folds import MOST_SINCE, fold_at, folds_of, folds_since
from shelfcast.training.frame import FrameManifest, columns_of
from shelfcast.training.sample import Sample
from shelfcast.training.training_job import write_candidate

MANIFEST = FrameManifest(
    model="demand",
    cutoff="2024-06-30",
    rows=9,
    columns=[],
    digest="d",
    horizon_days=7,
    folds=2,
    reason="x",
    is_forced=True,
)


def test_a_candidate_says_how_many_days_ahead_it_was_trained_for(candidate, demand, tmp_path):
    text, rows, _, spread_text = candidate
    texts = {"model.txt": text, "spread.txt": spread_text}
    write_candidate(tmp_path, texts, rows.copy(), demand, MANIFEST, about={"question": "first"}, seed=7)
    about = json.loads((tmp_path / "training.json").read_text())
    assert about == {
        "model": "demand", "cutoff": "2024-06-30", "frame_digest": "d", "seed": 7, "horizon_days": 7, "rows": 9,
        "reason": "x", "is_forced": True, "question": "first",
    }  # fmt: skip


FOUR_WEEKS = replace(MANIFEST, horizon_days=28)


class FitsHere:
    """In place of Spark's workers: the fits of a job, each in this process."""

    crew, seed = Crew(workers=1, num_threads=1), 7

    def __init__(self, frame, settings):
        self.frame, self.settings = frame, settings

    def text_of(self, declaration, origin):
        fold = fold_at(self.frame, declaration, FOUR_WEEKS, origin)
        return train(Sample.of(columns_of(self.frame[fold.train]), declaration), declaration, settings=self.settings)


def test_the_spread_of_a_candidate_knows_no_day_that_it_is_measured_on(frame, demand, settings):
    first = matter_of(demand, None, code="c")

    def spread_text(frame):
        rows, text = training_job._on_folds(frame, demand, FOUR_WEEKS, FitsHere(frame, settings), first)
        assert (rows["spread"] > 0).all()
        assert sorted(rows["fold"].unique()) == [0, 1]
        return text

    oldest = pd.Timestamp(folds_of(frame, demand, FOUR_WEEKS)[-1].origin)
    is_later = pd.to_datetime(frame["sales_date"]) > oldest
    later, earlier = (
        frame.assign(units_sold=np.where(chosen, 2 * frame["units_sold"], frame["units_sold"]))
        for chosen in (is_later, ~is_later & (np.arange(len(frame)) % 3 == 0))
    )
    assert spread_text(later) == spread_text(frame)
    assert spread_text(earlier) != spread_text(frame)


def served_until(cutoff, demand):
    training = {"cutoff": cutoff.isoformat()}
    return Champion(release_id="demand-x", declaration=demand, features=(), training=training)


def test_origins_behind_the_champions_cutoff_are_forecast_by_models_that_know_no_more_than_they(
    frame, demand, settings
):
    manifest = replace(FOUR_WEEKS, cutoff=str(frame["sales_date"].max()))
    origins = sorted(set(frame["business_date"]))
    rows = training_job._since_champion(
        frame, demand, manifest, FitsHere(frame, settings), served_until(origins[-4], demand)
    )
    assert sorted(set(rows["business_date"])) == origins[-3:]
    assert {"series_id", "store_id", "horizon_days", "sales_date", "actual", "mean", "fold"} <= set(rows)
    assert (rows["sales_date"] > rows["business_date"]).all()
    assert np.isfinite(rows["mean"]).all()


def test_a_champion_as_old_as_the_newest_origin_has_no_days_to_be_compared_on(frame, demand, settings):
    manifest = replace(FOUR_WEEKS, cutoff=str(frame["sales_date"].max()))
    newest = max(frame["business_date"])
    fits = FitsHere(frame, settings)
    assert training_job._since_champion(frame, demand, manifest, fits, served_until(newest, demand)) is None
    assert training_job._since_champion(frame, demand, manifest, fits, None) is None


def test_of_many_origins_some_are_taken_from_the_first_to_the_last(frame):
    manifest = replace(FOUR_WEEKS, cutoff=str(frame["sales_date"].max()))
    origins = sorted(set(frame["business_date"]))
    found = [fold.origin.astype(object) for fold in folds_since(frame, manifest, origins[0])]
    assert len(found) == MOST_SINCE
    assert (found[0], found[-1]) == (origins[-1], origins[1])
