"""The laptop's shop: the database of the running stand-ins, with a simulated past or a user's own."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from shelfcast.errors import SourceError
from shelfcast.sources.dataset import find_declaration
from shelfcast.sources.dataset_declaration import read_declaration
from shelfcast_local.configuration import HOST
from shelfcast_local.playback.ddl import connect
from shelfcast_local.playback.notes import read_playback
from shelfcast_local.playback.shop_history import Written
from shelfcast_local.simulator.command import load, next_day, simulate
from shelfcast_local.stack import Stack


class Shop:
    """A shop that is filled and then lives on, one business day after another.

    Args:
        address: libpq address of the database.
        dataset: A declaration, the name of a shipped one, or a data folder; the simulated shop if `None`.
        data: The data folder, if it is not the declaration's own.
        faults: What goes wrong on the days to be written: `kind[=amount][:first day[:last day]]`.
    """

    def __init__(
        self, address: str, dataset: Path | None = None, *, data: Path | None = None, faults: Sequence[str] = ()
    ) -> None:
        self.address = address
        self.dataset = dataset
        self.data = data
        self.faults = tuple(faults)

    def is_empty(self) -> bool:
        """Whether nothing was written yet.

        Raises:
            SourceError: The database holds another history than the one asked for.
        """
        connection = connect(self.address)
        try:
            present = read_playback(connection)
        finally:
            connection.close()
        if present is None or self.dataset is None:
            return present is None
        asked = read_declaration(find_declaration(self.dataset, self.data)[0]).name
        if asked != present.history_name:
            raise SourceError(
                f"The shop holds the history {present.history_name!r}, asked for is {asked!r}. Two shops in one "
                "database would mix their orders: end it with `make stop`, remove the state folder, and start again."
            )
        return False

    def write_history(self) -> str:
        """Writes the past at once; returns a line that says what was written."""
        return str(load(self.address, self.dataset, data=self.data))

    def next_day(self) -> date:
        """The business day that comes next."""
        found = next_day(self.address)
        if found is None:
            raise SourceError("The shop is empty: write its history first (`shelfcast load` or `shelfcast simulate`).")
        return found

    def write_day(self, business_date: date) -> Written:
        """Writes the next business day and closes it."""
        expected = self.next_day()
        if business_date != expected:
            raise SourceError(f"Day {business_date} cannot be written; the next day of this shop is {expected}.")
        return simulate(self.address, faults=self.faults)[0]


def open_shop(
    stack: Stack, dataset: Path | None = None, *, data: Path | None = None, faults: Sequence[str] = ()
) -> Shop:
    """The shop of the running stand-ins; the other arguments are those of `Shop`."""
    port, password = stack.configuration.ports["postgres"], stack.configuration.passwords["postgres"]
    address = f"host={HOST} port={port} user=shop password={password} dbname=shop"
    return Shop(address, dataset, data=data, faults=faults)
