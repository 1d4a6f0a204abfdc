"""The cold store's emulator as a service, and the connection that reaches it."""

import sys
from pathlib import Path
from typing import Any

from shelfcast.settings import Settings
from shelfcast_local.configuration import HOST, Configuration, private_folder
from shelfcast_local.services import loopback
from shelfcast_local.services.cold_store_server import DATABASE, make_certificate
from shelfcast_local.services.supervisor import Service

UNSUPPORTED = [r"\s*ALTER\s+SESSION\s+SET\s+QUERY_TAG", r"\s*(GRANT|REVOKE)\s"]
"""Statements that the emulator answers without doing anything."""


def service(home: Path, configuration: Configuration) -> Service:
    """The server, behind TLS with a certificate of its own and a password."""
    folder, port = private_folder(private_folder(home) / "cold_store"), configuration.ports["cold_store"]
    make_certificate(folder / "tls")
    command = [sys.executable, "-m", "shelfcast_local.services.cold_store_server"]
    memory = f"{Settings.from_environment().query_memory_gib}GiB"
    return Service(
        name="cold_store",
        command=[*command, "--home", str(folder), "--port", str(port), "--memory", memory],
        environment={
            "SHELFCAST_COLD_STORE_PASSWORD": configuration.passwords["cold_store"],
            "TMPDIR": str(private_folder(folder / "staged")),  # a killed server leaves what was on its way in there
        },
        is_healthy=lambda: is_healthy(home, configuration),
    )


def is_healthy(home: Path, configuration: Configuration) -> bool:
    """Whether it answers, and is the one that holds the key of this folder's certificate."""
    certificate = home / "cold_store" / "tls" / "certificate.pem"
    return loopback.holds_key_of(certificate, f"https://{HOST}:{configuration.ports['cold_store']}/")


def ca_bundle(home: Path) -> Path:
    """The certificates that clients must trust."""
    return home / "cold_store" / "tls" / "ca-bundle.pem"


def connection(configuration: Configuration) -> dict[str, Any]:
    """The Airflow connection `cold_store`."""
    return {
        "conn_type": "snowflake",
        "login": "shelfcast",
        "password": configuration.passwords["cold_store"],
        "schema": "PUBLIC",
        "extra": {
            "account": "laptop",
            "database": DATABASE,
            "warehouse": "LAPTOP",
            "role": "SYSADMIN",
            "host": HOST,
            "port": configuration.ports["cold_store"],
            "session_parameters": {"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False, "nop_regexes": UNSUPPORTED},
        },
    }
