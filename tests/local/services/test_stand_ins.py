"""The real stand-ins: private to this machine and to who has the password, mended by the next start, used as in earnest."""

import json
import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from email.message import EmailMessage
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shelfcast_local.configuration import HOST
from shelfcast_local.environment import connections
from shelfcast_local.services import cold_store, mail, mlflow_server, postgres
from shelfcast_local.stack import Stack

pytestmark = pytest.mark.integration
EARLY = ("postgres", "cold_store", "hot_store", "mail", "forecaster")


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Not below pytest's own folder: another test run would lock PostgreSQL's system user out of that."""
    with tempfile.TemporaryDirectory(prefix="shelfcast-stack-") as folder:
        yield Path(folder) / "home"


@pytest.fixture(scope="module")
def stack(home: Path) -> Iterator[Stack]:
    running = Stack(home)
    try:
        mlflow = mlflow_server.service(home, running.configuration)
        running._supervisor.start(mlflow)  # takes long: the last test waits for it
        running.up(EARLY)
        yield running
    finally:
        started = running.process_ids()
        running.down()
        assert not [pid for pid in started if psutil.pid_exists(pid) and not is_zombie(pid)]


@pytest.fixture
def small(home: Path) -> Iterator[Stack]:
    """A stack of its own whose services a test may break."""
    other = Stack(home.parent / "small")
    yield other
    other.down()
    shutil.rmtree(other.home, ignore_errors=True)


@pytest.fixture
def hook(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The provider's own hook, unmodified, with the connection that the loop gets."""
    from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook

    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, stack.environment()[name])
    monkeypatch.setenv("AIRFLOW_CONN_COLD_STORE", json.dumps(connections(stack.configuration)["cold_store"]))
    return SnowflakeHook("cold_store")


def is_zombie(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def kill(stack: Stack, name: str) -> None:
    pid = stack.status()[name]
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while stack.status()[name] is not None:
        time.sleep(0.01)


def run(hook: Any, *statements: str) -> list[Any]:
    """Runs them in one session; returns the rows of the last."""
    with hook.get_conn() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


def test_the_cold_store_takes_files_and_merges_them_through_the_stock_hook(hook: Any, tmp_path: Path) -> None:
    moment = datetime(2025, 3, 1, 12, 30, 15, 123456)
    rows = {"id": [1, 2, 3], "seen": [moment, None, moment], "units": [1.5, None, 2.5]}
    pq.write_table(
        pa.table(rows, schema=pa.schema({"id": "int64", "seen": pa.timestamp("us"), "units": "float64"})),
        tmp_path / "part.parquet",
    )
    answered = run(
        hook,
        "CREATE SCHEMA IF NOT EXISTS TRIAL",
        "CREATE OR REPLACE TABLE TRIAL.LANDED (id BIGINT, seen TIMESTAMP, units DOUBLE)",
        "CREATE OR REPLACE TABLE TRIAL.KEPT (id BIGINT, seen TIMESTAMP, units DOUBLE)",
        "INSERT INTO TRIAL.KEPT VALUES (3, NULL, 0), (4, NULL, 4)",
        "CREATE STAGE IF NOT EXISTS TRIAL.FILES",
        f"PUT 'file://{tmp_path}/*.parquet' @TRIAL.FILES/first AUTO_COMPRESS = FALSE OVERWRITE = TRUE",
        "COPY INTO TRIAL.LANDED FROM @TRIAL.FILES/first/ FILE_FORMAT = (TYPE = PARQUET) "
        "MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE",
        "MERGE INTO TRIAL.KEPT AS kept USING (SELECT * FROM TRIAL.LANDED) AS landed ON kept.id = landed.id "
        "WHEN MATCHED THEN UPDATE SET kept.seen = landed.seen, kept.units = landed.units "
        "WHEN NOT MATCHED THEN INSERT (id, seen, units) VALUES (landed.id, landed.seen, landed.units)",
    )
    assert answered == [(2, 1)], "two inserted, one updated"
    kept = run(hook, "SELECT id, seen, units FROM TRIAL.KEPT ORDER BY id")
    assert kept == [(1, moment, 1.5), (2, None, None), (3, moment, 2.5), (4, None, 4.0)]


@pytest.mark.parametrize("seen", [[None], [None, datetime(2025, 3, 1)], [datetime(1970, 1, 1), None]])
def test_a_missing_timestamp_stays_missing(hook: Any, seen: list[datetime | None]) -> None:
    values = ", ".join(f"({n}, {'NULL' if each is None else f'{each.isoformat()!r}'})" for n, each in enumerate(seen))
    rows = run(
        hook,
        "CREATE OR REPLACE TABLE PUBLIC.MOMENTS (n BIGINT, seen TIMESTAMP)",
        f"INSERT INTO PUBLIC.MOMENTS VALUES {values}",
        "SELECT seen FROM PUBLIC.MOMENTS ORDER BY n",
    )
    assert [row[0] for row in rows] == seen


@pytest.mark.parametrize("password", ["wrong", "", "ü"])
def test_a_wrong_password_is_refused(hook: Any, stack: Stack, monkeypatch: pytest.MonkeyPatch, password: str) -> None:
    from snowflake.connector.errors import DatabaseError, ProgrammingError

    right = connections(stack.configuration)["cold_store"]
    monkeypatch.setenv("AIRFLOW_CONN_COLD_STORE", json.dumps({**right, "password": password}))
    with pytest.raises((DatabaseError, ProgrammingError), match=r"(?i)password"):
        hook.get_conn()


@pytest.fixture
def nobody(stack: Stack) -> Iterator[httpx.Client]:
    """Who trusts the cold store's certificate and has no password."""
    trust = ssl.create_default_context(cafile=str(cold_store.ca_bundle(stack.home)))
    address = f"https://{HOST}:{stack.configuration.ports['cold_store']}"
    # a connection each: who answers before all was read closes it, and the next request would find it closed
    once = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=address, verify=trust, trust_env=False, limits=once) as client:
        yield client


