"""Histories in a real PostgreSQL: written once, day by day, killed and resumed, with faults on request."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from shelfcast.errors import ConfigurationError, NothingToDo, SourceError
from shelfcast.sources.dataset import Dataset
from shelfcast.sources.shop_schema import TABLES
from shelfcast.sources.simulation_settings import SimulationSettings
from shelfcast_cli.main import command_line
from shelfcast_local.configuration import HOST, Configuration
from shelfcast_local.demo.stages import rows_in_shop
from shelfcast_local.playback import shop_history
from shelfcast_local.playback.changes import Transaction
from shelfcast_local.playback.dataset_history import DatasetHistory
from shelfcast_local.playback.ddl import Connection, connect, create_shop
from shelfcast_local.playback.notes import read_playback
from shelfcast_local.services import postgres
from shelfcast_local.services.supervisor import Supervisor
from shelfcast_local.shop import Shop
from shelfcast_local.simulator.command import load, next_day, open_history, simulate
from shelfcast_local.simulator.simulator import Simulator
from shelfcast_local.stack import Stack

pytestmark = pytest.mark.integration
SETTINGS = SimulationSettings(seed=3, stores=2, items=8, history_days=30, units_per_day=4)
LAST = SETTINGS.last_history_date


class Killed(Exception):
    """Stands for a kill between two commits."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shop")


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[str]:
    configuration, supervisor = Configuration.load(home), Supervisor(home)
    service = postgres.service(home, configuration)
    supervisor.start(service)
    try:
        supervisor.wait(service)
        postgres.prepare(configuration)
        password = configuration.passwords["postgres"]
        yield f"host={HOST} port={configuration.ports['postgres']} user=shop password={password} dbname=shop"
    finally:
        supervisor.stop(service.name, stop_signal=postgres.STOP_SIGNAL)


@pytest.fixture
def address(server: str) -> str:
    with connect(server) as connection:
        connection.execute("DROP PUBLICATION IF EXISTS shelfcast")
        connection.execute("DROP SCHEMA IF EXISTS sales CASCADE")
        connection.execute("DROP SCHEMA IF EXISTS sales_simulation CASCADE")
    return server


@pytest.fixture
def shop(address: str) -> Iterator[Connection]:
    with connect(address) as connection:
        yield connection


def all_rows(connection: Connection) -> dict[str, list[tuple[object, ...]]]:
    found = {}
    for name, table in TABLES.items():
        columns, key = ", ".join(table.column_names), ", ".join(table.key)
        found[name] = connection.execute(f"SELECT {columns} FROM sales.{name} ORDER BY {key}".encode()).fetchall()
    return found


def closings(connection: Connection) -> dict[object, object]:
    query = b"SELECT business_date, closed_at FROM sales.business_days WHERE business_date > %s"
    return dict(connection.execute(query, [LAST]).fetchall())  # type: ignore[arg-type]


def count(connection: Connection, query: bytes) -> int:
    row = connection.execute(query).fetchone()
    return int(str(row[0])) if row else 0


def test_days_played_into_the_database_give_the_shop_that_is_written_at_once(shop: Connection, server: str) -> None:
    simulator = Simulator(SETTINGS)
    written = simulator.write_history(shop)
    assert written.rows["orders"] == count(shop, b"SELECT count(*) FROM sales.orders")
    for day in simulator.days_to_come[:5]:
        assert simulator.write_day(shop, day).is_closed
    played = all_rows(shop)
    for name in ("sales", "sales_simulation"):
        shop.execute(f"DROP SCHEMA {name} CASCADE".encode())
    last = LAST + timedelta(days=5)
    shop_history.write_history(
        shop,
        history_name="simulated",
        last_history_date=last,
        settings={},
        tables=simulator.history_tables(last),
    )
    assert all_rows(shop) == played


def test_a_history_is_written_once_and_another_is_refused(shop: Connection, tmp_path: Path) -> None:
    Simulator(SETTINGS).write_history(shop)
    before = all_rows(shop)
    with pytest.raises(NothingToDo, match="written already"):
        Simulator(SETTINGS).write_history(shop)
    (tmp_path / "sales.csv").write_text("store_id,sales_date,units\na,2024-01-01,1\na,2024-01-02,1\n")
    (tmp_path / "dataset.yaml").write_text("name: mine\nhold_back_days: 1\nsales: {file: sales.csv}\n")
    with pytest.raises(SourceError, match="holds the history 'simulated', asked for is 'mine'"):
        DatasetHistory(Dataset(tmp_path)).write_history(shop)
    assert all_rows(shop) == before


