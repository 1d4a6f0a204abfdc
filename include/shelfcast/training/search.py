"""A search for LightGBM's parameters: seeded trials, each given up as soon as others were better on the same folds.

Folds of a search lie before those that a candidate is measured on. The first trial is the declaration as it stands, so
what is found is at least as good on the folds of the search. Trials come one after another from a seed: a search that is
run again makes the same ones, and takes up the fits that were finished.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.metrics import Floats

if TYPE_CHECKING:
    import optuna

LOGARITHMIC_FROM = 4.0
"""Ranges whose ends are further apart than by this factor are searched in logarithms."""

FULL_TRIALS = 3
"""Trials that are not given up, so that there is something to compare with."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One set of parameters that was tried.

    Attributes:
        number: From 0, which is the declaration as it stands.
        parameters: Of LightGBM, those that were searched.
        losses: Mean loss, as the gate takes it, over the first fold, the first two and so on.
        is_pruned: Whether it was given up before the last fold.
    """

    number: int
    parameters: dict[str, float]
    losses: list[float]
    is_pruned: bool

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def search(
    declaration: ModelDeclaration,
    errors_of: Callable[[ModelDeclaration, int], Floats],
    *,
    folds: int,
    trials: int,
    seed: int,
) -> tuple[ModelDeclaration, list[Trial]]:
    """The declaration with the best parameters that were found, and all trials.

    Args:
        declaration: With the ranges to search.
        errors_of: Fits a declaration on the fold of that number, from 0, and returns its errors on the fold's days.
        folds: How many there are.
        trials: How many to try, 1 or more, the declaration as it stands among them.
        seed: Of the trials.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def tried(trial: optuna.Trial) -> float:
        chosen = declaration.fitted_by(**_suggested(trial, declaration))
        loss = float("nan")
        for fold, loss in enumerate(_mean_losses((errors_of(chosen, fold) for fold in range(folds)), declaration)):
            trial.report(loss, fold)
            if trial.should_prune():
                raise optuna.TrialPruned
        return loss

    sampler, pruner = optuna.samplers.TPESampler(seed=seed), optuna.pruners.MedianPruner(n_startup_trials=FULL_TRIALS)
    study = optuna.create_study(sampler=sampler, pruner=pruner)
    as_declared = declaration.fit.model_dump()
    study.enqueue_trial({name: as_declared[name] for name in declaration.search})
    study.optimize(tried, n_trials=trials, callbacks=[lambda _, trial: _say(_trial(trial))])
    return declaration.fitted_by(**study.best_params), [_trial(trial) for trial in study.trials]


def _suggested(trial: "optuna.Trial", declaration: ModelDeclaration) -> dict[str, float]:
    """The parameters to try, whole numbers where LightGBM takes none but those."""
    found: dict[str, float] = {}
    for name, (low, high) in declaration.search.items():
        is_logarithmic = low > 0 and high / low > LOGARITHMIC_FROM
        if isinstance(getattr(declaration.fit, name), int):
            found[name] = trial.suggest_int(name, int(low), int(high), log=is_logarithmic)
        else:
            found[name] = trial.suggest_float(name, low, high, log=is_logarithmic)
    return found


def _mean_losses(errors: Iterable[Floats], declaration: ModelDeclaration) -> Iterator[float]:
    total, rows = 0.0, 0
    for error in errors:
        total += float(np.sum(np.abs(error) if declaration.gate.loss == "absolute" else error**2))
        rows += len(error)
        yield total / rows


def _trial(trial: "optuna.trial.FrozenTrial") -> Trial:
    losses = [loss for _, loss in sorted(trial.intermediate_values.items())]
    return Trial(number=trial.number, parameters=trial.params, losses=losses, is_pruned=trial.state.name == "PRUNED")


def _say(trial: Trial) -> None:
    end = ", given up" if trial.is_pruned else ""
    values = ", ".join(f"{name} {value:.4g}" for name, value in trial.parameters.items())
    so_far = f"loss {trial.losses[-1]:.5g} after {len(trial.losses)} folds{end}"
    print(f"trial {trial.number}: {so_far}; {values}", flush=True)  # noqa: T201
