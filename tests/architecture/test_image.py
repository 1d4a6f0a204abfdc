"""What the image of the Dockerfile holds, and what it must not."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
STAND_INS = "shelfcast_local"
NEEDED_BY_AIRFLOW = {"psutil"}


def copied_into_the_image() -> list[Path]:
    """What the last stage takes from the repository."""
    stage = (REPOSITORY / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    lines = [line.split()[1:-1] for line in stage.splitlines() if line.startswith("COPY ") and "--from" not in line]
    return [Path(source) for sources in lines for source in sources]


def test_the_image_has_every_package_but_what_stands_in() -> None:
    folders = PROJECT["tool"]["setuptools"]["package-dir"]
    held = {
        name
        for name, folder in folders.items()
        for source in copied_into_the_image()
        if Path(folder).is_relative_to(source)
    }
    assert held == folders.keys() - {STAND_INS}


def test_the_image_has_no_statement_of_what_stands_in() -> None:
    assert "sql/playback" in (REPOSITORY / ".dockerignore").read_text().splitlines()


def test_the_image_installs_no_server_that_stands_in() -> None:
    locked = (REPOSITORY / "requirements.txt").read_text().splitlines()
    installed = {line.partition("==")[0] for line in locked if "==" in line}
    servers = {
        Requirement(text).name for text in PROJECT["project"]["optional-dependencies"]["local"]
    } - NEEDED_BY_AIRFLOW
    assert "fakesnow" in servers
    assert "mlflow" in installed
    assert not servers & installed
