"""Freezes the training frame of a run."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from shelfcast import storage
from shelfcast.errors import FrameChanged, NothingToDo
from shelfcast.model import declaration as declarations
from shelfcast.settings import Settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from shelfcast.cold_store.cold_store import ColdStore
    from shelfcast.training.frame import FrameManifest


def run_folder(artifacts: storage.Location, model: str, run_id: str) -> storage.Location:
    """Where a training run keeps its frame and its candidate."""
    safe = "".join(character if character.isalnum() or character in "-_." else "_" for character in run_id)
    return artifacts / "training" / model / safe


class FreezeFrameOperator(BaseOperator):
    """Unloads what is known at the cutoff, a sample of it if a model is to learn from less, and freezes it.

    Reads the run's params `cutoff`, `horizon_days`, `folds`, `trials`, `reason` and `force`, which Airflow has validated.

    Args:
        model: Name of the model.

    Returns:
        `folder`, `digest`, `rows` and `cutoff` of the frozen frame.
    """

    template_fields: Sequence[str] = ("model",)

    def __init__(self, *, model: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model

    def execute(self, context: "Context") -> dict[str, Any]:
        """Freezes the frame once a run; a retry gets the same one."""
        folder = run_folder(Settings.from_environment().artifacts, self.model, context["run_id"])
        try:
            manifest = _frozen(folder) or self._freeze(context, folder)
        except NothingToDo as reason:
            raise AirflowSkipException(str(reason)) from reason
        except FrameChanged as error:
            raise AirflowFailException(str(error)) from error
        self.log.info(
            "Froze %s rows of %s as known at %s, digest %s, in %s.",
            manifest.rows, self.model, manifest.cutoff, manifest.digest[:12], folder,
        )  # fmt: skip
        return {"folder": str(folder), "digest": manifest.digest, "rows": manifest.rows, "cutoff": manifest.cutoff}

    def _freeze(self, context: "Context", folder: storage.Location) -> "FrameManifest":
        from shelfcast.training.frame import MANIFEST, freeze
        from shelfcast.training.frame_rows import unload_frame
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

        params, declaration = context["params"], declarations.load(self.model)
        horizon = int(params.get("horizon_days") or declaration.horizon)
        about = {
            "folds": int(params["folds"]),
            "horizon_days": horizon,
            "reason": str(params["reason"]),
            "is_forced": bool(params["force"]),
            "trials": int(params["trials"]),
        }
        with ColdStoreHook() as store, TemporaryDirectory(prefix="shelfcast-unloaded-") as unloaded:
            cutoff = _cutoff(store, params["cutoff"])
            found = unload_frame(store, declaration, cutoff, Path(unloaded), horizon_days=horizon)
            told = {**about, "model": self.model, "cutoff": cutoff, "of_rows": found.of_rows}
            with storage.publish(folder, last=MANIFEST) as draft:
                return freeze(Path(unloaded), draft, **told)  # type: ignore[arg-type]


def _frozen(folder: storage.Location) -> "FrameManifest | None":
    """The manifest of a frame that an earlier try has frozen; `None` if none has."""
    from shelfcast.training.frame import FRAME_FILES, MANIFEST, verify

    if not (folder / MANIFEST).exists():
        return None
    with storage.local_copy(folder, FRAME_FILES) as copy:
        return verify(copy)


def _cutoff(store: "ColdStore", asked: str | None) -> date:
    """The cutoff that was asked for, or the latest business date with features."""
    from shelfcast.cold_store.feature_views import latest_business_date

    latest = latest_business_date(store)
    if latest is None:
        raise NothingToDo("Nothing to train on yet: no business date has features.")
    cutoff = date.fromisoformat(asked) if asked else latest
    if cutoff > latest:
        raise NothingToDo(f"Cutoff {cutoff} lies after the latest complete business date, {latest}.")
    return cutoff
