"""Finds a Java that Spark and Debezium run on."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from shelfcast.errors import ConfigurationError

SUPPORTED = (17, 21)
ADVICE = (
    "Spark and Debezium need Java 17 or 21. Install it (Debian, Ubuntu: apt install openjdk-17-jre-headless; "
    "macOS: brew install openjdk@17) and set JAVA_HOME to its folder."
)


def java_home() -> Path:
    """Folder of a supported Java: `JAVA_HOME`, or that of the `java` on the path; raises `ConfigurationError`."""
    configured, found = os.environ.get("JAVA_HOME"), shutil.which("java")
    if configured:
        home = Path(configured)
    elif found:
        home = Path(found).resolve().parents[1]
    else:
        raise ConfigurationError(f"No Java was found. {ADVICE}")
    version = _major_version(home / "bin" / "java")
    if version not in SUPPORTED:
        raise ConfigurationError(f"{home} holds {f'Java {version}' if version else 'no working Java'}. {ADVICE}")
    return home


def _major_version(java: Path) -> int | None:
    try:
        answer = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(\d+)', answer.stderr)
    return int(match[1]) if match else None