def test_a_killed_history_leaves_nothing(shop: Connection) -> None:
    def tables() -> Iterator[tuple[str, pa.Table]]:
        for number, part in enumerate(Simulator(SETTINGS).history_tables()):
            if number == 9:
                raise Killed
            yield part

    with pytest.raises(Killed):
        shop_history.write_history(shop, history_name="simulated", last_history_date=LAST, settings={}, tables=tables())
    assert read_playback(shop) is None
    assert not any(all_rows(shop).values())


def test_a_day_is_written_once_and_in_its_order(shop: Connection) -> None:
    simulator = Simulator(SETTINGS)
    create_shop(shop)
    with pytest.raises(SourceError, match="has no history yet"):
        simulator.write_day(shop, simulator.days_to_come[0])
    simulator.write_history(shop)
    simulator.write_day(shop, simulator.days_to_come[0])
    before = all_rows(shop)
    with pytest.raises(
        NothingToDo, match=f"is written already; the next day of this shop is {simulator.days_to_come[1]}"
    ):
        simulator.write_day(shop, simulator.days_to_come[0])
    with pytest.raises(SourceError, match="Days are written in order"):
        simulator.write_day(shop, simulator.days_to_come[2])
    assert all_rows(shop) == before


def killed_after(transactions: Iterator[Transaction], number: int) -> Iterator[Transaction]:
    for index, transaction in enumerate(transactions):
        if index == number:
            raise Killed
        yield transaction


@pytest.mark.parametrize("number", [0, 1, 6, 11])
def test_a_killed_day_goes_on_where_it_was(shop: Connection, number: int) -> None:
    simulator = Simulator(SETTINGS)
    simulator.write_history(shop)
    day = simulator.days_to_come[0]
    with pytest.raises(Killed):
        shop_history.write_day(shop, day, transactions=killed_after(simulator.transactions(day), number))
    assert closings(shop) == {}
    simulator.write_day(shop, day)
    assert {name: len(rows) for name, rows in all_rows(shop).items()} == row_counts(simulator, day)


def test_without_the_note_of_what_is_committed_a_resumed_day_would_write_twice(shop: Connection) -> None:
    simulator = Simulator(SETTINGS)
    simulator.write_history(shop)
    day = simulator.days_to_come[0]
    with pytest.raises(Killed):
        shop_history.write_day(shop, day, transactions=killed_after(simulator.transactions(day), 9))
    shop.execute("UPDATE sales_simulation.days_written SET transactions_written = 0")
    with pytest.raises(psycopg.errors.UniqueViolation):
        simulator.write_day(shop, day)


def row_counts(simulator: Simulator, day: date) -> dict[str, int]:
    counts = dict.fromkeys(TABLES, 0)
    for name, rows in simulator.history_tables(day):
        counts[name] += rows.num_rows
    return counts


def test_a_connection_that_collects_commits_is_refused(shop: Connection, address: str) -> None:
    with psycopg.connect(address) as collecting, pytest.raises(ConfigurationError, match="open it with autocommit"):
        Simulator(SETTINGS).write_history(collecting)


def test_a_day_is_closed_in_its_own_last_transaction(shop: Connection) -> None:
    simulator = Simulator(SETTINGS)
    simulator.write_history(shop)
    simulator.write_day(shop, simulator.days_to_come[0])
    close = count(shop, b"SELECT max(xmin::text::bigint) FROM sales.business_days")
    newest = max(
        count(shop, f"SELECT max(xmin::text::bigint) FROM sales.{n}".encode()) for n in TABLES if n != "business_days"
    )
    assert close > newest
    assert closings(shop) == {
        LAST + timedelta(days=1): datetime.combine(LAST, datetime.max.time()).replace(microsecond=0) + timedelta(days=1)
    }


def small(address: str) -> None:
    with connect(address) as connection:
        Simulator(SETTINGS).write_history(connection)


def test_simulate_goes_on_where_the_shop_is(address: str) -> None:
    assert next_day(address) is None
    small(address)
    assert next_day(address) == LAST + timedelta(days=1)
    seen: list[date] = []
    simulate(address, days=2, report=lambda written: seen.append(written.last_date))
    simulate(address)
    assert seen == [LAST + timedelta(days=1), LAST + timedelta(days=2)]
    assert next_day(address) == LAST + timedelta(days=4)


