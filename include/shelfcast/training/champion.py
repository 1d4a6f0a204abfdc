"""What serves while a candidate is trained, and what the two have to settle between them.

A champion has learned from the days that its candidate's folds are measured on, so its own forecasts of them say nothing.
What can be compared without that fault: its *recipe*, fitted anew on the same folds, and what it said before the days came.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import date
from typing import Any

from shelfcast.errors import BundleError, TrainingError
from shelfcast.model import candidate
from shelfcast.model.booster import feature_names
from shelfcast.model.candidate import Question, TrainingRecord
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.storage import Location, local_copy

POINTER = "current.json"


@dataclass(frozen=True, kw_only=True)
class Champion:
    """The release that serves.

    Attributes:
        release_id: Its name.
        declaration: As it was declared when it was trained, with the parameters that a search had found.
        features: What its model was fitted on.
        record: What it was made of.
    """

    release_id: str
    declaration: ModelDeclaration
    features: tuple[str, ...]
    record: TrainingRecord

    @property
    def cutoff(self) -> date:
        """The last day that it has learned from."""
        return self.record.cutoff


@dataclass(frozen=True, kw_only=True)
class Matter:
    """What is to be decided about a candidate.

    Attributes:
        question: See there.
        champion: What serves; `None` before the first release.
        changes: In what the candidate's recipe differs from the champion's.
        is_refitted: Whether the champion's recipe is fitted anew on the candidate's folds.
    """

    question: Question
    champion: Champion | None
    changes: list[str]
    is_refitted: bool

    def as_record(self) -> dict[str, Any]:
        """What of it belongs into a `TrainingRecord`."""
        champion = self.champion
        return {
            "question": self.question,
            "champion": champion.release_id if champion else None,
            "champion_cutoff": champion.cutoff if champion else None,
            "changes": tuple(self.changes),
            "is_refitted": self.is_refitted,
        }


def champion_of(releases: Location | None, model: str) -> Champion | None:
    """The release that the pointer in a model's releases folder names, of which alone is read; `None` if there is none.

    Raises:
        TrainingError: The pointer names a release that is not whole.
    """
    if releases is None or not (releases / POINTER).exists():
        return None
    current: str | None = json.loads((releases / POINTER).read_bytes())["current"]
    if current is None:
        return None
    try:
        with local_copy(releases / current, candidate.CHAMPION) as folder:
            parts = candidate.contents_of(folder, candidate.CHAMPION)
        return Champion(
            release_id=current,
            declaration=candidate.declaration_of(parts, current, model=model),
            features=feature_names(parts[candidate.MEAN].decode()),
            record=candidate.record_of(parts, current),
        )
    except (BundleError, ValueError) as error:
        raise TrainingError(
            f"{current} serves, and its bundle cannot be read ({error}): a candidate could not be compared with it. Build "
            "that release again, or point at another one."
        ) from error


def taken_over(declared: ModelDeclaration, champion: Champion | None) -> ModelDeclaration:
    """The declaration with the parameters that a search had found for the champion, while it is declared as it was then.

    Without them each Monday would go back to what the search had found worse.
    """
    if champion is None or champion.record.declared != digest_of(declared):
        return declared
    found = champion.declaration.fit.model_dump()
    return declared.fitted_by(**{name: found[name] for name in declared.search})


def matter_of(candidate: ModelDeclaration, champion: Champion | None, *, code: str) -> Matter:
    """What the gate has to decide.

    A change of the code alone is judged as a refresh: nobody asked for another recipe, and the old code cannot be fitted
    anew. It is named, and what served until now is what the candidate must not fall behind.

    Args:
        candidate: As it is fitted.
        champion: What serves.
        code: Digest of the code that fits.
    """
    if champion is None:
        return Matter(question=Question.FIRST, champion=None, changes=[], is_refitted=False)
    changes, features = candidate.changes_since(champion.declaration), candidate.feature_names
    if champion.features != features:
        changes = [change for change in changes if change != "features"]
        changes.append("features" + _difference(features, champion.features))
    question = Question.RECIPE if changes else Question.REFRESH
    can_be_refitted = champion.features == features and all(change.startswith("fit.") for change in changes)
    if champion.record.code not in (None, code):
        changes.append("code")
    return Matter(
        question=question,
        champion=champion,
        changes=changes,
        is_refitted=question is Question.RECIPE and can_be_refitted,
    )


def digest_of(declaration: ModelDeclaration) -> str:
    """Of what a declaration says."""
    return hashlib.sha256(declaration.model_dump_json().encode()).hexdigest()


def _difference(now: tuple[str, ...], then: tuple[str, ...]) -> str:
    added, gone = sorted(set(now) - set(then)), sorted(set(then) - set(now))
    told = [f"{sign}{name}" for sign, names in (("+", added), ("-", gone)) for name in names]
    return f" ({', '.join(told[:10])})" if told else " in another order"
