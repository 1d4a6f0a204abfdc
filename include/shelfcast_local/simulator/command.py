"""What `shelfcast load` and `shelfcast simulate` do: write a shop's past, then its next business days."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from shelfcast.errors import ConfigurationError, DatasetError
from shelfcast.sources.dataset import SHIPPED, Dataset, find_declaration
from shelfcast.sources.dataset_declaration import nearest, read_declaration
from shelfcast.sources.simulation_settings import Fault, FaultKind, SimulationSettings
from shelfcast_local.playback.dataset_history import DatasetHistory
from shelfcast_local.playback.ddl import Connection, connect
from shelfcast_local.playback.notes import Playback, read_playback, write_settings
from shelfcast_local.playback.shop_history import ShopHistory, Written
from shelfcast_local.simulator.simulator import HISTORY_NAME, Simulator

DEFAULT_AMOUNTS: dict[str, float] = {
    "duplicate_orders": 0.1,
    "bad_rows": 5,
    "schema_change": 1,
    "late_data": 0.3,
    "distribution_shift": 1.6,
    "outage": 1,
}
LASTING_FAULTS = ("distribution_shift", "schema_change")


def open_history(
    dataset: Path | None = None,
    *,
    data: Path | None = None,
    stores: int | None = None,
    hold_back_days: int | None = None,
    seed: int | None = None,
) -> ShopHistory:
    """The history that a dataset describes; the simulated shop if none is named.

    Args:
        dataset: A declaration, the name of a shipped one, or a data folder.
        data: The data folder, if it is not the declaration's own.
        stores: Number of stores, in place of the declaration's.
        hold_back_days: Days to replay later, in place of the declaration's; not for a simulated shop.
        seed: Seed of a simulated shop, in place of the declaration's.

    Raises:
        DatasetError: The declaration or its files cannot be used.
    """
    path, folder = find_declaration(dataset or SHIPPED / "simulated.yaml", data)
    declaration = read_declaration(path)
    if declaration.simulator is None:
        return DatasetHistory(Dataset(path, data=folder, stores=stores, hold_back_days=hold_back_days))
    changes = {"stores": stores, "seed": seed}
    changed = declaration.simulator.model_dump() | {key: value for key, value in changes.items() if value is not None}
    try:
        return Simulator(SimulationSettings.model_validate(changed))
    except ValidationError as error:
        raise DatasetError(
            f"The simulated shop cannot be made: {error.errors()[0]['msg']}, found {changes}."
        ) from error


def load(
    address: str,
    dataset: Path | None = None,
    *,
    data: Path | None = None,
    stores: int | None = None,
    hold_back_days: int | None = None,
    seed: int | None = None,
) -> Written:
    """Writes a shop's whole past into the database; the arguments are those of `open_history`.

    Raises:
        NothingToDo: This history is there already.
        SourceError: The database holds another one, or does not answer.
    """
    history = open_history(dataset, data=data, stores=stores, hold_back_days=hold_back_days, seed=seed)
    with _opened(address) as connection:
        return history.write_history(connection)


def simulate(
    address: str, *, days: int = 1, faults: Sequence[str] = (), report: Callable[[Written], None] = lambda _: None
) -> list[Written]:
    """Writes the next business days of the shop's history; writes the simulated past first if the shop is empty.

    Args:
        address: The shop's database.
        days: Number of days, 1 or more.
        faults: `kind[=amount][:first day[:last day]]`, such as `bad_rows` or `distribution_shift=1.6`, for a simulated
            shop. Without days a fault acts on the days written now; a shift and a changed schema stay. One that the
            shop has already counts once, so a call may be repeated until its days are over.
        report: Called after the history, if it was written, and after each day.
    """
    with _opened(address) as connection:
        present = read_playback(connection)
        if present is None:
            report(open_history().write_history(connection))
            present = read_playback(connection)
        assert present is not None  # noqa: S101 - it was written two lines above
        first = present.last_date + timedelta(days=1)
        history = _history_of(connection, present, _parse_faults(faults, first=first, days=days))
        written = []
        for offset in range(days):
            written.append(history.write_day(connection, first + timedelta(days=offset)))
            report(written[-1])
        return written


def next_day(address: str) -> date | None:
    """The business day that `simulate` would write next; `None` while the shop is empty."""
    with _opened(address) as connection:
        present = read_playback(connection)
        return None if present is None else present.last_date + timedelta(days=1)


def _history_of(connection: Connection, present: Playback, faults: list[Fault]) -> ShopHistory:
    """The history that the database holds, with the faults it already had and the ones asked for now."""
    if present.history_name != HISTORY_NAME:
        if faults:
            raise ConfigurationError(
                f"Faults are simulated, but the shop holds the dataset {present.history_name!r}, whose days are played "
                "as they were. Leave the faults out, or load the simulated shop into another database."
            )
        kept = present.settings
        data, stores, held_back = Path(kept["data"]), kept["stores"], kept["hold_back_days"]
        dataset = Dataset(Path(kept["declaration"]), data=data, stores=stores, hold_back_days=held_back)
        return DatasetHistory(dataset)
    settings = SimulationSettings.model_validate(present.settings)
    faults = [fault for fault in faults if fault not in settings.faults]
    _refuse_past_days(faults, first=present.last_date + timedelta(days=1))
    if faults and present.is_within_a_day:
        raise ConfigurationError(
            f"The day after {present.last_date} is half written; a fault would change what it already wrote. "
            "Play it without new faults first."
        )
    if faults:
        settings = settings.model_copy(update={"faults": (*settings.faults, *faults)})
        write_settings(
            connection,
            history_name=HISTORY_NAME,
            last_history_date=present.last_history_date,
            settings=settings.model_dump(mode="json"),
        )
    return Simulator(settings)


def _parse_faults(texts: Sequence[str], *, first: date, days: int) -> list[Fault]:
    if days < 1:
        raise ConfigurationError(f"{days} days cannot be played; write 1 or more.")
    return [_parse_fault(text, first=first, last=first + timedelta(days=days - 1)) for text in texts]


def _parse_fault(text: str, *, first: date, last: date) -> Fault:
    """A fault from `kind[=amount][:first day[:last day]]`."""
    head, *days = text.split(":")
    kind, _, amount = head.partition("=")
    if kind not in get_args(FaultKind):
        raise ConfigurationError(f"There is no fault {kind!r}; write {nearest(kind, get_args(FaultKind))}.")
    given: dict[str, object] = {
        "kind": kind,
        "amount": amount or DEFAULT_AMOUNTS[kind],
        "first_day": days[0] if days else first,
    }
    given["last_day"] = (days[1] if len(days) > 1 else None) if days or kind in LASTING_FAULTS else last
    try:
        return Fault.model_validate(given)
    except ValidationError as error:
        raise ConfigurationError(
            f"Fault {text!r} cannot be read ({error.errors()[0]['msg']}); write such as "
            f"{kind}={DEFAULT_AMOUNTS[kind]} or {kind}={DEFAULT_AMOUNTS[kind]}:{first}:{last}."
        ) from error


def _refuse_past_days(faults: Sequence[Fault], *, first: date) -> None:
    for fault in faults:
        if fault.first_day < first:
            raise ConfigurationError(
                f"Fault {fault.kind!r} begins on {fault.first_day}, but the shop is written up to the day before "
                f"{first}: what is written stays. Write a first day of {first} or later."
            )


@contextmanager
def _opened(address: str) -> Iterator[Connection]:
    connection = connect(address)
    try:
        yield connection
    finally:
        connection.close()
