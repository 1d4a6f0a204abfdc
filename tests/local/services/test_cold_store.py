"""The laptop's cold store and the stock connector, which gives up on a server that is silent."""

import subprocess
import sys
from contextlib import contextmanager

import pytest
import snowflake.connector
from served_world import wait_for
from snowflake.connector.errors import ProgrammingError

from shelfcast_local.configuration import Configuration
from shelfcast_local.services import cold_store

pytestmark = pytest.mark.integration
SILENT_SECONDS = 1
"""After which the connector sends a statement again: a minute, unless it is told."""
STEPS = 600_000
LONG = f"""
WITH RECURSIVE steps AS (SELECT 1 AS step UNION ALL SELECT step + 1 AS step FROM steps WHERE step < {STEPS})
SELECT {{found}} FROM steps"""
"""Takes some seconds, for no step knows the next one."""


@contextmanager
def served(home, monkeypatch, *, answer_seconds):
    """A connection to a server that answers after so many seconds at the latest, if only that it is still at work."""
    configuration = Configuration.load(home)
    service = cold_store.service(home, configuration)
    main = f"from {service.command[2]} import main; from shelfcast_local.services import cold_store_patches as patches"
    code = f"{main}; patches.ANSWER_SECONDS = {answer_seconds}; main()"
    process = subprocess.Popen([sys.executable, "-c", code, *service.command[3:]], env=service.environment)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cold_store.ca_bundle(home)))
    try:
        assert wait_for(service.is_healthy)
        told = cold_store.connection(configuration)
        extra = {name: told["extra"][name] for name in ("account", "database", "host", "port", "session_parameters")}
        with snowflake.connector.connect(
            user=told["login"], password=told["password"], socket_timeout=SILENT_SECONDS, **extra
        ) as connection:
            yield connection.cursor()
    finally:
        process.terminate()
        process.wait()


def test_a_statement_may_take_longer_than_the_connector_waits_for_an_answer(tmp_path, monkeypatch):
    with served(tmp_path, monkeypatch, answer_seconds=SILENT_SECONDS / 4) as cursor:
        assert cursor.execute(LONG.format(found="COUNT(*)")).fetchall() == [(STEPS,)]
        with pytest.raises(ProgrammingError, match=f"n{STEPS}"):
            cursor.execute(LONG.format(found="('n' || COUNT(*))::INT"))
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]


def test_a_server_that_is_silent_meanwhile_is_sent_it_again(tmp_path, monkeypatch):
    """The control."""
    with served(tmp_path, monkeypatch, answer_seconds=60) as cursor, pytest.raises(ProgrammingError, match="busy"):
        cursor.execute(LONG.format(found="COUNT(*)"))