def test_an_outage_leaves_the_day_open_until_the_next_morning(address: str) -> None:
    small(address)
    (written,) = simulate(address, faults=["outage"])
    assert not written.is_closed
    with connect(address) as shop:
        assert closings(shop) == {}
        (written,) = simulate(address)
        first, second = LAST + timedelta(days=1), LAST + timedelta(days=2)
        assert closings(shop)[first] == datetime.combine(second, datetime.min.time()).replace(hour=5, minute=30)
        assert second in closings(shop)
        query = b"SELECT min(xmin::text::bigint) FROM sales.orders WHERE ordered_at::date = '%s'" % str(second).encode()
        late = b"SELECT xmin::text::bigint FROM sales.business_days WHERE business_date = '%s'" % str(first).encode()
        assert count(shop, late) < count(shop, query)


def test_bad_rows_and_a_changed_schema_get_into_the_shop(address: str) -> None:
    small(address)
    simulate(address, faults=["bad_rows=5", "schema_change"])
    with connect(address) as shop:
        assert count(shop, b"SELECT count(*) FROM sales.orders WHERE status IS NULL") == SETTINGS.stores
        assert count(shop, b"SELECT count(*) FROM sales.order_lines WHERE quantity < 0") == SETTINGS.stores
        assert count(shop, b"SELECT count(*) FROM sales.orders WHERE channel IS NULL") == 0
    simulate(address, days=2)


def test_faults_are_remembered(address: str) -> None:
    small(address)
    simulate(address, faults=["distribution_shift=3"])
    simulate(address)
    with connect(address) as shop:
        present = read_playback(shop)
        assert present is not None
        assert [fault["kind"] for fault in present.settings["faults"]] == ["distribution_shift"]
        query = b"""SELECT avg(units) FROM (SELECT ordered_at::date AS day, sum(quantity) AS units
            FROM sales.orders JOIN sales.order_lines USING (order_id) GROUP BY 1) AS days WHERE day %s '%s'"""
        usual, shifted = (
            float(str(shop.execute(query % (sign, str(LAST).encode())).fetchone()[0])) for sign in (b"<=", b">")
        )  # type: ignore[index]
        assert shifted > 2 * usual


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("bad_row", "There is no fault 'bad_row'; write 'bad_rows'"),
        ("bad_rows=2:2020-01-01", "what is written stays. Write a first day of"),
        ("bad_rows=2:soon", "cannot be read"),
        ("late_data=x", "cannot be read .*; write such as late_data=0.3 or"),
    ],
)
def test_an_unknown_fault_is_told_its_name(address: str, fault: str, expected: str) -> None:
    small(address)
    with pytest.raises(ConfigurationError, match=expected):
        simulate(address, faults=[fault])


def test_a_fault_may_name_its_days_and_counts_once(address: str) -> None:
    small(address)
    first, last = LAST + timedelta(days=2), LAST + timedelta(days=3)
    shop_with_faults = Shop(address, faults=[f"bad_rows=5:{first}:{last}"])
    for _ in range(4):
        shop_with_faults.write_day(shop_with_faults.next_day())
    with connect(address) as shop:
        present = read_playback(shop)
        assert present is not None
        assert len(present.settings["faults"]) == 1
        assert count(shop, b"SELECT count(*) FROM sales.orders WHERE status IS NULL") == 2 * SETTINGS.stores


def test_no_days_cannot_be_played(address: str) -> None:
    small(address)
    with pytest.raises(ConfigurationError, match="0 days cannot be played; write 1 or more"):
        simulate(address, days=0)


def test_a_fault_is_refused_within_a_half_written_day(address: str) -> None:
    simulator, day = Simulator(SETTINGS), LAST + timedelta(days=1)
    with connect(address) as shop:
        simulator.write_history(shop)
        with pytest.raises(Killed):
            shop_history.write_day(shop, day, transactions=killed_after(simulator.transactions(day), 5))
    with pytest.raises(ConfigurationError, match="half written"):
        simulate(address, faults=["bad_rows"])
    assert simulate(address)[0].last_date == day


