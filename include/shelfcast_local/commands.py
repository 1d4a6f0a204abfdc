"""The laptop's commands, plugged into `shelfcast`. Each imports what it needs when it runs."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

FAULT_HELP = (
    "kind[=amount][:first day[:last day]], any number of times: duplicate_orders, bad_rows, schema_change, late_data, "
    "distribution_shift or outage."
)
Home = Annotated[Path | None, typer.Option(help="State folder; default: $SHELFCAST_HOME or .shelfcast.")]


def up(home: Home = None) -> None:
    """Start the stand-ins and Airflow."""
    from shelfcast_local.stack import Stack

    console, stack = Console(), Stack(home)
    stack.up(report=console.print)
    table = Table("what", "address", "user")
    for name, (address, user) in stack.addresses().items():
        table.add_row(name, address, user)
    console.print(table)
    console.print(f"Passwords: {stack.home / 'config.json'}", soft_wrap=True, highlight=False)


def down(home: Home = None) -> None:
    """End everything that `up` or `demo` started."""
    from shelfcast_local.stack import Stack

    Stack(home).down(report=Console().print)


def status(home: Home = None) -> None:
    """Show what runs; exit status 1 if something that was started has ended or does not serve."""
    from shelfcast_local.stack import Stack

    stack = Stack(home)
    found, health = stack.status(), stack.health()
    table = Table("service", "process", "health")
    for name, pid in found.items():
        health_shown = "healthy" if health[name] else "[red]does not serve[/red]"
        table.add_row(name, str(pid) if pid else "[red]ended[/red]", health_shown if pid else "")
    Console().print(table if found else "Nothing was started.")
    if not all(health.values()):
        raise typer.Exit(1)


def demo(
    dataset: Annotated[
        Path | None, typer.Option(help="Your data: a declaration or a folder that one ships for.")
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="Business days to write after the history.")] = 2,
    home: Home = None,
) -> None:
    """Run the whole loop and leave it running."""
    from shelfcast_local.demo.loop import run

    run(dataset, days=days, home=home)


def write(
    folder: Annotated[Path, typer.Argument(help="To write to: empty, or not there yet.")],
    seed: Annotated[int, typer.Option(min=0, help="The same seed and size write the same files.")] = 7,
    stores: Annotated[int, typer.Option(min=1, max=900)] = 4,
    items: Annotated[int, typer.Option(min=1, max=10_000)] = 24,
    days: Annotated[int, typer.Option(min=28, help="Days of history.")] = 560,
    short_deliveries: Annotated[float, typer.Option(min=0, max=1, help="Share that makes the stock-outs.")] = 0.06,
) -> None:
    """Write a simulated shop as files for a backtest, with the true demand beside them."""
    from shelfcast.sources.simulation_settings import SimulationSettings
    from shelfcast_local.simulator.shop_files import write_shop_files
    from shelfcast_local.simulator.simulator import Simulator

    settings = SimulationSettings(
        seed=seed, stores=stores, items=items, history_days=days, short_deliveries=short_deliveries
    )
    Console().print(str(write_shop_files(Simulator(settings), folder)), soft_wrap=True, highlight=False)


def load(
    dataset: Path,
    data: Annotated[Path | None, typer.Option(help="Folder of the files it names.")] = None,
    home: Home = None,
) -> None:
    """Load a dataset's history into the shop's database."""
    from shelfcast_local.shop import open_shop
    from shelfcast_local.stack import Stack

    Console().print(open_shop(Stack(home), dataset, data=data).write_history())


def simulate(
    days: Annotated[int, typer.Option(min=1, help="Business days to write.")] = 1,
    faults: Annotated[list[str] | None, typer.Option("--fault", help=FAULT_HELP)] = None,
    home: Home = None,
) -> None:
    """Write business days in the shop; the history first if there is none."""
    from shelfcast_local.shop import open_shop
    from shelfcast_local.simulator.command import simulate as write_days
    from shelfcast_local.stack import Stack

    console = Console()
    write_days(
        open_shop(Stack(home)).address,
        days=days,
        faults=faults or [],
        report=lambda written: console.print(f"{datetime.now():%H:%M:%S} {written}", soft_wrap=True),
    )
