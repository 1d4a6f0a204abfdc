"""A release as a folder: everything a forecast needs, each part with its digest, named by their digest.

    releases/<model>/<release id>/{model.txt, calibration.json, declaration.yaml, training.json, metrics.json, manifest.json}

A bundle is loaded whole or not at all. The model is LightGBM's native text; nothing in it is ever executed.
"""

import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shelfcast.errors import BundleError, ConfigurationError, first_offenders
from shelfcast.training.calibration import Calibration
from shelfcast.training.declaration import ModelDeclaration, read
from shelfcast.training.rows import model_features

MANIFEST = "manifest.json"
PARTS = ("model.txt", "calibration.json", "declaration.yaml", "training.json", "metrics.json")
RELEASE_ID = re.compile(r"[a-z0-9_]+-\d{8}-[0-9a-f]{10}")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A release that was verified part by part.

    Attributes:
        release_id: `<model>-<cutoff>-<digest>`.
        declaration: The model as it was declared when it was trained.
        model_text: LightGBM's native text.
        calibration: Its quantiles.
        training: Cutoff, frame digest, seed and reason.
        metrics: Fold metrics.
    """

    release_id: str
    declaration: ModelDeclaration
    model_text: str
    calibration: Calibration
    training: dict[str, Any]
    metrics: dict[str, Any]


def build(parts: Path, releases: Path) -> str:
    """Makes a bundle of a candidate's files; answers its release id. The same files give the same release.

    Args:
        parts: Folder that holds a file of each name in `PARTS`.
        releases: Folder of the model's releases.

    Raises:
        BundleError: A part is missing, or the parts do not belong together.
    """
    missing = [name for name in PARTS if not (parts / name).is_file()]
    if missing:
        raise BundleError(
            f"{parts} cannot become a release: {first_offenders(missing)} missing. Register the candidate again."
        )
    digests = {name: _digest(parts / name) for name in PARTS}
    training = json.loads((parts / "training.json").read_text())
    combined = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:10]
    release_id = f"{training['model']}-{training['cutoff'].replace('-', '')}-{combined}"
    folder = releases / release_id
    if not folder.exists():
        draft = releases / f".{release_id}.part"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for name in PARTS:
            shutil.copyfile(parts / name, draft / name)
        (draft / MANIFEST).write_text(json.dumps({"release_id": release_id, "parts": digests}, indent=1))
        draft.rename(folder)
    load(folder)
    return release_id


def load(folder: Path) -> Bundle:
    """Reads and verifies a bundle; raises `BundleError` for any that is not exactly what was released."""
    manifest = _manifest(folder)
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    if present != set(PARTS) or set(manifest["parts"]) != set(PARTS):
        raise BundleError(
            f"{folder.name} holds {first_offenders(sorted(present))}; a release is {', '.join(PARTS)}, no more and no "
            "less. Build it again."
        )
    changed = [name for name in PARTS if _digest(folder / name) != manifest["parts"][name]]
    if changed:
        raise BundleError(f"{first_offenders(changed)} of {folder.name} is not what was released. Build it again.")
    return _checked(folder, manifest["release_id"])


def _manifest(folder: Path) -> dict[str, Any]:
    if not RELEASE_ID.fullmatch(folder.name):
        raise BundleError(f"{folder.name!r} is no release id.")
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        if manifest["release_id"] != folder.name or not isinstance(manifest["parts"], dict):
            raise BundleError(f"The manifest in {folder.name} is of another release. Build it again.")
    except (OSError, ValueError, KeyError) as error:
        raise BundleError(f"{folder.name} has no readable manifest ({error}). Build the release again.") from error
    return manifest


def _checked(folder: Path, release_id: str) -> Bundle:
    """The bundle, when its parts belong together."""
    training = json.loads((folder / "training.json").read_text())
    declaration = _declaration(folder, training["model"])
    calibration = Calibration.from_json((folder / "calibration.json").read_text())
    text = (folder / "model.txt").read_text()
    named = re.search(r"^feature_names=(.*)$", text, flags=re.MULTILINE)
    if named is None or tuple(named[1].split()) != model_features(declaration):
        raise BundleError(
            f"The model in {folder.name} was fitted on other features than its declaration gives. Train it again."
        )
    if calibration.quantiles != declaration.quantiles:
        raise BundleError(f"The calibration in {folder.name} has other quantiles than its declaration. Train it again.")
    return Bundle(
        release_id=release_id,
        declaration=declaration,
        model_text=text,
        calibration=calibration,
        training=training,
        metrics=json.loads((folder / "metrics.json").read_text()),
    )


def _declaration(folder: Path, model: str) -> ModelDeclaration:
    try:
        return read(folder / "declaration.yaml", name=model)
    except ConfigurationError as error:
        raise BundleError(f"{folder.name} mixes parts of two models: {error} Build it again.") from error


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
