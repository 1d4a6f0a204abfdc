"""What a training run makes, as a folder of files: the only module that knows their names.

    candidate/{model.txt, spread.txt, calibration.json, declaration.yaml, metrics.json, folds.json, fold_forecasts.parquet,
        since_champion.parquet, trials.json, training.json, report/}

`training.json` is written last: a folder that has it is whole. Folds, trials, `since_champion.parquet` and the report, which
is for people, are there where there is something to tell. A release is made of the parts in `RELEASED` (see
`shelfcast.deployment.bundle`).
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from shelfcast.errors import BundleError, ConfigurationError
from shelfcast.model import declaration as declarations
from shelfcast.model.booster import feature_names
from shelfcast.model.calibration import Calibration
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.fitted_model import FittedModel

FOLDER = "candidate"
"""Of a training run's folder, and of its MLflow run's artifacts."""

MEAN, DIFFICULTY = "model.txt", "spread.txt"
MODELS = (MEAN, DIFFICULTY)
CALIBRATION, DECLARATION, METRICS, RECORD = "calibration.json", "declaration.yaml", "metrics.json", "training.json"
RELEASED = (*MODELS, CALIBRATION, DECLARATION, RECORD, METRICS)
FOLD_FORECASTS, SINCE_CHAMPION = "fold_forecasts.parquet", "since_champion.parquet"
FOLDS, TRIALS = "folds.json", "trials.json"
CHAMPION = (MEAN, DECLARATION, RECORD)
"""What of a release tells a training run what serves."""

WRITTEN_LAST = RECORD

REPORT = "report"
"""Folder of what people read (see `shelfcast.training.report`), in the candidate's."""

CARD, CARD_PAGE, WEIGHTS, PICTURES = "model_card.md", "model_card.html", "shap_summary.csv", "plots"
"""What lies in the report."""

MODEL_NAME = re.compile(r"[a-z][a-z0-9_]*")
"""As declarations have it: nothing else becomes a part of a path."""


class Table(Protocol):
    """A data frame of pandas."""

    def to_parquet(self, path: Path, *, index: bool) -> None:
        """Writes it as a file."""


class Question(StrEnum):
    """What the gate has to decide about a candidate."""

    FIRST = "first"
    """Is it better than the strongest simple method? Nothing serves yet."""
    RECIPE = "recipe"
    """Is its recipe better than the champion's?"""
    REFRESH = "refresh"
    """Is it sound? It is the champion's recipe on newer days."""


class TrainingRecord(BaseModel):
    """What a candidate was made of and why; older releases lack some of it.

    Attributes:
        model: Name of the model.
        cutoff: The last day that it has learned from.
        frame_digest: Of the frozen frame.
        seed: Of every fit.
        horizon_days: Days ahead; 0 for a regression.
        rows: Of the frame.
        reason: Why it was trained.
        is_forced: Whether the gate is to let it pass.
        question: What the gate has to decide about it.
        champion: Id of the release that served meanwhile, if any did.
        champion_cutoff: The last day that one has learned from.
        changes: In what its recipe differs from the champion's.
        is_refitted: Whether the champion's recipe was fitted anew on its folds.
        declared: Digest of the declaration before a search.
        code: Digest of the code that fitted it.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    cutoff: date
    frame_digest: str = ""
    seed: int = 0
    horizon_days: int = 0
    rows: int = 0
    reason: str = ""
    is_forced: bool = False
    question: Question = Question.FIRST
    champion: str | None = None
    champion_cutoff: date | None = None
    changes: tuple[str, ...] = ()
    is_refitted: bool = False
    declared: str | None = None
    code: str | None = None


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What a training run made; its tables are read from its folder, by whoever needs them.

    Attributes:
        model: The fitted model.
        record: What it was made of.
        metrics: Of its fold forecasts.
        folds: `number`, `origin` and `metrics` of each fold, the newest first; older candidates do not tell them.
        trials: Of the search for its parameters, if there was one.
    """

    model: FittedModel
    record: TrainingRecord
    metrics: Mapping[str, Any]
    folds: Sequence[Mapping[str, Any]] = ()
    trials: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def read(cls, folder: Path) -> "Candidate":
        """Reads a candidate's folder.

        Raises:
            BundleError: A part is missing or damaged, or the parts do not belong together.
        """
        folds, trials = (_listed(folder / name) for name in (FOLDS, TRIALS))
        return replace(cls.of(contents_of(folder), folder.name), folds=folds, trials=trials)

    @classmethod
    def of(cls, contents: Mapping[str, bytes], where: str) -> "Candidate":
        """The candidate of some parts, when they belong together; raises as `read` does, and names the folder (`where`)."""
        return cls(
            model=_fitted_model(contents, where),
            record=record_of(contents, where),
            metrics=metrics_of(contents, where),
        )

    def write(self, folder: Path, *, fold_forecasts: Table, since_champion: Table | None = None) -> None:
        """Writes all files, `WRITTEN_LAST` after the others.

        Args:
            folder: Made if missing.
            fold_forecasts: What the fold models forecast (see `shelfcast.training.evaluation`).
            since_champion: What fold models say of the days since the champion's cutoff, if there are any.
        """
        folder.mkdir(parents=True, exist_ok=True)
        texts = {
            MEAN: self.model.mean_text,
            DIFFICULTY: self.model.difficulty_text,
            CALIBRATION: self.model.calibration.to_json(),
            DECLARATION: declarations.text_of(self.model.declaration),
            METRICS: json.dumps(self.metrics, indent=1),
        }
        listed = {FOLDS: self.folds, TRIALS: self.trials}
        texts |= {name: json.dumps(found, indent=1) for name, found in listed.items() if found}
        for name, text in texts.items():
            (folder / name).write_text(text)
        fold_forecasts.to_parquet(folder / FOLD_FORECASTS, index=False)
        if since_champion is not None:
            since_champion.to_parquet(folder / SINCE_CHAMPION, index=False)
        (folder / RECORD).write_text(self.record.model_dump_json(indent=1))


