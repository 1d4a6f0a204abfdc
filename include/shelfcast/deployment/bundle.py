"""A release as a folder: everything a forecast needs, each part with its digest, named by their digest.

    releases/<model>/<release id>/{the released parts of a candidate (see `shelfcast.model.candidate`), manifest.json}

A bundle is loaded whole or not at all. Its models are LightGBM's native text; nothing in it is ever executed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from shelfcast import storage
from shelfcast.errors import BundleError, first_offenders
from shelfcast.model import candidate
from shelfcast.model.candidate import RELEASED, Candidate, TrainingRecord
from shelfcast.model.fitted_model import FittedModel
from shelfcast.storage import Location

MANIFEST = "manifest.json"
RELEASE_ID = re.compile(r"[a-z][a-z0-9_]*-(\d{8})-[0-9a-f]{10}")


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A release that was verified part by part.

    Attributes:
        release_id: `<model>-<cutoff>-<digest>`.
        model: The fitted model.
        record: What it was made of.
        metrics: Fold metrics, and their sums by day ahead.
    """

    release_id: str
    model: FittedModel
    record: TrainingRecord
    metrics: Mapping[str, Any]


def load(folder: Location) -> Bundle:
    """Reads and verifies a bundle; raises `BundleError` for any that is not exactly what was released."""
    with storage.local_copy(folder) as copy:
        return _load(copy, folder.name)


def _load(folder: Path, release_id: str) -> Bundle:
    digests = _manifest(folder, release_id)
    present = {path.name for path in folder.iterdir()} - {MANIFEST}
    if present != set(RELEASED) or set(digests) != set(RELEASED):
        raise BundleError(
            f"{release_id} holds {first_offenders(sorted(present))}; a release is {', '.join(RELEASED)}, no more and no "
            "less. Build it again."
        )
    contents = candidate.contents_of(folder)
    found = digests_of(contents)
    changed = [name for name in RELEASED if found[name] != digests[name]]
    if changed:
        raise BundleError(f"{first_offenders(changed)} of {release_id} is not what was released. Build it again.")
    named = release_id_of(candidate.record_of(contents, release_id), digests)
    if named != release_id:
        raise BundleError(
            f"The parts in {release_id} are those of {named}: parts and manifest were changed together. Build it again."
        )
    return checked(contents, release_id, release_id)


def release_id_of(record: TrainingRecord, digests: Mapping[str, str]) -> str:
    """The name that a release's parts give it: no other parts have it."""
    combined = hashlib.sha256(json.dumps(dict(digests), sort_keys=True).encode()).hexdigest()[:10]
    return f"{record.model}-{record.cutoff:%Y%m%d}-{combined}"


def cutoff_of(release_id: str) -> date:
    """The last day that a release was trained on; raises `BundleError` if this is no release id."""
    found = RELEASE_ID.fullmatch(release_id)
    if found is None:
        raise BundleError(f"{release_id!r} is no release id.")
    return date.fromisoformat(found[1])


def _manifest(folder: Path, release_id: str) -> dict[str, str]:
    """Digests by part."""
    if not RELEASE_ID.fullmatch(release_id):
        raise BundleError(f"{release_id!r} is no release id.")
    manifest = candidate.json_object(candidate.content(folder, MANIFEST), MANIFEST, release_id)
    if manifest.get("release_id") != release_id or not isinstance(manifest.get("parts"), dict):
        raise BundleError(f"The manifest in {release_id} is of another release. Build it again.")
    return dict(manifest["parts"])


def checked(contents: Mapping[str, bytes], release_id: str, where: str) -> Bundle:
    """The bundle, when its parts belong together."""
    made = Candidate.of(contents, where)
    return Bundle(release_id=release_id, model=made.model, record=made.record, metrics=made.metrics)


def digests_of(contents: Mapping[str, bytes]) -> dict[str, str]:
    """SHA-256 of each part, in hexadecimal."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
