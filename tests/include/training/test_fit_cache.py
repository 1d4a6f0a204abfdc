"""Finished fits are taken up whole, and only where they are what would be fitted."""

from unittest.mock import patch

import pytest

from shelfcast import model, storage
from shelfcast.training import fit_cache
from shelfcast.training.fit_cache import FOLDER, FitCache, what_decides

FACTS = {"frame_digest": "f" * 64, "seed": 7, "workers": 2, "num_threads": 1}
TEXT = "tree\nsplit_feature=1 2\nend of trees\n"


def never():
    raise AssertionError("it was fitted again")


def kept(folder, declaration, **changed):
    return FitCache(folder, what_decides(declaration, **{**FACTS, **changed}))


def test_a_finished_fit_is_found_by_the_next_try(tmp_path, demand, capsys):
    assert kept(tmp_path, demand).get_or_fit("2024-06-01", lambda: TEXT) == TEXT
    assert kept(tmp_path, demand).get_or_fit("2024-06-01", never) == TEXT
    assert "2024-06-01: found, fitted by an earlier try" in capsys.readouterr().out


@pytest.mark.parametrize(
    "changed",
    [{"frame_digest": "e" * 64}, {"seed": 8}, {"workers": 1}, {"num_threads": 2}],
    ids=lambda it: next(iter(it)),
)
def test_nothing_is_taken_up_for_another_frame_seed_or_layout(tmp_path, demand, changed):
    kept(tmp_path, demand).get_or_fit(None, lambda: TEXT)
    assert kept(tmp_path, demand, **changed).get_or_fit(None, lambda: "another") == "another"


def test_nothing_is_taken_up_for_another_parameter_fold_or_code(tmp_path, demand):
    kept(tmp_path, demand).get_or_fit(None, lambda: TEXT)
    slower = demand.model_copy(update={"fit": demand.fit.model_copy(update={"learning_rate": 0.0601})})
    assert kept(tmp_path, slower).get_or_fit(None, lambda: "another") == "another"
    assert kept(tmp_path, demand).get_or_fit("2024-06-01", lambda: "a fold's") == "a fold's"
    changed_code = tmp_path / "code"
    changed_code.mkdir()
    (changed_code / "fit.py").write_text("another way to fit")
    for changed in (model, fit_cache):
        with patch.object(changed, "__file__", str(changed_code / "any.py")):
            assert kept(tmp_path, demand).get_or_fit(None, changed.__doc__.strip) == changed.__doc__.strip()


@pytest.mark.parametrize("left", ["", TEXT, f"{'0' * 64}\n{TEXT}"], ids=["empty", "no digest", "another digest"])
def test_a_file_that_is_not_whole_is_fitted_again(tmp_path, demand, left):
    kept(tmp_path, demand).get_or_fit(None, lambda: TEXT)
    (path,) = (tmp_path / FOLDER).iterdir()
    path.write_text(left)
    assert kept(tmp_path, demand).get_or_fit(None, lambda: "fitted") == "fitted"
    assert kept(tmp_path, demand).get_or_fit(None, never) == "fitted"


@pytest.mark.parametrize("length", [10, 65, 80])
def test_a_torn_file_is_fitted_again(tmp_path, demand, length):
    kept(tmp_path, demand).get_or_fit(None, lambda: TEXT)
    (path,) = (tmp_path / FOLDER).iterdir()
    path.write_text(path.read_text()[:length])
    assert kept(tmp_path, demand).get_or_fit(None, lambda: "fitted") == "fitted"


def test_a_fit_that_fails_leaves_nothing_and_a_written_candidate_needs_none(tmp_path, demand):
    with pytest.raises(AssertionError):
        kept(tmp_path, demand).get_or_fit(None, never)
    assert not (tmp_path / FOLDER).exists()
    kept(tmp_path, demand).get_or_fit(None, lambda: TEXT)
    kept(tmp_path, demand).clear()
    kept(tmp_path, demand).clear()
    assert not (tmp_path / FOLDER).exists()


def test_finished_fits_are_kept_beside_a_frame_in_a_bucket(bucket):
    frame = storage.location(f"s3://{bucket.name}/run")
    assert FitCache(frame, FACTS).get_or_fit(None, lambda: "text") == "text"
    assert FitCache(frame, FACTS).get_or_fit(None, never) == "text"
    assert FitCache(frame, {"seed": 8}).get_or_fit(None, lambda: "other") == "other"
    FitCache(frame, FACTS).clear()
    assert [item.key for item in bucket.objects.all() if FOLDER in item.key] == []