def test_a_dataset_is_loaded_and_its_days_are_played(address: str, tmp_path: Path) -> None:
    lines = [f"{store},2024-01-{day:02d},{day}" for day in range(1, 11) for store in "ab"]
    (tmp_path / "sales.csv").write_text("store_id,sales_date,units\n" + "\n".join(lines) + "\n")
    (tmp_path / "dataset.yaml").write_text("name: mine\nsales: {file: sales.csv}\n")
    written = load(address, tmp_path, hold_back_days=3)
    assert (written.last_date, written.rows["orders"]) == (date(2024, 1, 7), 14)
    assert simulate(address)[0].rows == {"orders": 2, "order_lines": 2}
    with pytest.raises(ConfigurationError, match="whose days are played"):
        simulate(address, faults=["outage"])
    with connect(address) as shop:
        assert count(shop, b"SELECT sum(quantity)::bigint FROM sales.order_lines") == 2 * sum(range(1, 9))
        assert count(shop, b"SELECT count(*) FROM sales.business_days") == 8


def test_the_shipped_shop_may_be_made_smaller_or_refused() -> None:
    history = open_history(stores=1, seed=5)
    assert isinstance(history, Simulator)
    assert (history.settings.stores, history.settings.seed) == (1, 5)
    with pytest.raises(ConfigurationError, match="cannot be made"):
        open_history(stores=5000)


def test_a_shop_is_filled_and_lives_on(address: str, tmp_path: Path) -> None:
    lines = [f"a,2024-01-{day:02d},{day}" for day in range(1, 11)]
    (tmp_path / "sales.csv").write_text("store_id,sales_date,units\n" + "\n".join(lines) + "\n")
    (tmp_path / "dataset.yaml").write_text("name: mine\nhold_back_days: 3\nsales: {file: sales.csv}\n")
    shop = Shop(address, tmp_path)
    assert shop.is_empty()
    with pytest.raises(SourceError, match="The shop is empty"):
        shop.next_day()
    assert shop.write_history().startswith("The shop is written up to 2024-01-07: 1 stores, 1 items, 7 orders")
    assert not shop.is_empty()
    assert shop.write_day(shop.next_day()).last_date == date(2024, 1, 8)
    with pytest.raises(SourceError, match="the next day of this shop is 2024-01-09"):
        shop.write_day(date(2024, 1, 8))
    assert not Shop(address).is_empty()
    with pytest.raises(SourceError, match="holds the history 'mine', asked for is 'simulated'"):
        Shop(address, Path("simulated")).is_empty()


def test_simulate_plays_its_days_with_a_fault_named_by_days(address: str, home: Path) -> None:
    small(address)
    first, last = LAST + timedelta(days=1), LAST + timedelta(days=2)
    asked = [
        "simulate",
        "--days",
        "2",
        "--fault",
        f"bad_rows=5:{first}:{last}",
        "--fault",
        "outage",
        "--home",
        str(home),
    ]
    answered = CliRunner().invoke(command_line(), asked)
    assert answered.exit_code == 0, answered.exception
    for day in (first, last):
        assert f"The shop is written up to {day}, not closed" in answered.output
    with connect(address) as shop:
        present = read_playback(shop)
        assert present is not None
        assert [fault["kind"] for fault in present.settings["faults"]] == ["bad_rows", "outage"]
        assert count(shop, b"SELECT count(*) FROM sales.orders WHERE status IS NULL") == 2 * SETTINGS.stores


def test_load_takes_a_declaration_and_the_folder_of_its_files(address: str, home: Path, tmp_path: Path) -> None:
    declaration, data = tmp_path / "mine.yaml", tmp_path / "data"
    data.mkdir()
    (data / "units.csv").write_text(
        "store_id,sales_date,units\n" + "".join(f"a,2024-01-{day:02d},1\n" for day in range(1, 11))
    )
    declaration.write_text("name: mine\nhold_back_days: 3\nsales: {file: units.csv}\n")
    answered = CliRunner().invoke(command_line(), ["load", str(declaration), "--data", str(data), "--home", str(home)])
    assert answered.exit_code == 0, answered.exception
    assert "The shop is written up to 2024-01-07" in answered.output
    with connect(address) as shop:
        present = read_playback(shop)
        assert present is not None
        assert (present.history_name, present.settings["data"]) == ("mine", str(data))


def test_the_rows_of_the_shop_are_counted_in_its_own_database(shop: Connection, address: str, home: Path) -> None:
    written = Simulator(SETTINGS).write_history(shop)
    assert rows_in_shop(Stack(home)) == sum(written.rows.values())