@pytest.fixture
def address(hook: Any, nobody: httpx.Client) -> str:
    """Where a session may upload one file of a stage, as path and query."""
    with hook.get_conn() as connection:
        connection.cursor().execute("CREATE OR REPLACE STAGE PUBLIC.INBOX")
        asked = {"sqlText": "PUT 'file:///tmp/part.parquet' @PUBLIC.INBOX/first AUTO_COMPRESS = FALSE"}
        login = {"Authorization": f'Snowflake Token="{connection.rest.token}"'}
        answer = nobody.post("/queries/v1/query-request", json=asked, headers=login).json()
    return str(answer["data"]["stageInfo"]["presignedUrl"]).removeprefix(str(nobody.base_url).rstrip("/"))


def staged(hook: Any) -> list[str]:
    return [row[0] for row in run(hook, "LIST @PUBLIC.INBOX")]


def test_a_file_is_taken_at_the_address_that_a_session_was_given(hook: Any, nobody: httpx.Client, address: str) -> None:
    assert nobody.put(address, content=b"1").status_code == 200
    assert staged(hook) == ["inbox/first/part.parquet"]


def without_signature(address: str) -> str:
    return address.split("?", maxsplit=1)[0]


def with_another_signature(address: str) -> str:
    return str(httpx.URL(address).copy_set_param("signature", "ü" * 64))


def of_another_file(address: str) -> str:
    return address.replace("part.parquet", "other.parquet")


def of_another_folder(address: str) -> str:
    return address.replace("/first/", "/first/../second/")


def good_for_longer(address: str) -> str:
    return str(httpx.URL(address).copy_set_param("expires", "99999999999"))


def without_an_end(address: str) -> str:
    return str(httpx.URL(address).copy_remove_param("expires"))


