"""What the command line hands on, as far as no server is needed for it."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from shelfcast.errors import DatasetError
from shelfcast_local import cli
from shelfcast_local.cli import app


@pytest.fixture
def declaration(tmp_path: Path) -> Path:
    """A declaration whose files lie elsewhere, in `data`."""
    (tmp_path / "data").mkdir()
    sales = [f"a,2024-01-{day:02d},{day}" for day in range(1, 11)]
    (tmp_path / "data" / "units.csv").write_text("store_id,sales_date,units\n" + "\n".join(sales) + "\n")
    (tmp_path / "mine.yaml").write_text("name: mine\nhold_back_days: 3\nsales: {file: units.csv}\n")
    return tmp_path / "mine.yaml"


def test_a_declaration_is_checked_with_the_folder_of_its_files(declaration: Path) -> None:
    answered = CliRunner().invoke(
        app, ["dataset", "check", str(declaration), "--data", str(declaration.parent / "data")]
    )
    assert answered.exit_code == 0, answered.exception
    assert answered.output.startswith("mine: history up to 2024-01-07, then 3 days to come; 1 stores")


def test_without_its_folder_the_missing_file_is_named(declaration: Path) -> None:
    answered = CliRunner().invoke(app, ["dataset", "check", str(declaration)])
    assert isinstance(answered.exception, DatasetError)
    assert "units.csv" in str(answered.exception)


def test_an_error_is_told_without_a_stack_trace(
    declaration: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["shelfcast", "dataset", "check", str(declaration)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("DatasetError: ")
    assert "Traceback" not in shown


def test_no_days_are_refused_before_any_work(tmp_path: Path) -> None:
    answered = CliRunner().invoke(app, ["simulate", "--days", "0", "--home", str(tmp_path / "absent")])
    assert answered.exit_code == 2
    assert "Invalid value for '--days'" in answered.output
    assert not (tmp_path / "absent").exists()
