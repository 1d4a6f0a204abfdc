"""A release as a folder: everything a forecast needs, each part with its digest, named by their digest.

    releases/<model>/<release id>/{model.txt, spread.txt, calibration.json, declaration.yaml, training.json, metrics.json,
        manifest.json}

A bundle is loaded whole or not at all. Its models are LightGBM's native text; nothing in it is ever executed.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from shelfcast.deployment import durable, promise, trial
from shelfcast.errors import BundleError, ConfigurationError, first_offenders
from shelfcast.training.calibration import Calibration
from shelfcast.training.declaration import ModelDeclaration, read
from shelfcast.training.fit import MODEL, feature_names
from shelfcast.training.rows import model_features
from shelfcast.training.spread import SPREAD

MANIFEST = "manifest.json"
MODELS = (MODEL, SPREAD)
METRICS = "metrics.json"
PARTS = (*MODELS, "calibration.json", "declaration.yaml", "training.json", METRICS)
RELEASE_ID = re.compile(r"[a-z][a-z0-9_]*-(\d{8})-[0-9a-f]{10}")
MODEL_NAME = re.compile(r"[a-z][a-z0-9_]*")
"""As declarations have it: nothing else becomes a part of a path."""


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A release that was verified part by part.

    Attributes:
        release_id: `<model>-<cutoff>-<digest>`.
        declaration: The model as it was declared when it was trained.
        model_text: LightGBM's native text.
        spread_text: The same of the model of its spread.
        calibration: Its quantiles.
        training: Cutoff, frame digest, seed and reason.
        metrics: Fold metrics, and their sums by day ahead.
    """

    release_id: str
    declaration: ModelDeclaration
    model_text: str
    spread_text: str
    calibration: Calibration
    training: dict[str, Any]
    metrics: dict[str, Any]


def build(parts: Path, releases: Path) -> str:
    """Makes a bundle of a candidate's files; answers its release id. The same files give the same release.

    The model is parsed in a process of its own first, so whatever has a release's digests is known to parse. The metrics
    of a candidate with fold forecasts are told by day ahead, too.

    Args:
        parts: Folder that holds a file of each name in `PARTS`, and the fold forecasts.
        releases: Folder of the model's releases.

    Raises:
        BundleError: A part is missing or damaged, or the parts do not belong together.
    """
    missing = [name for name in PARTS if not (parts / name).is_file()]
    if missing:
        raise BundleError(
            f"{parts} cannot become a release: {first_offenders(missing)} missing. Register the candidate again."
        )
    contents = _with_promise(parts, _contents(parts))
    digests = _digests(contents)
    release_id = release_id_of(_training(contents, parts.name), digests)
    made = _checked(parts, contents, release_id)
    folder = releases / release_id
    if not _is_sound(folder):
        for name in MODELS:
            trial.check(name, contents[name], features=len(model_features(made.declaration)))
        _write(folder, contents, {"release_id": release_id, "parts": digests})
    return load(folder).release_id


def load(folder: Path) -> Bundle:
    """Reads and verifies a bundle; raises `BundleError` for any that is not exactly what was released."""
    digests = _manifest(folder)
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    if present != set(PARTS) or set(digests) != set(PARTS):
        raise BundleError(
            f"{folder.name} holds {first_offenders(sorted(present))}; a release is {', '.join(PARTS)}, no more and no "
            "less. Build it again."
        )
    contents = _contents(folder)
    found = _digests(contents)
    changed = [name for name in PARTS if found[name] != digests[name]]
    if changed:
        raise BundleError(f"{first_offenders(changed)} of {folder.name} is not what was released. Build it again.")
    named = release_id_of(_training(contents, folder.name), digests)
    if named != folder.name:
        raise BundleError(
            f"The parts in {folder.name} are those of {named}: parts and manifest were changed together. Build it again."
        )
    return _checked(folder, contents, folder.name)


def release_id_of(training: Mapping[str, Any], digests: Mapping[str, str]) -> str:
    """The name that a release's parts give it: no other parts have it."""
    combined = hashlib.sha256(json.dumps(dict(digests), sort_keys=True).encode()).hexdigest()[:10]
    return f"{training['model']}-{training['cutoff'].replace('-', '')}-{combined}"


def cutoff_of(release_id: str) -> date:
    """The last day that a release was trained on; raises `BundleError` if this is no release id."""
    found = RELEASE_ID.fullmatch(release_id)
    if found is None:
        raise BundleError(f"{release_id!r} is no release id.")
    return date.fromisoformat(found[1])


