"""Where long work is, as it tells whoever waits for it."""

from typing import Protocol


class Progress(Protocol):
    """Is told what begins."""

    def __call__(self, step: str, *, part: int = 1, parts: int = 1) -> None:
        """Takes the name of a step, and which of its parts begins."""


def silent(step: str, *, part: int = 1, parts: int = 1) -> None:
    """A `Progress` that keeps it to itself."""


def printed(step: str, *, part: int = 1, parts: int = 1) -> None:
    """A `Progress` for a log."""
    print(f"{step}, {part} of {parts}" if parts > 1 else step, flush=True)  # noqa: T201
