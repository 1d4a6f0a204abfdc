"""Makes a release of a candidate: checked part by part, its models tried elsewhere first, written whole."""

import json
from collections.abc import Mapping
from pathlib import Path

from shelfcast import storage
from shelfcast.deployment import model_check, promise
from shelfcast.deployment.bundle import MANIFEST, checked, digests_of, load, release_id_of
from shelfcast.errors import BundleError, first_offenders
from shelfcast.model import candidate
from shelfcast.model.candidate import METRICS, MODELS, RELEASED
from shelfcast.storage import Location


def build(parts: Path, releases: Location) -> str:
    """Makes a bundle of a candidate's files; returns its release id. The same files give the same release.

    The model is parsed in a process of its own first, so whatever has a release's digests is known to parse. The metrics
    of a candidate with fold forecasts are told by day ahead, too.

    Args:
        parts: Folder that holds a file of each name in `RELEASED`, and the fold forecasts.
        releases: Folder of the model's releases.

    Raises:
        BundleError: A part is missing or damaged, or the parts do not belong together.
    """
    missing = [name for name in RELEASED if not (parts / name).is_file()]
    if missing:
        raise BundleError(
            f"{parts} cannot become a release: {first_offenders(missing)} missing. Register the candidate again."
        )
    contents = _with_promise(parts, candidate.contents_of(parts))
    digests = digests_of(contents)
    release_id = release_id_of(candidate.record_of(contents, parts.name), digests)
    made = checked(contents, release_id, parts.name)
    folder = releases / release_id
    if not _is_sound(folder):
        for name in MODELS:
            model_check.check(name, contents[name], features=len(made.model.declaration.feature_names))
        _write(folder, contents, {"release_id": release_id, "parts": digests})
    return load(folder).release_id


def _with_promise(parts: Path, contents: Mapping[str, bytes]) -> dict[str, bytes]:
    sums = promise.sums_by_day_ahead(parts)
    if not sums:
        return dict(contents)
    metrics = candidate.metrics_of(contents, parts.name) | {promise.BY_DAY_AHEAD: sums}
    return {**contents, METRICS: json.dumps(metrics, indent=1).encode()}


def _is_sound(folder: Location) -> bool:
    """Whether the release is there already; what is damaged is removed, so that it can be built again."""
    if not (folder / MANIFEST).exists():
        return False
    try:
        load(folder)
    except BundleError:
        storage.remove(folder)
        return False
    return True


def _write(folder: Location, contents: Mapping[str, bytes], manifest: Mapping[str, object]) -> None:
    with storage.publish(folder, last=MANIFEST) as draft:
        for name, content in {**contents, MANIFEST: json.dumps(manifest, indent=1).encode()}.items():
            (draft / name).write_bytes(content)
