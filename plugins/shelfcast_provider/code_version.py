"""The code that Airflow runs, for what is made by it to name."""

import subprocess
from importlib.metadata import version
from pathlib import Path


def code_version() -> str:
    """Commit of the checkout that runs, with a + if files differ from it; the package's version outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    asked = ["git", "-C", str(root), "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        found = None
    is_known = (root / ".git").exists() and found is not None and found.returncode == 0
    return found.stdout.strip() if is_known and found else f"shelfcast {version('shelfcast')}"