@pytest.mark.parametrize(
    "forged",
    [
        without_signature,
        with_another_signature,
        of_another_file,
        of_another_folder,
        good_for_longer,
        without_an_end,
    ],
)
def test_a_file_is_refused_at_an_address_that_nobody_was_given(
    hook: Any, nobody: httpx.Client, address: str, forged: Callable[[str], str]
) -> None:
    assert nobody.put(forged(address), content=b"1").status_code in (403, 404)
    assert staged(hook) == []


@pytest.fixture
def fetched_from(hook: Any, nobody: httpx.Client) -> str:
    """Where a session may fetch the one file of a stage, as path and query."""
    with hook.get_conn() as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE OR REPLACE STAGE PUBLIC.OUTBOX")
        cursor.execute(
            "COPY INTO @PUBLIC.OUTBOX/first/part.parquet FROM (SELECT 7 AS number) FILE_FORMAT = (TYPE = PARQUET) "
            "HEADER = TRUE SINGLE = TRUE MAX_FILE_SIZE = 1000"
        )
        login = {"Authorization": f'Snowflake Token="{connection.rest.token}"'}
        asked = {"sqlText": "GET @PUBLIC.OUTBOX/first/ 'file:///tmp/'"}
        answer = nobody.post("/queries/v1/query-request", json=asked, headers=login).json()
    (address,) = answer["data"]["presignedUrls"]
    return str(address).removeprefix(str(nobody.base_url).rstrip("/"))


def test_a_file_is_given_at_the_address_that_a_session_was_given(nobody: httpx.Client, fetched_from: str) -> None:
    given = nobody.get(fetched_from)
    assert pq.read_table(pa.BufferReader(given.content)).to_pydict() == {"NUMBER": [7]}
    assert nobody.put(fetched_from, content=b"1").status_code == 403
    assert nobody.get(fetched_from).content == given.content


@pytest.mark.parametrize("forged", [without_signature, with_another_signature, of_another_file, good_for_longer])
def test_a_file_is_not_given_at_an_address_that_nobody_was_given(
    nobody: httpx.Client, fetched_from: str, forged: Callable[[str], str]
) -> None:
    assert nobody.get(forged(fetched_from)).status_code == 403


def test_a_file_that_was_removed_is_not_given(hook: Any, nobody: httpx.Client, fetched_from: str) -> None:
    run(hook, "REMOVE @PUBLIC.OUTBOX/first/")
    assert nobody.get(fetched_from).status_code == 404


def test_no_door_of_the_cold_store_opens_without_a_login(nobody: httpx.Client) -> None:
    """But the one that ends a statement, which does nothing here."""
    doors = [route for route in import_module("fakesnow.server").routes if "abort" not in route.path]
    asked = [(method, route.path) for route in doors for method in route.methods]
    answers = {door: opens(nobody, *door) for door in [*asked, ("GET", "/results/any/0"), ("GET", "/fs_bucket/any")]}
    assert not any(answers.values()), answers


def opens(client: httpx.Client, method: str, path: str) -> bool:
    text = {} if method in ("GET", "HEAD") else {"json": {"data": {}, "sqlText": "SELECT 1"}}
    answer = client.request(method, path, **text)
    return answer.is_success and not (answer.content and not answer.json()["success"])


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT NO_SUCH_FUNCTION(1)",
        "CREATE WAREHOUSE OTHER PARTY",
        "SELECT * FROM NOWHERE",
        "SELEC 1",
        "COPY INTO @PUBLIC.INBOX/rows.csv FROM (SELECT 1 AS a) FILE_FORMAT = (TYPE = CSV)",
        "GET @PUBLIC.NOT_THERE/ 'file:///tmp/'",
    ],
)
def test_what_the_emulator_cannot_do_fails_at_once_and_the_session_goes_on(hook: Any, statement: str) -> None:
    from snowflake.connector.errors import ProgrammingError

    with hook.get_conn() as connection, connection.cursor() as cursor:
        with pytest.raises(ProgrammingError):
            cursor.execute(statement)
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]


