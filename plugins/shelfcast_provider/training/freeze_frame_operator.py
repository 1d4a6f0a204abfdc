"""Freezes the training frame of a run."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from shelfcast import storage
from shelfcast.errors import FrameChanged, NothingToDo
from shelfcast.model import declaration as declarations
from shelfcast.settings import Settings

if TYPE_CHECKING:
    import pandas as pd
    from airflow.sdk import Context

    from shelfcast.cold_store.cold_store import ColdStore
    from shelfcast.model.declaration import ModelDeclaration
    from shelfcast.training.frame import FrameManifest


def run_folder(artifacts: storage.Location, model: str, run_id: str) -> storage.Location:
    """Where a training run keeps its frame and its candidate."""
    safe = "".join(character if character.isalnum() or character in "-_." else "_" for character in run_id)
    return artifacts / "training" / model / safe


class FreezeFrameOperator(BaseOperator):
    """Reads everything known at the cutoff and freezes it.

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
            manifest = _frozen(folder) or self._freeze(folder, context)
        except NothingToDo as reason:
            raise AirflowSkipException(str(reason)) from reason
        except FrameChanged as error:
            raise AirflowFailException(str(error)) from error
        self.log.info(
            "Froze %s rows of %s as known at %s, digest %s, in %s.",
            manifest.rows, self.model, manifest.cutoff, manifest.digest[:12], folder,
        )  # fmt: skip
        return {"folder": str(folder), "digest": manifest.digest, "rows": manifest.rows, "cutoff": manifest.cutoff}

    def _freeze(self, folder: storage.Location, context: "Context") -> "FrameManifest":
        from shelfcast.training.frame import MANIFEST, freeze

        frame, cutoff, about = self._frame(context)
        with storage.publish(folder, last=MANIFEST) as draft:
            return freeze(frame, draft, model=self.model, cutoff=cutoff, **about)

    def _frame(self, context: "Context") -> "tuple[pd.DataFrame, date, dict[str, Any]]":
        from shelfcast.cold_store.feature_views import latest_business_date
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
        with ColdStoreHook() as store:
            latest = latest_business_date(store)
            if latest is None:
                raise NothingToDo("Nothing to train on yet: no business date has features.")
            cutoff = date.fromisoformat(params["cutoff"]) if params["cutoff"] else latest
            if cutoff > latest:
                raise NothingToDo(f"Cutoff {cutoff} lies after the latest complete business date, {latest}.")
            return read_frame(store, declaration, cutoff, horizon_days=horizon), cutoff, about


def _frozen(folder: storage.Location) -> "FrameManifest | None":
    """The manifest of a frame that an earlier try has frozen; `None` if none has."""
    from shelfcast.training.frame import FRAME_FILES, MANIFEST, verify

    if not (folder / MANIFEST).exists():
        return None
    with storage.local_copy(folder, FRAME_FILES) as copy:
        return verify(copy)


def read_frame(
    store: "ColdStore", declaration: "ModelDeclaration", cutoff: date, *, horizon_days: int
) -> "pd.DataFrame":
    """The training frame of a cutoff, covariates ahead built where they are missing."""
    from shelfcast.cold_store.feature_views import built_dates, closed_at, ensure_ahead

    parameters: dict[str, object] = {"cutoff": cutoff, "known_until": closed_at(store, cutoff)}
    if declaration.kind == "forecast":
        step, built = declaration.origin_step_days, built_dates(store)
        origins = [cutoff - timedelta(days=step * number) for number in range(declaration.origins)]
        # a partition belongs to every run after this one: it is built whole, and the frame takes the days it needs
        whole = declarations.longest_horizon()
        ensure_ahead(store, [origin for origin in origins if origin in built], horizon_days=whole)
        parameters |= {"first_origin": origins[-1], "origin_step_days": step, "horizon_days": horizon_days}
    return store.fetch(declaration.frame_statement, parameters)
