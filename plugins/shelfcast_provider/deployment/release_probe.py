"""Asks the forecaster what the release itself says."""

import logging
import time
from typing import TYPE_CHECKING

from shelfcast.errors import HotStoreError, ReleaseError

if TYPE_CHECKING:
    from shelfcast.serving.predictor import Predictor
    from shelfcast.storage import Location

PROBES = 5
PROBE_TRIES = 5
"""How often vectors are read and asked for again, when the features are refreshed meanwhile or no answer comes."""
PAUSE_SECONDS = 1.0
FOLLOW_SECONDS = 30.0
"""How long a forecaster may take to follow the pointer; it looks once a second."""
LOGGER = logging.getLogger(__name__)


def wait_until_it_serves(model: str, release_id: str) -> None:
    """Returns when the forecaster serves the release; raises `ReleaseError` when it does not follow."""
    from shelfcast_provider.serving.forecaster_hook import ForecasterHook

    hook, deadline = ForecasterHook(), time.monotonic() + FOLLOW_SECONDS
    while (state := hook.ready())["releases"].get(model) != release_id:
        if time.monotonic() > deadline:
            raise ReleaseError(f"The forecaster did not follow within {FOLLOW_SECONDS:.0f} s: {state}")
        time.sleep(PAUSE_SECONDS / 2)


def probe(folder: "Location") -> int:
    """Asks online for a few entities and compares with the same release in this process.

    Args:
        folder: The release.

    Returns:
        How many answers were compared, 1 or more.

    Raises:
        ReleaseError: An answer differs, there is nothing to ask for, or features and release never held still.
    """
    from shelfcast.deployment.bundle import load
    from shelfcast.serving.predictor import Predictor

    predictor = Predictor(load(folder))
    for _ in range(PROBE_TRIES):
        try:
            return _compare(predictor)
        except (_NotComparable, HotStoreError) as error:  # a generation may be retired while it is read
            last = error
            LOGGER.info("Probing again: %s", last)
            time.sleep(PAUSE_SECONDS)
    raise ReleaseError(f"No answers could be compared in {PROBE_TRIES} tries; the last time: {last}") from last


class _NotComparable(Exception):
    """No answer came, or one made with other features, or by another release, than it is to be compared with."""


def _compare(predictor: "Predictor") -> int:
    """Compares answers made with the generation that is read here; they say which one they were made with."""
    from shelfcast.serving.probe import check_answer, chosen
    from shelfcast_provider.hot_store.hot_store_hook import HotStoreHook
    from shelfcast_provider.serving.forecaster_hook import ForecasterHook

    store, hook, declaration = HotStoreHook(), ForecasterHook(), predictor.declaration
    manifest = store.current(declaration.name)
    basis = (predictor.bundle.release_id, manifest.generation)
    asked = chosen(predictor, store.read(manifest, entity_kind=declaration.entity), count=PROBES)
    for entity, vector in asked:
        try:
            answer = hook.ask(declaration, entity)
        except ReleaseError as error:  # the entity may have left with a refresh, or a store been slow to answer
            raise _NotComparable(str(error)) from error
        found = (answer.get("release_id"), answer.get("generation"))
        if found != basis:
            raise _NotComparable(f"the answer for {entity} is of {found}, not of {basis}")
        check_answer(answer, predictor, vector, entity=entity)
    return len(asked)
