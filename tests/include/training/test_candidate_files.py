"""What the training job writes and reads besides fitting, without Spark."""

import json

import pytest

from shelfcast.training.evaluation import ChampionState
from shelfcast.training.frame import FrameManifest
from shelfcast.training.training_job import champion_of, write_candidate

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
    write_candidate(tmp_path, texts, rows.copy(), demand, MANIFEST, champion=ChampionState.NONE, seed=7)
    about = json.loads((tmp_path / "training.json").read_text())
    assert about == {
        "model": "demand", "cutoff": "2024-06-30", "frame_digest": "d", "seed": 7, "horizon_days": 7, "rows": 9,
        "reason": "x", "is_forced": True, "champion": "none",
    }  # fmt: skip


@pytest.fixture
def serving(tmp_path, candidate):
    """A function that lets a model text serve; answers the folder of the releases."""

    def made(text, current="demand-20240630-0123456789"):
        (tmp_path / "demand-20240630-0123456789").mkdir()
        (tmp_path / "demand-20240630-0123456789" / "model.txt").write_text(text)
        (tmp_path / "current.json").write_text(json.dumps({"current": current, "previous": None}))
        return tmp_path

    return made


def test_the_model_that_serves_is_the_champion(candidate, demand, serving):
    assert champion_of(serving(candidate[0]), demand) == (ChampionState.COMPARED, candidate[0])


@pytest.mark.parametrize("name", ["", "log_level "])
def test_a_champion_of_other_features_is_not_compared(candidate, demand, serving, name):
    other = candidate[0].replace("log_baseline ", name)
    assert champion_of(serving(other), demand) == (ChampionState.NOT_COMPARABLE, None)


@pytest.mark.parametrize("has_pointer", [True, False])
def test_where_nothing_serves_there_is_no_champion(candidate, demand, serving, tmp_path, has_pointer):
    folder = serving(candidate[0], current=None) if has_pointer else tmp_path
    assert champion_of(folder, demand) == (ChampionState.NONE, None)
    assert champion_of(None, demand) == (ChampionState.NONE, None)