@pytest.mark.parametrize("way", ["down", "kill"])
def test_tables_outlive_the_cold_store(hook: Any, stack: Stack, way: str) -> None:
    run(hook, f"CREATE OR REPLACE TABLE PUBLIC.KEPT_{way} AS SELECT 7 AS n")
    if way == "kill":
        kill(stack, "cold_store")
    else:
        stack._supervisor.stop("cold_store")
    stack.up(["cold_store"])
    assert run(hook, f"SELECT n FROM PUBLIC.KEPT_{way}") == [(7,)]


def test_a_mail_that_is_sent_is_read_on_the_page(stack: Stack) -> None:
    message = EmailMessage()
    message["Subject"], message["To"], message["From"] = "Drift in demand", "oncall@shop.example", "a@shop.example"
    message.set_content("<b>grüße</b>", subtype="html")
    with smtplib.SMTP(HOST, stack.configuration.ports["smtp"], timeout=10) as sender:
        sender.send_message(message)
    url, login = mail.url(stack.configuration), (mail.USER, stack.configuration.passwords["mail"])
    with httpx.Client(trust_env=False) as client:
        found = client.get(f"{url}/mails", auth=login).json()[0]
        assert (found["subject"], found["body"].strip()) == ("Drift in demand", "<b>grüße</b>")
        assert client.get(f"{url}/mails").status_code == 401
        assert client.get(url, auth=(mail.USER, "wrong")).status_code == 401


def test_the_shop_can_be_replicated_and_is_locked(stack: Stack) -> None:
    with postgres.connect(stack.configuration, "shop") as connection:
        assert connection.execute("SHOW wal_level").fetchone() == ("logical",)
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=HOST, port=stack.configuration.ports["postgres"], user="shop", password="x", dbname="shop")


@pytest.mark.parametrize("lost", ["the database", "role and database"])
def test_a_half_prepared_server_is_finished_by_the_next_start(stack: Stack, lost: str) -> None:
    with postgres.connect(stack.configuration, "postgres", user="postgres") as connection:
        connection.execute("DROP DATABASE airflow")
        if lost == "role and database":
            connection.execute("DROP ROLE airflow")
    stack.up(["postgres"])
    with postgres.connect(stack.configuration, "airflow") as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("airflow",)


