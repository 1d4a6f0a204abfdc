"""The shop's database behind TLS: what the connection asks for holds for every client that opens it, or none gets in."""

import asyncio
import json
import re
import ssl
import threading
from contextlib import contextmanager, suppress
from datetime import date

import pytest
from change_reader import Reader
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from shelfcast.errors import SourceUnavailable
from shelfcast.sources.simulation_settings import SimulationSettings
from shelfcast_local.configuration import HOST
from shelfcast_local.environment import connections
from shelfcast_local.services import postgres
from shelfcast_local.services.cold_store_server import make_certificate
from shelfcast_local.simulator.simulator import Simulator
from shelfcast_local.stack import Stack
from shelfcast_provider.ingestion.change_log import ChangeLog
from shelfcast_provider.ingestion.debezium_hook import DebeziumHook
from shelfcast_provider.sources.business_day_trigger import BusinessDayClosedTrigger

pytestmark = pytest.mark.integration
TLS_ASKED = bytes.fromhex("0000000804d2162f")
LAST_DAY = date(2025, 1, 28)


@contextmanager
def tls_front(folder, behind, *, clients_need=None):
    """PostgreSQL's own way into TLS, in front of a server that was built without; returns the port.

    Args:
        folder: Holds `certificate.pem` and `key.pem`.
        behind: Port of the server.
        clients_need: The certificate that clients must show, none if `None`.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    if clients_need:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients_need)

    async def copy(reader, writer):
        with suppress(OSError, ssl.SSLError):
            while some := await reader.read(65536):
                writer.write(some)
                await writer.drain()
        writer.close()

    async def serve(reader, writer):
        with suppress(OSError, asyncio.IncompleteReadError):
            if await reader.readexactly(8) == TLS_ASKED:
                writer.write(b"S")
                await writer.start_tls(context)
                inner_reader, inner_writer = await asyncio.open_connection(HOST, behind)
                await asyncio.gather(copy(reader, inner_writer), copy(inner_reader, writer))
        writer.close()

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(serve, HOST, 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield server.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Certificates: the server's, which is its own authority; a client's; a stranger's."""
    made = tmp_path_factory.mktemp("tls")
    for name in ("server", "client", "stranger"):
        make_certificate(made / name)
    key = load_pem_private_key((made / "client" / "key.pem").read_bytes(), password=None)
    content = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    (made / "client" / "key.der").touch(mode=0o600)
    (made / "client" / "key.der").write_bytes(content)
    return made


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    made = Stack(tmp_path_factory.mktemp("behind_tls") / "home")
    made.up(["postgres"])
    settings = SimulationSettings(stores=1, items=2, first_day=date(2025, 1, 1), history_days=28)
    with postgres.connect(made.configuration, "shop") as connection:
        Simulator(settings).write_history(connection)
    yield made
    made.down()


@pytest.fixture(scope="module")
def asked(stack, folder):
    """Connections by id."""
    plain, certificate = connections(stack.configuration)["shop_database"], folder / "server" / "certificate.pem"
    checked = {"sslmode": "verify-full", "sslrootcert": str(certificate)}
    strange = {"sslrootcert": str(folder / "stranger" / "certificate.pem")}
    shown = {"sslcert": str(folder / "client" / "certificate.pem"), "sslkey": str(folder / "client" / "key.der")}
    known = folder / "client" / "certificate.pem"
    with (
        tls_front(folder / "server", plain["port"]) as port,
        tls_front(folder / "server", plain["port"], clients_need=known) as strict,
    ):
        yield {
            "plain": plain | {"extra": {"sslmode": "require"}},
            "unasked": plain,
            "encrypted": plain | {"port": port, "extra": {"sslmode": "require"}},
            "checked": plain | {"port": port, "extra": checked},
            "strange": plain | {"port": port, "extra": checked | strange},
            "half_strange": plain | {"port": port, "extra": {"sslmode": "require"} | strange},
            "shown": plain | {"port": strict, "extra": checked | shown},
            "not_shown": plain | {"port": strict, "extra": checked},
        }


@pytest.fixture(scope="module")
def reader(stack, asked):
    made = Reader(stack, **asked)
    yield made
    made.kill()


@pytest.fixture
def clients(asked, monkeypatch):
    """How Python's clients fare with a connection: whether the hook and the trigger get in."""

    def open_with(name):
        monkeypatch.setenv("AIRFLOW_CONN_SHOP_DATABASE", json.dumps(asked[name]))
        day = asyncio.run(BusinessDayClosedTrigger().latest_business_day())
        assert day in (None, LAST_DAY.isoformat())
        try:
            DebeziumHook().get_conn().close()
        except SourceUnavailable as error:
            return str(error), day is not None
        return "open", day is not None

    return open_with


@pytest.mark.parametrize("name", ["encrypted", "checked", "shown"])
def test_every_client_gets_in_over_the_tls_that_was_asked_for(name, clients, reader, stack, tmp_path):
    assert clients(name) == ("open", True)
    with postgres.connect(stack.configuration, "shop") as connection:
        ChangeLog(connection, slot="shelfcast", publication="shelfcast").drop_slot()
    assert reader.drain(tmp_path, connection_id=name)["changes"] > 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plain", "does not support SSL"),
        ("strange", "certificate verify failed"),
        ("half_strange", "certificate verify failed"),
        # by TLS 1.3 a client has shaken hands before the server refuses: it finds the alert, or nobody there any more
        ("not_shown", "SSL error|SSL SYSCALL error|closed the connection|reset by peer"),
    ],
)
def test_no_client_goes_on_without_the_tls_that_was_asked_for(name, said, clients):
    found, is_watched = clients(name)
    assert re.search(said, found), found
    assert not is_watched
    assert clients("unasked") == ("open", True), "the control: the server is there"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plain", "does not support SSL"),
        ("strange", "signature check failed"),
        ("half_strange", "signature check failed"),
        ("not_shown", "connection attempt failed"),
    ],
)
def test_the_engine_refuses_for_itself(name, said, reader, tmp_path):
    """Python's client would stop the drain before: here it is let in without TLS."""
    found = reader.drain(tmp_path, connection_id=name, opened_with="unasked")
    assert found["error"] == "SourceError"
    assert said in found["text"]
