"""Ports and secrets of the stand-ins: chosen once, kept in a file that only its owner may read."""

import json
import os
import secrets
import socket
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

HOST = "127.0.0.1"
PORTS = ("postgres", "cold_store", "hot_store", "mlflow", "smtp", "mail", "airflow", "forecaster")
SECRETS = ("postgres", "cold_store", "hot_store", "mlflow", "mail", "airflow", "forecaster", "jwt", "session", "flask")


class Configuration(BaseModel):
    """What the stand-ins listen on and are locked with.

    Attributes:
        ports: Loopback port by service.
        passwords: Random secret by service or purpose.
        fernet_key: Key with which Airflow encrypts connections.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ports: dict[str, int]
    passwords: dict[str, str]
    fernet_key: str

    @classmethod
    def load(cls, home: Path) -> Self:
        """Reads `config.json` of the state folder, or makes it."""
        path = home / "config.json"
        if path.exists():
            return cls.model_validate_json(path.read_text())
        home.mkdir(parents=True, exist_ok=True)
        made = cls(
            ports=_free_ports(),
            passwords={name: secrets.token_urlsafe(18) for name in SECRETS},
            fernet_key=urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        )
        made.save(home)
        return made

    def save(self, home: Path) -> None:
        """Writes `config.json` with mode 600."""
        write_private(home / "config.json", json.dumps(self.model_dump(), indent=1))

    def moved(self, *services: str) -> Self:
        """The same configuration with free ports for these services, whose own were taken by somebody else."""
        fresh = _free_ports()
        return self.model_copy(update={"ports": {**self.ports, **{name: fresh[name] for name in services}}})


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, from the first byte on."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text)


def is_listening(port: int) -> bool:
    """Whether something accepts connections on that loopback port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((HOST, port)) == 0


def _free_ports() -> dict[str, int]:
    """A free port for each service; all are held until the last is chosen, so no two are the same."""
    held = [socket.socket() for _ in PORTS]
    try:
        for each in held:
            each.bind((HOST, 0))
        return {name: int(each.getsockname()[1]) for name, each in zip(PORTS, held, strict=True)}
    finally:
        for each in held:
            each.close()
