"""What the processes of the loop are told by their environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shelfcast_local.configuration import Configuration
from shelfcast_local.environment import NO_TELEMETRY, environment, forecaster_environment
from shelfcast_local.services import mlflow_server

REPOSITORY = Path(__file__).resolve().parents[2]
ASKS_MLFLOW = "from mlflow.telemetry.utils import is_telemetry_disabled; print(is_telemetry_disabled())"


@pytest.mark.parametrize(("variables", "expected"), [(NO_TELEMETRY, "True"), ({}, "False")])
def test_mlflow_takes_the_variables_as_a_no(tmp_path: Path, variables: dict[str, str], expected: str) -> None:
    bare = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables}  # the control: without them it is on
    done = subprocess.run(
        [sys.executable, "-c", ASKS_MLFLOW], env=bare, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected


def test_every_process_of_the_loop_is_told_to_send_nothing(tmp_path: Path) -> None:
    configuration = Configuration.load(tmp_path)
    assert NO_TELEMETRY.items() <= environment(tmp_path, configuration, jars=[]).items()
    assert NO_TELEMETRY.items() <= mlflow_server.service(tmp_path, configuration).environment.items()


@pytest.mark.parametrize("file", ["Dockerfile", "docker-compose.yaml"])
def test_the_images_are_told_the_same(file: str) -> None:
    text = (REPOSITORY / file).read_text().replace('"', "").replace(": ", "=")
    assert [name for name, value in NO_TELEMETRY.items() if f"{name}={value}" not in text] == []


@pytest.mark.parametrize(("said", "told"), [(None, "any"), ("", ""), ("3", "3")])
def test_a_played_shop_is_served_at_any_age_unless_the_user_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, told: str
) -> None:
    monkeypatch.delenv("SHELFCAST_STALE_AFTER_DAYS", raising=False)
    if said is not None:
        monkeypatch.setenv("SHELFCAST_STALE_AFTER_DAYS", said)
    found = forecaster_environment(tmp_path, Configuration.load(tmp_path))
    assert found["SHELFCAST_STALE_AFTER_DAYS"] == told
