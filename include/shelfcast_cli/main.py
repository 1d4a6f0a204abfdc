"""The command line `shelfcast`. Each command imports what it needs when it runs."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from shelfcast.errors import NothingToDo, ShelfcastError

PLUGGED_IN = "shelfcast.commands"
"""Entry points by which another package adds its commands: `name`, or `dataset.name` for one of that group."""


def command_line(plugged_in: Iterable[EntryPoint] | None = None) -> typer.Typer:
    """The product's commands, and those that other packages plug in.

    Args:
        plugged_in: Commands to add; those of the environment if `None`. One whose package is not there is left out: an
            image has the product's entry points, but not what stands in for the platform.
    """
    app = typer.Typer(no_args_is_help=True, add_completion=False, help="Demand forecasts from order changes.")
    dataset = typer.Typer(no_args_is_help=True, help="Declarations that map your own data to the shop's schema.")
    app.add_typer(dataset, name="dataset")
    app.command()(backtest)
    dataset.command()(check)
    groups = {"": app, "dataset": dataset}
    for command in entry_points(group=PLUGGED_IN) if plugged_in is None else plugged_in:
        if find_spec(command.module.partition(".")[0]) is not None:
            group, _, name = command.name.rpartition(".")
            groups[group].command(name)(command.load())
    return app


def check(path: Path, data: Annotated[Path | None, typer.Option(help="Folder of the files it names.")] = None) -> None:
    """Say what is wrong with a dataset declaration and what to write instead."""
    from shelfcast.sources.dataset import check as checked

    Console().print(checked(path, data=data))


def backtest(
    dataset: Annotated[Path, typer.Option(help="A dataset declaration, or a folder with sales.parquet.")],
    cutoffs: Annotated[str, typer.Option(help="Last days to learn from, comma-separated.")],
    out: Annotated[Path, typer.Option(help="Parquet file for the forecasts.")],
    model: Annotated[str, typer.Option(help="A forecast of include/models.")] = "demand",
    horizon_days: Annotated[int, typer.Option(help="Days ahead, 1 to 366, each of them twice in the history.")] = 28,
    baselines: Annotated[bool, typer.Option("--baselines", help="Write the simple methods' forecasts too.")] = False,
    data: Annotated[Path | None, typer.Option(help="Folder of the files that a declaration names.")] = None,
    most_rows: Annotated[
        int | None, typer.Option(min=10_000, help="Rows to train on, roughly; default: the model's most_rows.")
    ] = None,
) -> None:
    """Measure a model on a dataset, without a server."""
    from shelfcast.training.backtest.run import plan
    from shelfcast_cli import backtest_command

    wanted = plan(model, cutoffs, horizon_days, baselines=baselines, most_rows=most_rows)
    backtest_command.run(dataset, out, wanted, data=data)


def main() -> None:
    """Runs a command; an error of Shelfcast's is shown without a stack trace, exit status 2."""
    try:
        command_line()()
    except NothingToDo as reason:
        Console().print(str(reason))
    except ShelfcastError as error:
        Console(stderr=True).print(f"[red]{type(error).__name__}[/red]: {error}", highlight=False)
        raise SystemExit(2) from None
