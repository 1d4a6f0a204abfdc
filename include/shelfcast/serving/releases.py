"""The releases that a forecaster serves: loaded when the pointer moves, looked at no more than once a second."""

import time
from collections.abc import Callable
from pathlib import Path

from shelfcast.deployment import bundle, pointer
from shelfcast.errors import BundleError
from shelfcast.serving.predictor import Predictor

LOOK_EVERY_SECONDS = 1.0


class Releases:
    """Predictors by model.

    Args:
        folder: Holds a folder a model, with its releases and its pointer.
        clock: Seconds that only grow.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._loaded: dict[str, Predictor] = {}
        self._looked: dict[str, float] = {}
        self.problem: str | None = None

    def current(self, model: str) -> Predictor | None:
        """The predictor of the release that is pointed at; `None` before the first one.

        A release that cannot be loaded leaves the one before in service; `problem` says why.
        """
        now = self._clock()
        if model not in self._looked or now - self._looked[model] >= LOOK_EVERY_SECONDS:
            self._looked[model] = now
            self._follow(model)
        return self._loaded.get(model)

    def load(self, model: str, release_id: str) -> Predictor:
        """Loads a release without serving it; raises `BundleError` if it is not sound."""
        if not bundle.RELEASE_ID.fullmatch(release_id) or not release_id.startswith(f"{model}-"):
            raise BundleError(f"{release_id!r} is no release of {model}.")
        return Predictor(bundle.load(self._folder / model / release_id))

    def _follow(self, model: str) -> None:
        wanted = pointer.read(self._folder / model).current
        loaded = self._loaded.get(model)
        if wanted is None:
            self._loaded.pop(model, None)
        elif loaded is None or loaded.bundle.release_id != wanted:
            try:
                self._loaded[model] = self.load(model, wanted)
                self.problem = None
            except BundleError as error:
                self.problem = str(error)
