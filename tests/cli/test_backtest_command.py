"""What a backtest shows: its steps while they go on, then tables of errors and what it cost."""

import re
from datetime import date
from io import StringIO

import numpy as np
import pandas as pd
from bench.synthetic_sales import write_sales
from rich.console import Console
from rich.progress import Progress
from typer.testing import CliRunner

from shelfcast.training.backtest import run as backtest
from shelfcast.training.backtest.run import STEPS
from shelfcast.training.backtest.scores import scores
from shelfcast_cli import backtest_command
from shelfcast_cli.backtest_command import NOTHING_SOLD, StepsShown, _table
from shelfcast_cli.main import command_line

ROWS = 28
FIRST = date(2023, 1, 1)


def test_a_segment_without_sales_says_so_in_words(demand):
    promoted = np.arange(ROWS) < 7
    mean = np.full(ROWS, 2.0)
    rows = pd.DataFrame({"series_id": "a@b", "horizon_days": np.arange(ROWS) + 1, "on_promotion": promoted * 1.0})
    rows = rows.assign(store_id="b", zero_share_28=0.0, units_mean_28=2.0, units_std_28=0.1)
    rows = rows.assign(store_group="a", actual=np.where(promoted, 0.0, 3.0), mean=mean, simple_naive=mean)
    rows = rows.assign(**dict.fromkeys(("q05", "q25", "q50", "q75", "q95"), mean))
    scale = pd.DataFrame({"series_id": ["a@b"], "squared_step": [1.0]})
    printed = Console(file=StringIO(), width=200)
    printed.print(_table(scores(rows, scale, demand), "segment", "a title"))
    lines = {line.split("  ")[0].strip(): line for line in printed.file.getvalue().splitlines()}
    assert NOTHING_SOLD in lines["on promotion"]
    assert NOTHING_SOLD not in lines["without promotion"]
    assert "nan" not in printed.file.getvalue()


def shown(*, is_terminal):
    text = StringIO()
    with Progress(console=Console(file=text, force_terminal=is_terminal, width=100)) as progress:
        report = StepsShown(progress, 3)
        report("history")
        for part in range(1, 41):
            report("features", part=part, parts=40)
        report("scores")
        done = progress.tasks[0].completed
        report.end()
    return text.getvalue(), done


def test_a_log_has_a_line_for_each_step_and_each_tenth_of_a_long_one():
    text, done = shown(is_terminal=False)
    lines = [line for line in text.splitlines() if "%" in line]
    assert "0:00:00   0% history" in lines[0]
    assert sum("features" in line for line in lines) == 11
    assert "33% features 1/40" in text
    assert " 67% scores" in text
    assert done == 2


def test_a_terminal_has_a_bar_and_no_such_lines():
    text, _ = shown(is_terminal=True)
    assert "features 1/40\n" not in text
    assert "━" in text


def test_segments_are_summed_up_over_the_cutoffs(tmp_path):
    write_sales(tmp_path, series=12, days=150, first_date=FIRST)
    console = Console(record=True, width=200, file=StringIO())
    plan = backtest.plan("demand", "2023-05-02,2023-05-09", 14, baselines=False)
    found = backtest_command.run(tmp_path, tmp_path / "out.parquet", plan, console=console).scores
    shown = console.export_text().partition("Mean over the cutoffs")[2]
    for segment in ("all", "week 2 ahead", "without promotion"):
        (line,) = [line for line in shown.splitlines() if line.strip().startswith(f"{segment} ")]
        assert f"{found.loc[found['segment'] == segment, 'wape'].mean():.2%}" in line
        assert line.strip().endswith(f"{found.loc[found['segment'] == segment, 'ratio'].mean():.3f}")


def test_the_command_says_its_steps_and_what_they_cost_in_a_log(tmp_path):
    write_sales(tmp_path, series=12, days=150, first_date=FIRST)
    out = tmp_path / "out.parquet"
    asked = ["--cutoffs", "2023-05-02", "--horizon-days", "14", "--out", str(out)]
    answered = CliRunner().invoke(command_line(), ["backtest", "--dataset", str(tmp_path), *asked])
    assert answered.exit_code == 0, answered.exception
    steps = [line.split("%")[1].split()[0] for line in answered.output.splitlines() if line.startswith("0:")]
    assert list(dict.fromkeys(steps)) == ["history", *STEPS]
    assert re.search(r"168 forecasts in .*\. \d+ s wall, \d+ s CPU, \d+\.\d GiB at most\.", answered.output)
