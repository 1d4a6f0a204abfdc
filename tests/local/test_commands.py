"""The laptop's commands, as far as no server is needed for them."""

from pathlib import Path

from typer.testing import CliRunner

from shelfcast_cli.main import command_line


def test_no_days_are_refused_before_any_work(tmp_path: Path) -> None:
    answered = CliRunner().invoke(command_line(), ["simulate", "--days", "0", "--home", str(tmp_path / "absent")])
    assert answered.exit_code == 2
    assert "Invalid value for '--days'" in answered.output
    assert not (tmp_path / "absent").exists()