def _manifest(folder: Path) -> dict[str, str]:
    """Digests by part."""
    if not RELEASE_ID.fullmatch(folder.name):
        raise BundleError(f"{folder.name!r} is no release id.")
    manifest = _json_object(folder.name, MANIFEST, _content(folder, MANIFEST))
    if manifest.get("release_id") != folder.name or not isinstance(manifest.get("parts"), dict):
        raise BundleError(f"The manifest in {folder.name} is of another release. Build it again.")
    return dict(manifest["parts"])


def _checked(folder: Path, contents: Mapping[str, bytes], release_id: str) -> Bundle:
    """The bundle, when its parts belong together."""
    training = _training(contents, folder.name)
    declaration = _declaration(folder, training["model"])
    model_text, spread_text = (_text(folder.name, name, contents[name]) for name in MODELS)
    if {feature_names(model_text), feature_names(spread_text)} != {model_features(declaration)}:
        raise BundleError(
            f"A model in {folder.name} was fitted on other features than its declaration gives. Train it again."
        )
    return Bundle(
        release_id=release_id,
        declaration=declaration,
        model_text=model_text,
        spread_text=spread_text,
        calibration=_calibration(folder.name, contents, declaration),
        training=training,
        metrics=_json_object(folder.name, METRICS, contents[METRICS]),
    )


def _training(contents: Mapping[str, bytes], where: str) -> dict[str, Any]:
    """What the release was trained on, with a model and a cutoff that can be part of a name."""
    training = _json_object(where, "training.json", contents["training.json"])
    model, cutoff = training.get("model"), training.get("cutoff")
    if not isinstance(model, str) or not MODEL_NAME.fullmatch(model):
        raise BundleError(
            f"training.json of {where} names the model {model!r:.80}: no model is called so. Train again."
        )
    if not isinstance(cutoff, str) or not _is_iso_date(cutoff):
        raise BundleError(f"training.json of {where} has the cutoff {cutoff!r:.80}, not YYYY-MM-DD. Train again.")
    return training


def _calibration(where: str, contents: Mapping[str, bytes], declaration: ModelDeclaration) -> Calibration:
    made = Calibration.from_json(_text(where, "calibration.json", contents["calibration.json"]))
    if made.quantiles != declaration.quantiles:
        raise BundleError(f"The calibration in {where} has other quantiles than its declaration. Train it again.")
    if not all(isinstance(edge, int | float) for edge in made.edges) or (np.diff(made.edges) <= 0).any():
        raise BundleError(f"The calibration in {where} has edges that do not ascend. Train it again.")
    return made


def _declaration(folder: Path, model: str) -> ModelDeclaration:
    try:
        return read(folder / "declaration.yaml", name=model)
    except ConfigurationError as error:
        raise BundleError(f"{folder.name} mixes parts of two models: {error} Build it again.") from error
    except (OSError, ValueError) as error:
        raise BundleError(f"declaration.yaml of {folder.name} cannot be read ({error}). Build it again.") from error


def _contents(folder: Path) -> dict[str, bytes]:
    """Each part as it is read once: what is verified is what is used."""
    return {name: _content(folder, name) for name in PARTS}


def _with_promise(parts: Path, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    sums = promise.sums_by_day_ahead(parts)
    if not sums:
        return dict(contents)
    metrics = _json_object(parts.name, METRICS, contents[METRICS]) | {promise.BY_DAY_AHEAD: sums}
    return {**contents, METRICS: json.dumps(metrics, indent=1).encode()}


def _content(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise BundleError(f"{folder.name} has no readable {_word(name)} ({error}). Build the release again.") from error


def _json_object(where: str, name: str, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise BundleError(f"{where} has no readable {_word(name)} ({error}). Build the release again.") from error
    if not isinstance(found, dict):
        raise BundleError(f"{name} of {where} is {found!r:.80}, not an object. Build the release again.")
    return found


def _text(where: str, name: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise BundleError(f"{name} of {where} is no text ({error}). Build the release again.") from error


def _word(name: str) -> str:
    return "manifest" if name == MANIFEST else name


def _is_iso_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _digests(contents: Mapping[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _is_sound(folder: Path) -> bool:
    """Whether the release is there already; what is damaged is moved aside, so that it can be built again."""
    if not folder.exists():
        return False
    try:
        load(folder)
    except BundleError:
        aside = folder.with_name(f".{folder.name}.damaged")
        shutil.rmtree(aside, ignore_errors=True)
        folder.rename(aside)
        return False
    return True


def _write(folder: Path, contents: Mapping[str, bytes], manifest: Mapping[str, object]) -> None:
    """Writes the folder whole: it has its name only when the disk has all of it."""
    draft = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for name, content in {**contents, MANIFEST: json.dumps(manifest, indent=1).encode()}.items():
        durable.write(draft / name, content)
    draft.rename(folder)
    durable.sync_folder(folder.parent)
