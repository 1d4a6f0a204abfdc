"""What the command line hands on, as far as no server is needed for it."""

import os
import subprocess
import sys
import sysconfig
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shelfcast.errors import DatasetError
from shelfcast_cli.main import PLUGGED_IN, command_line, main

INCLUDE = Path(__file__).resolve().parents[2] / "include"


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
        command_line(), ["dataset", "check", str(declaration), "--data", str(declaration.parent / "data")]
    )
    assert answered.exit_code == 0, answered.exception
    assert answered.output.startswith("mine: history up to 2024-01-07, then 3 days to come; 1 stores")


def test_without_its_folder_the_missing_file_is_named(declaration: Path) -> None:
    answered = CliRunner().invoke(command_line(), ["dataset", "check", str(declaration)])
    assert isinstance(answered.exception, DatasetError)
    assert "units.csv" in str(answered.exception)


def test_an_error_is_told_without_a_stack_trace(
    declaration: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["shelfcast", "dataset", "check", str(declaration)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("DatasetError: ")
    assert "Traceback" not in shown


def run_without_the_laptop(packages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line where the product is installed, entry points and all, but not what stands in."""
    for name in ("shelfcast", "shelfcast_cli"):
        (packages / name).symlink_to(INCLUDE / name)
    path = os.pathsep.join([str(packages), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    command = [sys.executable, "-S", "-c", "from shelfcast_cli.main import main; main()", *arguments]
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False, timeout=120
    )


def test_without_what_stands_in_the_products_commands_work(tmp_path: Path, declaration: Path) -> None:
    data = str(declaration.parent / "data")
    done = run_without_the_laptop(tmp_path, "dataset", "check", str(declaration), "--data", data)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mine: history up to 2024-01-07")


def test_without_what_stands_in_its_commands_are_unknown(tmp_path: Path) -> None:
    done = run_without_the_laptop(tmp_path, "demo", "--help")
    assert done.returncode == 2
    assert "No such command 'demo'" in done.stderr
    assert CliRunner().invoke(command_line(), ["demo", "--help"]).exit_code == 0, "the control: it is one here"


def test_another_package_adds_commands_of_its_own_and_to_a_group() -> None:
    points = [EntryPoint(name, "textwrap:dedent", PLUGGED_IN) for name in ("dedent", "dataset.dedent")]
    for arguments in (["dedent"], ["dataset", "dedent"]):
        answered = CliRunner().invoke(command_line(points), [*arguments, "--help"])
        assert answered.exit_code == 0, answered.output
        assert CliRunner().invoke(command_line([]), [*arguments, "--help"]).exit_code == 2
