"""What serves, and what a candidate has to settle with it."""

import json
from datetime import date

import pytest

from shelfcast import storage
from shelfcast.errors import TrainingError
from shelfcast.model import declaration as declarations
from shelfcast.model.candidate import Question
from shelfcast.training.champion import champion_of, digest_of, matter_of, taken_over

NAME = "demand-20240630-0123456789"


@pytest.fixture
def serving(tmp_path, candidate, demand):
    """A function that lets a candidate serve; returns the folder of the releases."""

    def made(*, current=NAME, declaration=demand, text=candidate.model.mean_text, **about):
        folder = tmp_path / NAME
        folder.mkdir()
        (folder / "model.txt").write_text(text)
        (folder / "declaration.yaml").write_text(json.dumps(declaration.model_dump(mode="json", exclude_none=True)))
        training = {"model": "demand", "cutoff": "2024-06-30", "declared": digest_of(demand), "code": "same"} | about
        (folder / "training.json").write_text(json.dumps(training))
        (tmp_path / "current.json").write_text(json.dumps({"current": current, "previous": None}))
        return tmp_path

    return made


def test_the_same_recipe_on_newer_days_is_a_refresh(demand, serving):
    matter = matter_of(demand, champion_of(serving(), "demand"), code="same")
    assert (matter.question, matter.changes, matter.is_refitted) == (Question.REFRESH, [], False)
    assert matter.as_record()["champion"] == NAME
    assert matter.as_record()["champion_cutoff"] == date(2024, 6, 30)


def test_other_parameters_are_another_recipe_which_is_fitted_anew(demand, serving):
    champion = champion_of(serving(declaration=demand.fitted_by(num_leaves=7)), "demand")
    matter = matter_of(demand, champion, code="same")
    assert (matter.question, matter.is_refitted) == (Question.RECIPE, True)
    assert matter.changes == [f"fit.num_leaves 7 → {demand.fit.num_leaves}"]


def test_a_champion_that_was_fitted_by_tweedies_variance_can_still_be_compared_with(demand, serving):
    before = {"objective": "tweedie", "tweedie_variance_power": 1.5, "dispersion": 0.0}
    matter = matter_of(demand, champion_of(serving(declaration=demand.fitted_by(**before)), "demand"), code="same")
    assert matter.question is Question.RECIPE
    assert "fit.objective tweedie → poisson" in matter.changes


def test_rules_that_only_judge_are_no_recipe(demand, serving):
    rules = demand.gate.model_copy(update={"minimum_effect": 0.02})
    champion = champion_of(serving(declaration=demand.model_copy(update={"gate": rules, "folds": 3})), "demand")
    assert matter_of(demand, champion, code="same").question is Question.REFRESH


@pytest.mark.parametrize("name", ["", "log_level "])
def test_a_champion_of_other_features_cannot_be_fitted_anew(candidate, demand, serving, name):
    champion = champion_of(serving(text=candidate.model.mean_text.replace("log_baseline ", name)), "demand")
    matter = matter_of(demand, champion, code="same")
    assert (matter.question, matter.is_refitted) == (Question.RECIPE, False)
    assert "+log_baseline" in matter.changes[0]


def test_a_change_of_the_code_alone_is_a_refresh_that_says_so(demand, serving):
    matter = matter_of(demand, champion_of(serving(), "demand"), code="newer")
    assert (matter.question, matter.changes) == (Question.REFRESH, ["code"])


@pytest.mark.parametrize("has_pointer", [True, False])
def test_where_nothing_serves_the_first_model_is_asked_for(demand, serving, tmp_path, has_pointer):
    folder = serving(current=None) if has_pointer else tmp_path
    assert champion_of(folder, "demand") is None
    assert champion_of(None, "demand") is None
    assert matter_of(demand, None, code="same").question is Question.FIRST


def test_a_champion_whose_bundle_is_not_whole_is_named(serving):
    folder = serving()
    (folder / NAME / "training.json").unlink()
    with pytest.raises(TrainingError, match=f"{NAME} serves, and its bundle cannot be read"):
        champion_of(folder, "demand")


def test_in_a_bucket_no_other_release_than_the_one_that_serves_is_read(serving, bucket):
    """The others are archived, as a rule of the bucket may do: they can be listed, and whoever reads one is refused."""
    folder, place = serving(), storage.location(f"s3://{bucket.name}/releases/demand")
    for path in (folder / "current.json", *(folder / NAME).iterdir()):
        bucket.upload_file(str(path), f"releases/demand/{path.relative_to(folder)}")
    for name in ("demand-20240623-abcdefabcd/model.txt", f"{NAME}/calibration.json"):
        bucket.put_object(Key=f"releases/demand/{name}", Body=b"...", StorageClass="GLACIER")
    assert champion_of(place, "demand") == champion_of(folder, "demand")
    with pytest.raises(PermissionError), storage.local_copy(place):
        pass


def test_in_a_bucket_without_a_release_the_first_model_is_asked_for(bucket):
    assert champion_of(storage.location(f"s3://{bucket.name}/releases/demand"), "demand") is None


def test_what_a_search_found_is_kept_until_another_declaration_is_written(demand, serving):
    champion = champion_of(serving(declaration=demand.fitted_by(num_leaves=99)), "demand")
    kept = taken_over(demand, champion)
    assert kept.fit.num_leaves == 99
    assert matter_of(kept, champion, code="same").question is Question.REFRESH
    other = demand.fitted_by(learning_rate=0.05)
    assert taken_over(other, champion) == other
    assert taken_over(demand, None) == demand


def test_the_shipped_declarations_have_recipes_of_their_own():
    demand, order_value = (declarations.load(name) for name in ("demand", "order_value"))
    assert demand.changes_since(demand) == []
    assert "kind" in demand.changes_since(order_value)
