"""Weights & Biases: one run a candidate, if there is a connection that asks for it."""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from shelfcast.errors import ConfigurationError
from shelfcast_provider.connections import WANDB, check_extras

FOLDER = "wandb"
"""Of a training run's folder: what W&B keeps on disk, and what it would otherwise write into the user's home."""
PROJECT = "shelfcast"
PUBLIC = "https://api.wandb.ai"
ONLINE, OFFLINE = MODES = ("online", "offline")
INIT_SECONDS = 20.0
FINISH_SECONDS = 120.0
LONGEST_SECONDS = 180.0
"""The process that talks to W&B is killed after it, whatever it waits for."""


class WandbHook(BaseHook):
    """Writes runs of Weights & Biases, each in a process of its own.

    W&B's library changes the process that loads it (environment, exit hooks, an exit of its own when its service fails)
    and waits without an end in places. A process of its own can be killed, and the API key, which goes there through a
    pipe, is in no environment and no file.

    Args:
        connection_id: Connection with the API key as `password`, the base URL of a server of one's own as `host`, and the
            extras `entity`, `project` and `mode` (`online` or `offline`).

    Raises:
        ConfigurationError: The connection is wrong, or W&B's package is not installed.
    """

    conn_name_attr = "connection_id"
    default_conn_name = WANDB
    conn_type = "shelfcast_wandb"
    hook_name = "Shelfcast Weights & Biases"

    def __init__(self, connection_id: str = WANDB) -> None:
        super().__init__()
        found = self.get_connection(connection_id)
        extras = found.extra_dejson
        check_extras(WANDB, extras)
        self.mode = str(extras.get("mode") or ONLINE)
        self.base_url = str(found.host or PUBLIC)
        self._place = {"entity": extras.get("entity") or None, "project": extras.get("project") or PROJECT}
        self._key = str(found.password or "")
        self._check()

    @classmethod
    def if_connected(cls) -> "WandbHook | None":
        """The hook; `None` if there is no connection `wandb`."""
        try:
            return cls()
        except AirflowNotFoundException:
            return None

    def write_run(self, candidate: dict[str, Any], folder: Path) -> str | None:
        """Writes a candidate as a run; a second time finds the run and adds nothing.

        A server that does not answer or refuses fails nothing, for MLflow has the candidate: the run is then written to
        disk, and a warning says how to send it.

        Args:
            candidate: See `wandb_run.write`.
            folder: Of the training run; what `wandb` in it held of this run is written anew.

        Returns:
            The run's address; `None` if it is on disk only.
        """
        tell = self.log.info
        if self.mode == ONLINE:
            url, failure = self.attempt(ONLINE, candidate, folder)
            if url and not failure:
                shutil.rmtree(folder / FOLDER, ignore_errors=True)
                self.log.info("The candidate is the W&B run %s", url)
                return url
            said = "The candidate is in MLflow, but not in W&B at %s: %s. Clear this task to try again."
            self.log.warning(said, self.base_url, failure)
            tell = self.log.warning
        _, lost = self.attempt(OFFLINE, candidate, folder)
        tell("%s", f"The W&B run is not on disk either: {lost}" if lost else self._how_to_send(folder))
        return None

    def attempt(self, mode: str, candidate: dict[str, Any], folder: Path) -> tuple[str | None, str]:
        """Writes a run once.

        Args:
            mode: `online` or `offline`.
            candidate: See `wandb_run.write`.
            folder: Of the training run; `wandb` in it is emptied before.

        Returns:
            The run's address, if it has one, and what went wrong, if anything.
        """
        try:
            own = folder / FOLDER
            shutil.rmtree(own, ignore_errors=True)
            own.mkdir(parents=True, exist_ok=True)
            asked = {"candidate": candidate, "place": self._place, "settings": self._settings(mode, folder)}
            done = _ask(json.dumps(asked), own)
            answer = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"url": None, "failure": ""}
        except subprocess.TimeoutExpired:
            return None, f"no end after {LONGEST_SECONDS:.0f} seconds"
        except (OSError, ValueError) as error:
            return None, str(error)
        ended = f"W&B ended with exit code {done.returncode}" if done.returncode else ""
        return answer["url"], self._without_key(answer["failure"] or ended)

    def _check(self) -> None:
        if self.mode not in MODES:
            raise ConfigurationError(f"Connection {WANDB} has the mode {self.mode!r}. Write one of {', '.join(MODES)}.")
        if not self.base_url.startswith(("https://", "http://")):
            raise ConfigurationError(
                f"Connection {WANDB} has the host {self.base_url!r}. Write the server's base URL, such as {PUBLIC}, or none."
            )
        if self.mode == ONLINE and not self._key:
            raise ConfigurationError(
                f"Connection {WANDB} has no password. Write the API key there, or the mode {OFFLINE}."
            )
        try:
            distribution("wandb")
        except PackageNotFoundError as error:
            raise ConfigurationError(
                f"Connection {WANDB} asks for Weights & Biases, whose package is not installed. Install it with "
                "pip install -e '.[wandb]', or remove the connection."
            ) from error

    def _without_key(self, said: str) -> str:
        return said.replace(self._key, "***") if self._key else said

    def _settings(self, mode: str, folder: Path) -> dict[str, Any]:
        bounds = {"init_timeout": INIT_SECONDS, "finish_timeout": FINISH_SECONDS, "finish_timeout_raises": True}
        online = {"api_key": self._key, "resume": "allow"} if mode == ONLINE else {}
        return {"mode": mode, "base_url": self.base_url, "root_dir": str(folder), **bounds, **online}

    def _how_to_send(self, folder: Path) -> str:
        run = next((folder / FOLDER).glob("offline-run-*"), folder / FOLDER)
        server = "" if self.base_url == PUBLIC else f"WANDB_BASE_URL={self.base_url} "
        return f"The W&B run is on disk. Send it: {server}wandb sync {run}"


def _ask(asked: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Runs `wandb_run` to its end, or to that of its time."""
    command = [sys.executable, "-P", "-m", "shelfcast_provider.registry.wandb_run"]
    return subprocess.run(  # noqa: S603
        command,
        input=asked,
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=_environment(folder),
        timeout=LONGEST_SECONDS,
    )


def _environment(folder: Path) -> dict[str, str]:
    """This process' environment: the connection alone says where W&B's data goes, and W&B hears of no error."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    kept = {f"WANDB_{place}_DIR": str(folder / place.lower()) for place in ("DATA", "CACHE", "CONFIG")}
    return {**inherited, **kept, "WANDB_ERROR_REPORTING": "false"}
