"""Release bundles and the pointer."""

import json
import shutil

import pytest

from shelfcast.deployment import pointer
from shelfcast.deployment.bundle import MANIFEST, PARTS, build, load
from shelfcast.errors import BundleError, ReleaseError


@pytest.fixture
def release(parts, tmp_path):
    """Folder of a built release."""
    return tmp_path / build(parts, tmp_path)


def test_the_same_candidate_gives_the_same_release(parts, release, tmp_path):
    assert build(parts, tmp_path) == release.name
    assert release.name.startswith("demand-20240630-")
    bundle = load(release)
    assert bundle.declaration.name == "demand"
    assert bundle.training["seed"] == 7
    assert bundle.metrics["level"] == "item × store × day"


def test_an_incomplete_candidate_does_not_become_a_release(parts, tmp_path):
    folder = tmp_path / "candidate"
    shutil.copytree(parts, folder)
    (folder / "calibration.json").unlink()
    with pytest.raises(BundleError, match=r"calibration\.json missing"):
        build(folder, tmp_path)


@pytest.mark.parametrize("part", PARTS)
def test_a_flipped_byte_in_any_part_is_refused(release, part):
    content = bytearray((release / part).read_bytes())
    content[len(content) // 2] ^= 1
    (release / part).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=part.replace(".", r"\.")):
        load(release)


def test_missing_and_extra_parts_are_refused(release):
    (release / "model.pkl").write_bytes(b"")
    with pytest.raises(BundleError, match="no more and no less"):
        load(release)
    (release / "model.pkl").unlink()
    (release / "model.txt").unlink()
    with pytest.raises(BundleError, match="no more and no less"):
        load(release)


def test_a_name_that_is_no_release_id_is_refused(release, tmp_path):
    for name in ("..", "demand", "demand-20240630-xyz"):
        with pytest.raises(BundleError, match="no release id"):
            load(tmp_path / "x" / name)
    moved = release.with_name("demand-20240630-0123456789")
    release.rename(moved)
    with pytest.raises(BundleError, match="another release"):
        load(moved)


def test_a_manifest_that_cannot_be_read_is_refused(release):
    (release / MANIFEST).write_text("{")
    with pytest.raises(BundleError, match="no readable manifest"):
        load(release)


def rebuilt(parts, tmp_path, name, content):
    folder = tmp_path / "mixed"
    shutil.copytree(parts, folder)
    (folder / name).write_text(content)
    return lambda: build(folder, tmp_path / "releases")


def test_parts_of_two_models_are_not_mixed(parts, tmp_path):
    from shelfcast.training.declaration import MODELS_FOLDER

    other = (MODELS_FOLDER / "order_value.yaml").read_text()
    with pytest.raises(BundleError, match="mixes parts"):
        rebuilt(parts, tmp_path, "declaration.yaml", other)()


def test_a_model_of_other_features_is_refused(parts, tmp_path):
    text = (parts / "model.txt").read_text().replace("feature_names=log_baseline", "feature_names=other")
    with pytest.raises(BundleError, match="other features"):
        rebuilt(parts, tmp_path, "model.txt", text)()


def test_a_calibration_of_other_quantiles_is_refused(parts, tmp_path):
    content = json.loads((parts / "calibration.json").read_text())
    content["quantiles"] = [0.1, 0.25, 0.5, 0.75, 0.9]
    with pytest.raises(BundleError, match="other quantiles"):
        rebuilt(parts, tmp_path, "calibration.json", json.dumps(content))()


def test_the_pointer_goes_forth_and_back(tmp_path):
    assert pointer.read(tmp_path) == pointer.Pointer()
    pointer.swap(tmp_path, "first")
    assert pointer.swap(tmp_path, "second") == pointer.Pointer(current="second", previous="first")
    assert pointer.swap(tmp_path, "second").previous == "first"
    assert pointer.roll_back(tmp_path, "second").current == "first"
    assert pointer.roll_back(tmp_path, "second").current == "first"


def test_taking_back_the_first_release_leaves_none(tmp_path):
    pointer.swap(tmp_path, "first")
    with pytest.raises(ReleaseError, match="nothing serves now"):
        pointer.roll_back(tmp_path, "first")
    assert pointer.read(tmp_path).current is None
