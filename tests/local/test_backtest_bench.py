"""What is measured a backtest with: sales that are the same for a seed, and costs that add up; what a log shows."""

import re
from datetime import date
from io import StringIO

import pandas as pd
import pytest
from rich.console import Console
from rich.progress import Progress
from typer.testing import CliRunner

from shelfcast.training.backtest import run as backtest
from shelfcast.training.backtest.run import STEPS
from shelfcast_local import backtest_command, bench_backtest
from shelfcast_local.backtest_command import StepsShown
from shelfcast_local.bench_backtest import Cost, Meter
from shelfcast_local.cli import app
from shelfcast_local.synthetic_sales import DISPERSION, write_sales

FIRST = date(2023, 1, 1)


def written(folder, **changed):
    about = {"series": 120, "days": 200, "first_date": FIRST} | changed
    return pd.read_parquet(write_sales(folder, **about))


@pytest.fixture(scope="module")
def sales(tmp_path_factory):
    return written(tmp_path_factory.mktemp("sales"))


def test_synthetic_sales_are_the_same_for_a_seed(sales, tmp_path):
    pd.testing.assert_frame_equal(written(tmp_path / "again"), sales)
    assert not written(tmp_path / "other", seed=8)["units_sold"].equals(sales["units_sold"])


def test_each_series_has_a_row_a_day(sales):
    assert len(sales) == 120 * 200
    assert not sales.duplicated(["store_id", "item_id", "sales_date"]).any()
    assert sales.groupby(["store_id", "item_id"]).size().eq(200).all()
    assert sales["store_id"].nunique() == 2


def test_units_are_overdispersed_counts_with_a_week_and_promotions(sales):
    days = sales.assign(weekday=pd.to_datetime(sales["sales_date"]).dt.weekday)
    regular = days[days["on_promotion"] == 0]
    assert regular.groupby("weekday")["units_sold"].mean().idxmax() == 5
    assert days.groupby("on_promotion")["units_sold"].mean().pipe(lambda mean: mean[1] / mean[0]) > 1.5
    one_weekday = regular[regular["weekday"] == 2].groupby(["store_id", "item_id"])["units_sold"]
    mean, variance = one_weekday.mean(), one_weekday.var()
    assert (variance / (mean + mean**2 / DISPERSION)).median() == pytest.approx(1, abs=0.3)
    zeros = (sales["units_sold"] == 0).groupby([sales["store_id"], sales["item_id"]]).mean()
    assert 0.15 < (zeros > 0.6).mean() < 0.45


def test_costs_of_the_parts_of_a_step_are_added_up():
    with Meter() as meter:
        for step in ("read", "fit", "fit"):
            meter.begin(step)
            sum(range(200_000))
    assert list(meter.costs) == ["read", "fit"]
    assert meter.costs["fit"].wall_seconds > 0


def test_a_bench_measures_each_step_in_a_process_of_its_own(tmp_path):
    costs = bench_backtest.in_own_process(12, 150, tmp_path)
    assert list(costs) == ["history", "features", "frame", "folds", "model", "forecast", "scores", "all"]
    assert all(isinstance(cost, Cost) for cost in costs.values())
    assert costs["all"].peak_bytes == max(cost.peak_bytes for cost in costs.values()) > 2**26
    assert list(tmp_path.iterdir()) == []


def shown(*, is_terminal):
    text = StringIO()
    with Progress(console=Console(file=text, force_terminal=is_terminal, width=100)) as progress:
        say = StepsShown(progress, 3)
        say("history")
        for part in range(1, 41):
            say("features", part=part, parts=40)
        say("scores")
        done = progress.tasks[0].completed
        say.end()
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
    answered = CliRunner().invoke(app, ["backtest", "--dataset", str(tmp_path), *asked])
    assert answered.exit_code == 0, answered.exception
    steps = [line.split("%")[1].split()[0] for line in answered.output.splitlines() if line.startswith("0:")]
    assert list(dict.fromkeys(steps)) == ["history", *STEPS]
    assert re.search(r"168 forecasts in .*\. \d+ s wall, \d+ s CPU, \d+\.\d GiB at most\.", answered.output)
