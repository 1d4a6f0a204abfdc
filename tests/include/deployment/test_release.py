"""Release bundles."""

import hashlib
import json
import re
import shutil
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelfcast import storage
from shelfcast.deployment import model_check, pointer
from shelfcast.deployment.build_bundle import build
from shelfcast.deployment.bundle import MANIFEST, cutoff_of, load
from shelfcast.errors import BundleError
from shelfcast.model.candidate import MODELS, RELEASED


@pytest.fixture(scope="session")
def built(parts, tmp_path_factory):
    """Folder of a built release, to be copied."""
    folder = tmp_path_factory.mktemp("built")
    return folder / build(parts, folder)


@pytest.fixture
def release(built, tmp_path):
    """Folder of a built release."""
    return shutil.copytree(built, tmp_path / built.name)


def test_the_same_candidate_gives_the_same_release(parts, release, tmp_path):
    assert build(parts, tmp_path) == release.name
    assert release.name.startswith("demand-20240630-")
    bundle = load(release)
    assert bundle.model.declaration.name == "demand"
    assert bundle.record.seed == 7
    assert bundle.metrics["level"] == "item × store × day"


def test_a_release_is_built_followed_and_loaded_wherever_it_lies(parts, built, root):
    releases = root / "releases" / "demand"
    assert pointer.read(releases).current is None
    release_id = build(parts, releases)
    assert release_id == built.name
    pointer.swap(releases, release_id)
    assert pointer.read(releases).current == release_id
    assert load(releases / release_id).model.mean_text == load(built).model.mean_text
    storage.write(releases / release_id / "metrics.json", b"{}")
    with pytest.raises(BundleError, match="is not what was released"):
        load(releases / release_id)
    assert build(parts, releases) == release_id
    assert load(releases / release_id).record.seed == 7
    assert pointer.roll_back(releases, release_id).current is None
    assert pointer.read(releases).current is None


def test_a_release_whose_writing_was_cut_off_is_no_release(parts, root, monkeypatch):
    put = storage._put

    def cut_off(file, target):
        if target.name == MANIFEST:
            raise SystemExit
        put(file, target)

    with monkeypatch.context() as patched:
        patched.setattr(storage, "_put", cut_off)
        with pytest.raises(SystemExit):
            build(parts, root)
    (left,) = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    with pytest.raises(BundleError, match=r"no readable manifest\.json"):
        load(left)
    assert load(root / build(parts, root)).release_id == left.name


def test_an_incomplete_candidate_does_not_become_a_release(parts, tmp_path):
    folder = tmp_path / "candidate"
    shutil.copytree(parts, folder)
    (folder / "calibration.json").unlink()
    with pytest.raises(BundleError, match=r"calibration\.json missing"):
        build(folder, tmp_path)


@pytest.mark.parametrize("part", RELEASED)
def test_a_flipped_byte_in_any_part_is_refused(release, part):
    content = bytearray((release / part).read_bytes())
    content[len(content) // 2] ^= 1
    (release / part).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=part.replace(".", r"\.")):
        load(release)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from([*RELEASED, MANIFEST]), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_of_a_release_is_refused(release, name, place, bit):
    whole = (release / name).read_bytes()
    content = bytearray(whole)
    content[int(place * len(content))] ^= 1 << bit
    (release / name).write_bytes(bytes(content))
    try:
        with pytest.raises(BundleError):
            load(release)
    finally:
        (release / name).write_bytes(whole)


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
    from shelfcast.model.declaration import MODELS_FOLDER

    other = (MODELS_FOLDER / "order_value.yaml").read_text()
    with pytest.raises(BundleError, match="mixes parts"):
        rebuilt(parts, tmp_path, "declaration.yaml", other)()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_of_other_features_is_refused(parts, tmp_path, name):
    text = (parts / name).read_text().replace("feature_names=log_baseline", "feature_names=other")
    with pytest.raises(BundleError, match="other features"):
        rebuilt(parts, tmp_path, name, text)()


def test_a_calibration_of_other_quantiles_is_refused(parts, tmp_path):
    content = json.loads((parts / "calibration.json").read_text())
    content["quantiles"] = [0.1, 0.25, 0.5, 0.75, 0.9]
    with pytest.raises(BundleError, match="other quantiles"):
        rebuilt(parts, tmp_path, "calibration.json", json.dumps(content))()


def test_a_cut_model_ends_the_process_that_parses_it(parts):
    """Why there is a trial: what LightGBM does to the process that loads such a text."""
    code = "import sys, lightgbm; lightgbm.Booster(model_str=sys.stdin.read())"
    text = (parts / "model.txt").read_text()
    half = text[: len(text) // 2].encode()
    done = subprocess.run([sys.executable, "-c", code], input=half, capture_output=True, check=False)
    assert done.returncode < 0


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.9])
def test_a_cut_model_is_not_released(parts, tmp_path, name, share):
    text = (parts / name).read_text()
    trees = text.index("end of trees")
    with pytest.raises(BundleError, match=f"{re.escape(name)} is no sound model"):
        rebuilt(parts, tmp_path, name, text[: int(trees * share)])()
    assert not list((tmp_path / "releases").glob("*"))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda text: text.replace("leaf_value=", "leaf_value=nan ", 1), "no sound model"),
        (lambda text: text.replace("num_leaves=", "num_leaves=9", 1), "no sound model"),
        (lambda text: text.replace("tree_sizes=", "tree_sizes=1 ", 1), "no sound model"),
        (lambda text: text[: text.index("Tree=3")] + text[text.index("end of trees") :], "no sound model"),
        (lambda text: text.replace("threshold=", "threshold=\0", 1), "no sound model"),
    ],
)
def test_a_damaged_model_is_not_released(parts, tmp_path, damage, says):
    with pytest.raises(BundleError, match=says):
        rebuilt(parts, tmp_path, "model.txt", damage((parts / "model.txt").read_text()))()


