"""What the training job writes and reads besides fitting, without Spark."""

import json

from shelfcast.training.frame import FrameManifest
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
    text, rows, _ = candidate
    write_candidate(tmp_path, text, rows.copy(), demand, MANIFEST, seed=7)
    about = json.loads((tmp_path / "training.json").read_text())
    assert about == {
        "model": "demand", "cutoff": "2024-06-30", "frame_digest": "d", "seed": 7, "horizon_days": 7, "rows": 9,
        "reason": "x", "is_forced": True,
    }  # fmt: skip
