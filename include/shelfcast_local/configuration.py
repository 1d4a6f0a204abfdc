"""Ports and secrets of the stand-ins: chosen once, kept in a file that only its owner may read."""

import json
import os
import secrets
import socket
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from shelfcast.errors import ConfigurationError

HOST = "127.0.0.1"
OWN_PORTS = range(20_000, 32_000)
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
        """Reads `config.json` of the state folder, or makes it; raises `ConfigurationError` if it is broken."""
        path = home / "config.json"
        if path.exists():
            return cls._read(path)
        private_folder(home)
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

    @classmethod
    def _read(cls, path: Path) -> Self:
        try:
            found = cls.model_validate_json(path.read_text())
        except ValidationError as error:  # its own text would show passwords
            faults = error.errors(include_input=False, include_url=False)
            raise _broken(
                path, (f"{'.'.join(map(str, each['loc']))} {each['msg']}".strip() for each in faults)
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise _broken(path, [str(error)]) from None
        missing = [f"ports.{name}" for name in PORTS if name not in found.ports]
        missing += [f"passwords.{name}" for name in SECRETS if name not in found.passwords]
        if missing:
            raise _broken(path, (f"{name} is missing" for name in missing))
        return found


def write_private(path: Path, text: str) -> None:
    """Writes a file whole or not at all; only its owner may read it, from the first byte on."""
    handle, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with mode 600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def private_folder(path: Path) -> Path:
    """Makes a folder that only its owner may enter; one that is there already keeps its mode."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    return path


def is_taken(port: int) -> bool:
    """Whether a server could not listen on that loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _broken(path: Path, faults: Iterable[str]) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be used: {'; '.join(faults)}. It holds the ports and passwords that the stores in this folder "
        "are locked with, so no other can be made for them. Put the file back; or run `shelfcast down` (`make stop`), "
        f"remove {path.parent} and start anew."
    )


def _free_ports() -> dict[str, int]:
    """A free port for each service, different ones.

    They lie below those that systems give to outgoing connections: a server that is started again would otherwise find
    that some client had been given its port meanwhile.
    """
    candidates = (port for port in secrets.SystemRandom().sample(OWN_PORTS, len(OWN_PORTS)) if not is_taken(port))
    return dict(zip(PORTS, candidates, strict=False))