def of_same_length(numbers, value):
    """LightGBM finds its trees by their sizes in bytes."""
    return " ".join(value.rjust(len(number), "0") for number in numbers.split(" "))


def test_a_model_without_trees_to_its_end_and_one_of_no_numbers_are_at_fault(parts):
    text = (parts / "model.txt").read_text()
    features = len(text.split("feature_names=")[1].split("\n")[0].split())
    assert model_check.fault_of(text, features=features) is None
    assert "have no end" in model_check.fault_of(text.replace("end of trees", "end"), features=features)
    assert "its header says otherwise" in model_check.fault_of(text, features=features - 1)
    huge = re.sub(r"(?<=^leaf_value=).+", lambda found: of_same_length(found[0], "9e307"), text, flags=re.MULTILINE)
    assert "no numbers" in model_check.fault_of(huge, features=features)


def test_a_trial_says_what_became_of_the_process(parts, monkeypatch):
    text = (parts / "model.txt").read_bytes()
    features = len((parts / "model.txt").read_text().split("feature_names=")[1].split("\n")[0].split())
    model_check.check("model.txt", text, features=features)
    with pytest.raises(BundleError, match="its header says otherwise"):
        model_check.check("model.txt", text, features=features + 1)
    cut = text[: len(text) // 3] + model_check.END_OF_TREES.encode()
    with pytest.raises(BundleError, match=r"ended the process that parsed it with SIG(ABRT|SEGV)"):
        model_check.check("model.txt", cut, features=features)
    monkeypatch.setattr(model_check, "LIMIT_SECONDS", 0.01)
    with pytest.raises(BundleError, match=r"not parse it within 0\.01 s"):
        model_check.check("model.txt", text, features=features)


@pytest.mark.parametrize("name", ["metrics.json", "training.json", "calibration.json"])
def test_a_part_and_the_manifest_changed_together_are_refused(release, name):
    content = json.loads((release / name).read_text())
    content["seed"] = 8
    (release / name).write_text(json.dumps(content))
    manifest = json.loads((release / MANIFEST).read_text())
    manifest["parts"][name] = hashlib.sha256((release / name).read_bytes()).hexdigest()
    (release / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="changed together"):
        load(release)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("training.json", "{", r"no readable training\.json"),
        ("training.json", "[]", "not an object"),
        ("training.json", "{}", "names the model None"),
        ("training.json", '{"model": "../../x", "cutoff": "2024-06-30"}', "names the model"),
        ("training.json", '{"model": "demand/../x", "cutoff": "2024-06-30"}', "names the model"),
        ("training.json", '{"model": ["demand"], "cutoff": "2024-06-30"}', "names the model"),
        ("training.json", '{"model": "demand", "cutoff": "soon"}', "the cutoff 'soon'"),
        ("training.json", '{"model": "demand", "cutoff": "20240630"}', "not YYYY-MM-DD"),
        ("training.json", '{"model": "demand"}', "the cutoff None"),
        ("training.json", '{"model": "other", "cutoff": "2024-06-30"}', "mixes parts"),
        ("calibration.json", "{", "cannot be read"),
        ("calibration.json", "7", "cannot be read"),
        ("metrics.json", "", r"no readable metrics\.json"),
        ("metrics.json", "[1]", "not an object"),
        ("declaration.yaml", "\udcff", r"declaration\.yaml of mixed cannot be read"),
        ("model.txt", "\udcff", r"model\.txt of mixed is no text"),
        ("calibration.json", "\udcff", r"calibration\.json of mixed is no text"),
    ],
)
def test_parts_that_cannot_be_read_are_refused_with_advice(parts, tmp_path, name, content, says):
    folder = tmp_path / "mixed"
    shutil.copytree(parts, folder)
    (folder / name).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(BundleError, match=says) as refused:
        build(folder, tmp_path / "releases")
    assert "again" in str(refused.value)
    assert not list(tmp_path.glob("**/.*"))


def test_a_calibration_whose_levels_do_not_ascend_is_refused(parts, tmp_path):
    content = json.loads((parts / "calibration.json").read_text())
    content["edges"] = content["edges"][::-1]
    with pytest.raises(BundleError, match="edges that do not ascend"):
        rebuilt(parts, tmp_path, "calibration.json", json.dumps(content))()


def test_a_damaged_release_can_be_built_again(parts, release, tmp_path):
    (release / "metrics.json").write_text("{}")
    assert build(parts, tmp_path) == release.name
    assert load(release).record.seed == 7


def test_a_release_that_cannot_be_read_is_refused(release):
    (release / "model.txt").unlink()
    (release / "model.txt").mkdir()
    with pytest.raises(BundleError, match=r"no readable model\.txt"):
        load(release)


def test_a_release_knows_its_cutoff(release):
    assert cutoff_of(release.name).isoformat() == "2024-06-30"
    with pytest.raises(BundleError, match="no release id"):
        cutoff_of("../demand")