def test_an_interrupted_making_of_the_database_is_done_again(small: Stack) -> None:
    script = (
        "import sys; from pathlib import Path; from shelfcast_local.services import postgres\n"
        "from shelfcast_local.configuration import Configuration\n"
        "home = Path(sys.argv[1]); postgres.service(home, Configuration.load(home))"
    )
    draft = small.home / "postgres.part"
    with subprocess.Popen([sys.executable, "-c", script, str(small.home)], start_new_session=True) as maker:
        while not (draft / "PG_VERSION").exists():
            assert maker.poll() is None
            time.sleep(0.005)
        os.killpg(maker.pid, signal.SIGKILL)
    assert not (small.home / "postgres").exists()
    small.up(["postgres"])
    assert not draft.exists()
    with postgres.connect(small.configuration, "shop") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_killed_database_comes_back_though_it_is_a_zombie_and_had_clients(small: Stack) -> None:
    script = (
        "import sys, time; from pathlib import Path; from shelfcast_local.stack import Stack\n"
        "Stack(Path(sys.argv[1])).up(['postgres']); print('up', flush=True); time.sleep(300)"
    )
    command = [sys.executable, "-c", script, str(small.home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:  # never asks for its child's end
        try:
            assert starter.stdout is not None
            assert starter.stdout.readline() == "up\n"
            clients = [postgres.connect(small.configuration, "shop") for _ in range(5)]
            clients[0].execute("SET synchronous_commit = on")
            clients[0].execute("CREATE TABLE kept AS SELECT 7 AS n")
            killed = small.status()["postgres"]
            assert killed is not None
            kill(small, "postgres")
            assert is_zombie(killed), "the control: PostgreSQL takes this for a running server"
            small.up(["postgres"])
            with postgres.connect(small.configuration, "shop") as connection:
                assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
            for client in clients:
                client.close()
        finally:
            starter.kill()


def test_the_hot_store_writes_a_snapshot_at_its_end_and_at_no_other_time(small: Stack) -> None:
    import redis

    from shelfcast_local.services import hot_store

    small.up(["hot_store"])
    with redis.Redis.from_url(hot_store.url(small.configuration)) as client:
        assert client.config_get("save") == {"save": ""}
        client.set("kept", "7")
    snapshot = small.home / "hot_store" / "dump.rdb"
    assert not snapshot.exists()
    small.down()
    assert snapshot.stat().st_mode & 0o777 == 0o600
    small.up(["hot_store"])
    with redis.Redis.from_url(hot_store.url(small.configuration)) as client:
        assert client.get("kept") == b"7"
    with redis.Redis(host=HOST, port=small.configuration.ports["hot_store"]) as nobody, pytest.raises(redis.RedisError):
        nobody.ping()


def test_two_starts_at_once_make_one_stack(small: Stack) -> None:
    stacks = [Stack(small.home) for _ in range(2)]
    threads = [threading.Thread(target=stack.up, args=[["hot_store", "mail"]]) for stack in stacks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert stacks[0].configuration == stacks[1].configuration
    assert small.health() == {"hot_store": True, "mail": True}
    of_this_home = [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(str(small.home) in part for part in process.info["cmdline"] or []) or process.pid in small.process_ids()
    ]
    assert sorted(of_this_home) == sorted(small.process_ids())


def somebody_on(port: int) -> socket.socket:
    """Listens on a port whose server was killed, as soon as the system has let go of it."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_server((HOST, port))
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_a_store_whose_port_was_taken_moves_and_the_forecaster_follows(small: Stack) -> None:
    small.up(["hot_store", "forecaster", "mail"])
    before, old_port = small.status(), small.configuration.ports["hot_store"]
    kill(small, "hot_store")
    with somebody_on(old_port):
        small.up(["hot_store"])
        assert small.configuration.ports["hot_store"] != old_port
        assert small.health() == {"hot_store": True, "mail": True, "forecaster": True}
    after = small.status()
    assert after["mail"] == before["mail"]
    assert after["forecaster"] != before["forecaster"]
    seen = psutil.Process(after["forecaster"]).environ()["SHELFCAST_HOT_STORE_URL"]
    assert f":{small.configuration.ports['hot_store']}/" in seen


def test_every_stand_in_is_healthy_and_private(stack: Stack) -> None:
    stack.up([*EARLY, "mlflow"])
    assert stack.health() == dict.fromkeys([*EARLY, "mlflow"], True)
    assert stack.home.stat().st_mode & 0o777 == (0o711 if os.geteuid() == 0 else 0o700)
    open_to_others = [path for path in stack.home.iterdir() if path.stat().st_mode & 0o077]
    assert open_to_others == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_every_server_listens_on_loopback_only(stack: Stack) -> None:
    stack.up([*EARLY, "mlflow"])
    processes = [psutil.Process(pid) for pid in stack.process_ids()]
    family = [*processes, *(child for process in processes for child in process.children(recursive=True))]
    sockets = {link for process in family for link in socket_links(process.pid)}
    listening = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()
    ]
    ours = {line[1] for line in listening if line[3] == "0A" and f"socket:[{line[9]}]" in sockets}
    loopback = "0100007F"
    assert {address.split(":")[0] for address in ours} == {loopback}
    ports = {int(address.split(":")[1], 16) for address in ours}
    assert {port for name, port in stack.configuration.ports.items() if name != "airflow"} <= ports


def socket_links(pid: int) -> Iterator[str]:
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            yield str(handle.readlink())
        except FileNotFoundError:
            continue
