"""The releases that a forecaster serves: loaded when the pointer moves, beside the requests."""

import logging
from collections.abc import Iterable

from shelfcast.deployment import bundle, pointer
from shelfcast.errors import BundleError, ReleaseError
from shelfcast.serving.predictor import Predictor
from shelfcast.storage import Location

LOOK_EVERY_SECONDS = 1.0
LOGGER = logging.getLogger(__name__)


class Releases:
    """Predictors by model. One thread may call `follow`; any may ask what serves.

    Args:
        folder: Holds a folder a model, with its releases and its pointer.
        models: Names of the models to serve.

    Attributes:
        models: The models' names, ascending.
    """

    def __init__(self, folder: Location, models: Iterable[str]) -> None:
        self.models = tuple(sorted(models))
        self._folder = folder
        self._loaded: dict[str, Predictor] = {}
        self._problems: dict[str, str] = {}

    def current(self, model: str) -> Predictor | None:
        """The predictor that serves; `None` before the first release. Reads nothing from disk."""
        return self._loaded.get(model)

    @property
    def names(self) -> dict[str, str | None]:
        """The release that serves, by model."""
        serving = {model: self._loaded.get(model) for model in self.models}
        return {model: found.bundle.release_id if found else None for model, found in serving.items()}

    @property
    def problem(self) -> str | None:
        """Why a release that is pointed at does not serve, for every model that has such a one."""
        return " ".join(text for _, text in sorted(self._problems.items())) or None

    def follow(self) -> None:
        """Looks at every pointer and loads what is pointed at.

        A pointer or a release that cannot be read leaves the release before in service; `problem` says why.
        """
        for model in self.models:
            try:
                self._follow(model)
                self._problems.pop(model, None)
            except (BundleError, ReleaseError) as error:
                self._problems[model] = str(error)
            except Exception as error:
                LOGGER.exception("%s cannot be followed", model)
                self._problems[model] = f"{model} cannot be followed ({type(error).__name__}); the log says why."

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
            self._loaded[model] = self.load(model, wanted)
