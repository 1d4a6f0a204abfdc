"""The demo's way through a business day, with a release and without one."""

from rich.console import Console

from shelfcast_local.demo.loop import Loop, last_of_a_day
from shelfcast_local.services.airflow_client import AirflowClient


def loop_of(console):
    return Loop(airflow=AirflowClient(url="http://127.0.0.1:1", user="", password=""), console=console, started=0.0)


def test_a_day_ends_with_the_watch_over_what_serves(tmp_path):
    console = Console(record=True)
    (tmp_path / "releases" / "demand").mkdir(parents=True)
    (tmp_path / "releases" / "demand" / "current.json").write_text("{}")
    assert last_of_a_day(loop_of(console), tmp_path) == "drift_monitoring"
    assert console.export_text() == ""


def test_while_the_gate_holds_a_day_ends_where_forecasts_would_begin_and_the_demo_says_so(tmp_path):
    console = Console(record=True)
    assert last_of_a_day(loop_of(console), tmp_path) == "demand_forecast"
    said = " ".join(console.export_text().split())
    assert "holds every candidate of demand" in said
    assert "weekly_retraining_demand with force" in said
