"""Where a backtest is, as it tells whoever waits for it."""

from typing import Protocol

STEPS = ("features", "frame", "folds", "model", "forecast", "scores")
"""Of each cutoff, in order; the history is read before."""


class Say(Protocol):
    """Is told what begins."""

    def __call__(self, step: str, *, part: int = 1, parts: int = 1) -> None:
        """Takes the name of a step, and which of its parts begins."""


def say_nothing(step: str, *, part: int = 1, parts: int = 1) -> None:
    """A `Say` that keeps it to itself."""
