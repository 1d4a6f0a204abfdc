"""Tries a model's text in a process of its own.

LightGBM ends the whole process (SIGABRT, SIGSEGV) when it parses a text that is cut or damaged. So the first process that ever
parses a text is one that may be lost: `python -P -m shelfcast.deployment.model_check FEATURES < model.txt`.
"""

import math
import re
import signal
import subprocess
import sys

import numpy as np

from shelfcast.errors import BundleError
from shelfcast.model.booster import Booster

LIMIT_SECONDS = 120
END_OF_TREES = "\nend of trees\n"


def check(name: str, model_text: bytes, *, features: int) -> None:
    """Parses the text and predicts with it, elsewhere.

    Args:
        name: Of the file, for messages.
        model_text: LightGBM's native text.
        features: Columns of a row, 1 or more.

    Raises:
        BundleError: The text cannot be parsed, lacks trees or predicts what is no number.
    """
    command = [sys.executable, "-P", "-m", __name__, str(features)]
    try:
        done = subprocess.run(  # noqa: S603
            command, input=model_text, capture_output=True, timeout=LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _unsound(name, f"LightGBM did not parse it within {LIMIT_SECONDS} s") from error
    if done.returncode < 0:
        raise _unsound(name, f"LightGBM ended the process that parsed it with {signal.Signals(-done.returncode).name}")
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        raise _unsound(name, said[-1][:300])


def main() -> None:
    """Parses the text on standard input; ends with a sentence if it is not sound."""
    sys.exit(fault_of(sys.stdin.buffer.read().decode(), features=int(sys.argv[1])))


def fault_of(text: str, *, features: int) -> str | None:
    """What is wrong with the text; `None` if it is sound. May end the process: call `check` instead."""
    sizes = re.search(r"^tree_sizes=(.*)$", text, flags=re.MULTILINE)
    if sizes is None or END_OF_TREES not in text:
        return "its trees have no end: the text was cut"
    for leaves in re.findall(r"^leaf_value=(.*)$", text, flags=re.MULTILINE):
        endless = next((leaf for leaf in leaves.split() if not math.isfinite(float(leaf))), None)
        if endless is not None:
            return f"a leaf of it is {endless}"
    booster = Booster(text)
    if (booster.trees, booster.columns) != (len(sizes[1].split()), features):
        return f"it holds {booster.trees} trees of {booster.columns} features, its header says otherwise"
    rows = np.full((2, features), np.nan)
    rows[1] = 1.0
    return None if np.isfinite(booster.raw_scores(rows)).all() else "it predicts values that are no numbers"


def _unsound(name: str, why: str) -> BundleError:
    return BundleError(f"{name} is no sound model: {why}. It was not released. Train it again.")


if __name__ == "__main__":
    main()
