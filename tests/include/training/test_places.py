"""A folder on S3 is read and written as one on a disk is."""

import pytest

from shelfcast.training.fit_cache import FitCache
from shelfcast.training.places import local_copy, written_to

FACTS = {"seed": 7}


def never():
    raise AssertionError("it was fitted again")


def write_half_and_fail(folder):
    (folder / "b").write_text("half")
    folder.write_text("not a file")


def keys(bucket):
    return [item.key for item in sorted(bucket.objects.all(), key=lambda item: item.last_modified)]


def test_a_path_is_used_as_it_is(tmp_path):
    with local_copy(str(tmp_path)) as folder, written_to(str(tmp_path), last="b") as out:
        assert folder == out == tmp_path


def test_of_a_uri_the_files_that_are_named_are_copied_or_all_and_the_copy_goes(bucket):
    for name in ("run/frame.json", "run/frame.parquet", "run/candidate/model.txt"):
        bucket.put_object(Key=name, Body=name.encode())
    place = f"s3://{bucket.name}/run"
    with local_copy(place, ["frame.json"]) as folder:
        assert [path.name for path in folder.iterdir()] == ["frame.json"]
        assert (folder / "frame.json").read_text() == "run/frame.json"
    assert not folder.exists()
    with local_copy(place) as folder:
        assert (folder / "candidate" / "model.txt").exists()
    with local_copy(f"s3://{bucket.name}/nothing_there") as folder:
        assert list(folder.iterdir()) == []


def test_what_is_written_arrives_whole_or_not_at_all(bucket):
    place = f"s3://{bucket.name}/out"
    with pytest.raises(IsADirectoryError), written_to(place, last="a") as folder:
        write_half_and_fail(folder)
    assert keys(bucket) == []
    with written_to(place, last="a") as folder:
        for name in "abc":
            (folder / name).write_text(name)
    assert {key for key in keys(bucket) if not key.endswith("/")} == {"out/a", "out/b", "out/c"}


def test_finished_fits_are_kept_beside_a_frame_on_s3(bucket):
    place = f"s3://{bucket.name}/run"
    assert FitCache(place, FACTS).get_or_fit(None, lambda: "text") == "text"
    assert FitCache(place, FACTS).get_or_fit(None, never) == "text"
    assert FitCache(place, {"seed": 8}).get_or_fit(None, lambda: "other") == "other"
    FitCache(place, FACTS).clear()
    assert [key for key in keys(bucket) if "finished_fits" in key] == []
