"""What a candidate costs to serve: the size of its models and the time of a prediction.

LightGBM ends the whole process when it parses a text that is damaged, so the measuring is done in a process that may be
lost: `python -P -m shelfcast.registry.candidate_cost < model.txt`.
"""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shelfcast.model.booster import Booster

ROWS = 2000
REPEATS = 5
LIMIT_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class CandidateCost:
    """What it costs to serve a candidate.

    Attributes:
        model_bytes: Size of its models.
        microseconds_per_row: Processor time of a prediction on one thread; `None` if a model could not be run.
    """

    model_bytes: int
    microseconds_per_row: float | None


def measure(*models: Path) -> CandidateCost:
    """Measures the models that a prediction runs, each in LightGBM's native text.

    Processor time, the best of several tries: a busy machine does not make a candidate slow.
    """
    times = [took for took in map(_measured, models) if took is not None]
    return CandidateCost(
        model_bytes=sum(model.stat().st_size for model in models),
        microseconds_per_row=sum(times) if len(times) == len(models) else None,
    )


def _measured(model: Path) -> float | None:
    command = [sys.executable, "-P", "-m", __name__]
    try:
        with model.open("rb") as text:
            done = subprocess.run(command, stdin=text, capture_output=True, timeout=LIMIT_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return None
    return None if done.returncode else float(done.stdout)


def microseconds_per_row(text: str) -> float:
    """Processor time of a prediction, of random rows; may end the process: call `measure` instead."""
    booster = Booster(text)
    rows = np.random.default_rng(1).normal(size=(ROWS, booster.columns)).astype(np.float32)

    def once() -> float:
        begun = time.process_time()
        booster.raw_scores(rows)
        return time.process_time() - begun

    return 1e6 * min(once() for _ in range(REPEATS)) / ROWS


def main() -> None:
    """Measures the text on standard input and prints the microseconds."""
    sys.stdout.write(str(microseconds_per_row(sys.stdin.buffer.read().decode())))


if __name__ == "__main__":
    main()