def contents_of(folder: Path, names: Sequence[str] = RELEASED) -> dict[str, bytes]:
    """Each part as it is read once: what is verified is what is used; `BundleError` if one is missing."""
    return {name: content(folder, name) for name in names}


def content(folder: Path, name: str) -> bytes:
    """A file of the folder; raises `BundleError` if it cannot be read."""
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise BundleError(f"{folder.name} has no readable {name} ({error}). Build the release again.") from error


def record_of(contents: Mapping[str, bytes], where: str) -> TrainingRecord:
    """What the parts were made of, with a model and a cutoff that can be part of a name.

    Raises:
        BundleError: Names the folder (`where`) and what is wrong.
    """
    found = json_object(contents[RECORD], RECORD, where)
    model, cutoff = found.get("model"), found.get("cutoff")
    if not isinstance(model, str) or not MODEL_NAME.fullmatch(model):
        raise BundleError(f"{RECORD} of {where} names the model {model!r:.80}: no model is called so. Train again.")
    if not isinstance(cutoff, str) or not _is_iso_date(cutoff):
        raise BundleError(f"{RECORD} of {where} has the cutoff {cutoff!r:.80}, not YYYY-MM-DD. Train again.")
    try:
        return TrainingRecord.model_validate(found)
    except ValidationError as error:
        faults = "; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors())
        raise BundleError(f"{RECORD} of {where} cannot be read ({faults}). Train again.") from error


def metrics_of(contents: Mapping[str, bytes], where: str) -> dict[str, Any]:
    """Metrics of the folds; raises `BundleError` if there are none."""
    return json_object(contents[METRICS], METRICS, where)


def declaration_of(contents: Mapping[str, bytes], where: str, *, model: str) -> ModelDeclaration:
    """The model of that name, as it was declared when it was trained.

    Raises:
        BundleError: Names the folder (`where`) and what is wrong.
    """
    try:
        return declarations.parse(contents[DECLARATION].decode(), DECLARATION, name=model, older=True)
    except ConfigurationError as error:
        raise BundleError(f"{where} mixes parts of two models: {error} Build it again.") from error
    except ValueError as error:
        raise BundleError(f"{DECLARATION} of {where} cannot be read ({error}). Build it again.") from error


def _fitted_model(contents: Mapping[str, bytes], where: str) -> FittedModel:
    declaration = declaration_of(contents, where, model=record_of(contents, where).model)
    mean_text, difficulty_text = (_text(contents[name], name, where) for name in MODELS)
    if {feature_names(mean_text), feature_names(difficulty_text)} != {declaration.feature_names}:
        raise BundleError(
            f"A model in {where} was fitted on other features than its declaration gives. Train it again."
        )
    return FittedModel(
        declaration=declaration,
        mean_text=mean_text,
        difficulty_text=difficulty_text,
        calibration=_calibration(contents, where, declaration),
    )


def json_object(content: bytes, name: str, where: str) -> dict[str, Any]:
    """A part that is a JSON object; raises `BundleError` for any other."""
    try:
        found = json.loads(content)
    except ValueError as error:
        raise BundleError(f"{where} has no readable {name} ({error}). Build the release again.") from error
    if not isinstance(found, dict):
        raise BundleError(f"{name} of {where} is {found!r:.80}, not an object. Build the release again.")
    return found


def _listed(path: Path) -> list[dict[str, Any]]:
    """What a part lists that not every candidate has."""
    return json.loads(path.read_text()) if path.exists() else []


def _calibration(contents: Mapping[str, bytes], where: str, declaration: ModelDeclaration) -> Calibration:
    made = Calibration.from_json(_text(contents[CALIBRATION], CALIBRATION, where))
    if made.quantiles != declaration.quantiles:
        raise BundleError(f"The calibration in {where} has other quantiles than its declaration. Train it again.")
    if not all(isinstance(edge, int | float) for edge in made.edges) or (np.diff(made.edges) <= 0).any():
        raise BundleError(f"The calibration in {where} has edges that do not ascend. Train it again.")
    return made


def _text(content: bytes, name: str, where: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BundleError(f"{name} of {where} is no text ({error}). Build the release again.") from error


def _is_iso_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
