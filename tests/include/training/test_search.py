"""The search for parameters: seeded, pruned, on its own folds, and never worse than the declaration on them."""

import numpy as np
import pytest
from pydantic import ValidationError

from shelfcast.model.declaration import ModelDeclaration, load, read, text_of
from shelfcast.training.folds import fold_at, folds_of, search_folds
from shelfcast.training.frame import FrameManifest
from shelfcast.training.search import search

SEARCHED = {"learning_rate": (0.02, 0.2), "num_leaves": (7, 127), "feature_fraction": (0.3, 0.9)}


def manifest(frame, **about):
    facts = {"model": "demand", "cutoff": "2024-06-30", "rows": len(frame), "columns": list(frame), "digest": "x"}
    return FrameManifest(**facts, **{"horizon_days": 28, "folds": 1, "reason": "x", "is_forced": False} | about)


@pytest.fixture
def searchable(demand):
    return demand.model_copy(update={"search": SEARCHED})


class Valley:
    """Errors that are smallest at 30 leaves and a rate of 0.05; counts the fits that were asked for."""

    def __init__(self):
        self.fits = []

    def __call__(self, declaration, fold):
        self.fits.append((declaration.fit.num_leaves, fold))
        away = abs(np.log(declaration.fit.num_leaves / 30)) + abs(np.log(declaration.fit.learning_rate / 0.05))
        return np.array([-1.0, 1.0]) * (1 + away)


def test_a_search_finds_what_is_better_than_the_declaration(searchable):
    found, trials = search(searchable, Valley(), folds=3, trials=40, seed=7)
    declared, best = trials[0].losses[-1], min(trial.losses[-1] for trial in trials if not trial.is_pruned)
    assert trials[0].parameters == {name: getattr(searchable.fit, name) for name in SEARCHED}
    assert best < declared
    assert Valley()(found, 0)[1] == pytest.approx(best)
    assert 15 <= found.fit.num_leaves <= 60
    assert {
        name for name in type(found.fit).model_fields if getattr(found.fit, name) != getattr(searchable.fit, name)
    } <= {*SEARCHED}


def test_a_trial_that_falls_behind_is_given_up_and_says_so(searchable, capsys):
    valley = Valley()
    _, trials = search(searchable, valley, folds=3, trials=30, seed=7)
    pruned = [trial for trial in trials if trial.is_pruned]
    assert pruned
    assert all(len(trial.losses) < 3 for trial in pruned)
    assert len(valley.fits) == sum(len(trial.losses) for trial in trials) < 3 * 30
    assert capsys.readouterr().out.count("given up") == len(pruned)


def test_the_same_seed_tries_the_same_and_another_one_does_not(searchable):
    once, again, other = (search(searchable, Valley(), folds=2, trials=12, seed=seed)[1] for seed in (7, 7, 8))
    assert once == again
    assert once != other


def test_one_trial_is_the_declaration_as_it_stands(searchable):
    found, trials = search(searchable, Valley(), folds=2, trials=1, seed=7)
    assert found == searchable
    assert len(trials) == 1


def test_a_model_that_is_judged_by_squared_errors_is_searched_by_them(searchable):
    squared = searchable.model_copy(update={"gate": searchable.gate.model_copy(update={"loss": "squared"})})
    for declared, loss in ((searchable, 2.0), (squared, 5.0)):
        _, trials = search(declared, lambda *_: np.array([1.0, 3.0]), folds=1, trials=1, seed=7)
        assert trials[0].losses == [loss]


def test_what_is_measured_has_no_part_in_the_search(frame, demand):
    measured, searched = (find(frame, demand, manifest(frame)) for find in (folds_of, search_folds))
    assert (len(measured), len(searched)) == (1, 3)
    for fold in searched:
        assert not (fold.test & fold.train).any()
        assert fold.test.any()
        assert not (fold.test & ~measured[-1].train).any()
        assert fold.origin < measured[-1].origin


def test_a_fold_is_found_by_its_origin(frame, demand):
    about = manifest(frame)
    for fold in (*folds_of(frame, demand, about), *search_folds(frame, demand, about)):
        assert (fold_at(frame, demand, about, str(fold.origin)).train == fold.train).all()


def test_the_file_of_a_searched_model_says_its_parameters_and_its_purpose(demand, tmp_path):
    declared = load("demand")
    assert text_of(declared).startswith("# ")
    found = declared.fitted_by(num_leaves=31)
    path = tmp_path / "demand.yaml"
    path.write_text(text_of(found))
    assert read(path) == found
    assert text_of(found).splitlines()[0] == text_of(declared).splitlines()[0]


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ({"num_leaves": (31, 15)}, "a lower and a higher end"),
        ({"feature_fraction": (0.5, 1.5)}, "feature_fraction"),
        ({"objective": (1, 2)}, "search"),
    ],
)
def test_a_range_outside_what_lightgbm_takes_is_refused(ranges, said):
    with pytest.raises(ValidationError, match=said):
        ModelDeclaration.model_validate({**load("demand").model_dump(), "search": ranges})
