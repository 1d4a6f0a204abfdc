"""The steps of a release: bundle, smoke test, swap, probe, promotion; and the way back."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from shelfcast.errors import BundleError, ReleaseError
from shelfcast.settings import Settings
from shelfcast.training import declaration as declarations

if TYPE_CHECKING:
    from airflow.sdk import Context

PROBES = 5
FOLLOW_SECONDS = 30.0
"""How long a forecaster may take to follow the pointer; it looks once a second."""


def releases_folder(model: str) -> Path:
    """Folder of a model's releases."""
    return Settings.from_environment().artifacts / "releases" / model


class BuildBundleOperator(BaseOperator):
    """Makes a release bundle of the candidate's files.

    Args:
        model: Name of the model.
        mlflow_run_id: Run that holds them (templated).

    Returns:
        `release_id`; the same files give the same one.
    """

    template_fields: Sequence[str] = ("mlflow_run_id",)

    def __init__(self, *, model: str, mlflow_run_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.mlflow_run_id = mlflow_run_id

    def execute(self, context: "Context") -> dict[str, str]:
        """Downloads the files, builds the bundle and loads it once to see that it is sound."""
        import tempfile

        from shelfcast.deployment.bundle import build
        from shelfcast_provider.training.mlflow_hook import MLflowHook

        releases = releases_folder(self.model)
        releases.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            parts = Path(MLflowHook().download(self.mlflow_run_id, "candidate", folder))
            try:
                return {"release_id": build(parts, releases)}
            except BundleError as error:
                raise AirflowFailException(str(error)) from error


class SmokeTestOperator(BaseOperator):
    """Lets the forecaster load a release and predict with it, before anything points at it.

    Args:
        model: Name of the model.
        release_id: The release (templated).
    """

    template_fields: Sequence[str] = ("release_id",)

    def __init__(self, *, model: str, release_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.release_id = release_id

    def execute(self, context: "Context") -> dict[str, Any]:
        """Fails when the predictions are not finite, negative or crossed."""
        from shelfcast_provider.serving.forecaster_hook import ForecasterHook

        found = ForecasterHook().smoke(self.model, self.release_id)
        if not found["is_sound"]:
            raise AirflowFailException(
                f"{self.release_id} predicts values that cannot be; it was not released: {found}"
            )
        return found


class SwapReleaseOperator(BaseOperator):
    """Points at a release, waits until the forecaster serves it, and probes it; takes it back if a probe fails.

    Args:
        model: Name of the model.
        release_id: The release (templated).

    Returns:
        `release_id`, the `previous` one, and the number of `probes`.
    """

    template_fields: Sequence[str] = ("release_id",)

    def __init__(self, *, model: str, release_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.release_id = release_id

    def execute(self, context: "Context") -> dict[str, Any]:
        """Swaps, follows, probes; a release that fails serves no longer than the probe took."""
        from shelfcast.deployment import pointer

        releases = releases_folder(self.model)
        before = pointer.swap(releases, self.release_id)
        try:
            self._wait_until_it_serves()
            probes = self._probe()
        except BaseException as error:  # a timeout or a kill leaves no release that was not probed
            pointer.roll_back(releases, self.release_id)
            if not isinstance(error, Exception):
                raise
            text = f"{self.release_id} was taken back, {before.previous} serves again: {error}"
            raise AirflowFailException(text) from error
        return {"release_id": self.release_id, "previous": before.previous, "probes": probes}

    def _wait_until_it_serves(self) -> None:
        from shelfcast_provider.serving.forecaster_hook import ForecasterHook

        hook, deadline = ForecasterHook(), time.monotonic() + FOLLOW_SECONDS
        while (state := hook.ready())["releases"].get(self.model) != self.release_id:
            if time.monotonic() > deadline:
                raise ReleaseError(f"The forecaster did not follow within {FOLLOW_SECONDS:.0f} s: {state}")
            time.sleep(0.5)

    def _probe(self) -> int:
        """Asks for a few entities online and compares with the same release in this process."""
        from shelfcast.deployment.bundle import load
        from shelfcast.hot_store.vector import unpack
        from shelfcast.serving.predictor import Predictor
        from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook

        declaration, store = declarations.load(self.model), HotStoreHook()
        predictor = Predictor(load(releases_folder(self.model) / self.release_id))
        vectors = store.read(store.current(self.model), entity_kind=declaration.entity)
        compared = 0
        for entity in sorted(vectors)[:: max(1, len(vectors) // PROBES)]:
            vector = unpack(vectors[entity], fields=declaration.vector_fields)
            if compared < PROBES and predictor.has_history(vector):
                self._compare(entity, predictor, vector)
                compared += 1
        if not compared:
            raise ReleaseError("No entity with history was found to probe with; see that the hot store is filled.")
        return compared

    def _compare(self, entity: str, predictor: Any, vector: Any) -> None:
        from shelfcast_provider.serving.forecaster_hook import ForecasterHook

        hook = ForecasterHook()
        if predictor.declaration.kind == "forecast":
            online = [
                day["mean"] for day in hook.demand(entity, horizon_days=predictor.declaration.horizon)["forecasts"]
            ]
            batch = predictor.forecast([vector], horizon_days=predictor.declaration.horizon).mean[0].tolist()
        else:
            online = [hook.order_value(int(entity))["mean"]]
            batch = predictor.predict(vector.numbers[None, :].astype(float))[0].tolist()
        if any(abs(left - right) > 1e-9 * max(1.0, abs(right)) for left, right in zip(online, batch, strict=True)):
            raise ReleaseError(f"The forecaster answers {online[:3]} for {entity}, the release itself {batch[:3]}.")


class PromoteOperator(BaseOperator):
    """Makes a release's version the champion in MLflow.

    Args:
        model: Name of the model.
        version: Version in the registry (templated).
    """

    template_fields: Sequence[str] = ("version",)

    def __init__(self, *, model: str, version: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.version = version

    def execute(self, context: "Context") -> str:
        """Moves the alias `champion`."""
        from shelfcast_provider.training.mlflow_hook import CHAMPION, MLflowHook

        MLflowHook().set_alias(self.model, CHAMPION, self.version)
        return self.version
