"""The files of a training run, by the only module that knows them."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from shelfcast.errors import BundleError
from shelfcast.model import candidate as files
from shelfcast.model.candidate import FOLD_FORECASTS, FOLDS, RECORD, RELEASED, REPORT, SINCE_CHAMPION, TRIALS, Candidate

FORMAT = Path(__file__).resolve().parents[3] / "docs" / "formats" / "candidate.md"
FOLD = {"number": 0, "origin": "2024-05-13", "metrics": {"wape": 0.3}}
TRIAL = {"number": 0, "parameters": {"num_leaves": 7}, "losses": [0.3], "is_pruned": False}


def texts_of(model):
    return model.declaration, model.mean_text, model.difficulty_text, model.calibration.to_json()


def test_what_is_written_is_read(candidate, tmp_path):
    made = replace(candidate.candidate, folds=[FOLD], trials=[TRIAL])
    made.write(tmp_path, fold_forecasts=candidate.rows, since_champion=candidate.rows.head(3))
    found = Candidate.read(tmp_path)
    assert texts_of(found.model) == texts_of(made.model)
    assert (found.record, found.metrics, found.folds, found.trials) == (made.record, made.metrics, [FOLD], [TRIAL])
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / FOLD_FORECASTS), candidate.rows)
    assert {path.name for path in tmp_path.iterdir()} == {*RELEASED, FOLDS, FOLD_FORECASTS, SINCE_CHAMPION, TRIALS}


def test_a_folder_without_the_file_that_is_written_last_is_no_candidate(candidate, tmp_path, monkeypatch):
    monkeypatch.setattr(files.TrainingRecord, "model_dump_json", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        candidate.candidate.write(tmp_path, fold_forecasts=candidate.rows)
    assert {*RELEASED, FOLD_FORECASTS} - {path.name for path in tmp_path.iterdir()} == {RECORD}
    with pytest.raises(BundleError, match=r"no readable training\.json"):
        Candidate.read(tmp_path)


def test_a_record_of_an_older_release_is_read(tmp_path):
    contents = {RECORD: b'{"model": "demand", "cutoff": "2024-06-30", "something": "that was told once"}'}
    found = files.record_of(contents, "a release")
    assert (found.model, str(found.cutoff), found.question, found.code) == ("demand", "2024-06-30", "first", None)


def test_the_documented_files_are_those_that_are_written():
    documented = re.findall(
        r"^\| `([a-z_]+\.[a-z]+|report/)` \|.*\| (yes|no) \|$", FORMAT.read_text(), flags=re.MULTILINE
    )
    assert {name for name, is_released in documented if is_released == "yes"} == set(RELEASED)
    written = {*RELEASED, FOLDS, FOLD_FORECASTS, SINCE_CHAMPION, TRIALS, f"{REPORT}/"}
    assert {name for name, _ in documented} == written
