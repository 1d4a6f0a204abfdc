"""The rules of the layout: what may import what, and what may be named how."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
BANNED_WORDS = {"utils", "helpers", "common", "misc", "manager", "v2", "new"}
HEAVY = {
    "pandas",
    "numpy",
    "mlflow",
    "lightgbm",
    "pyspark",
    "evidently",
    "great_expectations",
    "redis",
    "duckdb",
    "scipy",
    "sqlglot",
    "wandb",
}
SERVERS = {"airflow", "snowflake", "psycopg", "redis", "kubernetes"}
STAGES = {
    "sources",
    "ingestion",
    "cold_store",
    "hot_store",
    "training",
    "registry",
    "deployment",
    "serving",
    "monitoring",
    "retraining",
    "governance",
}


def modules(folder: str) -> list[Path]:
    return sorted(path for path in (REPOSITORY / folder).rglob("*.py") if "__pycache__" not in path.parts)


def imported(path: Path, *, top_only: bool) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    for node in tree.body if top_only else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("include/shelfcast", {*SERVERS, "shelfcast_cli", "shelfcast_provider", "shelfcast_local"}),
        ("include/shelfcast_cli", {*SERVERS, "shelfcast_provider", "shelfcast_local"}),
        ("plugins", {"dags", "shelfcast_cli", "shelfcast_local"}),
        ("dags", {"shelfcast_local"}),
        ("include/forecaster", {"airflow", "shelfcast_provider", "shelfcast_local"}),
    ],
)
def test_imports_go_one_way(folder, forbidden):
    broken = [
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in modules(folder)
        for name in imported(path, top_only=False)
        if name in forbidden
    ]
    assert not broken


def test_an_import_against_the_flow_is_found(tmp_path):
    wrong = tmp_path / "wrong.py"
    wrong.write_text("def f():\n    from airflow.sdk import DAG\n")
    assert list(imported(wrong, top_only=False)) == ["airflow"]


def test_only_cluster_entry_points_and_what_runs_on_the_cluster_import_pyspark():
    broken = [
        str(path.relative_to(REPOSITORY))
        for path in modules("include/shelfcast")
        if {"pyspark", "delta"} & set(imported(path, top_only=False))
        and not path.stem.endswith("_job")
        and not path.stem.startswith("cluster_")
    ]
    assert not broken


@pytest.mark.parametrize("folder", ["dags", "plugins"])
def test_parsing_a_dag_file_loads_no_heavy_library(folder):
    broken = [
        f"{path.relative_to(REPOSITORY)} imports {name}"
        for path in modules(folder)
        for name in imported(path, top_only=True)
        if name in HEAVY
    ]
    assert not broken


def test_a_dag_is_one_screen():
    long = [path.name for path in modules("dags") if len(path.read_text().splitlines()) > 100]
    assert not long


@pytest.mark.parametrize("folder", ["include", "plugins", "dags"])
def test_names_say_something(folder):
    broken = [
        str(path.relative_to(REPOSITORY))
        for path in modules(folder)
        if BANNED_WORDS & set(path.stem.lower().split("_"))
    ]
    assert not broken


def silent_operators(source: str) -> Iterator[str]:
    """Operators that do their work without a line in the task's log."""
    for found in ast.walk(ast.parse(source)):
        if isinstance(found, ast.ClassDef) and "def execute(" in ast.unparse(found):
            logged = (node for node in ast.walk(found) if isinstance(node, ast.Call) and node.args)
            if "self.log.info" not in {ast.unparse(call.func) for call in logged}:
                yield found.name


def test_every_operator_says_in_the_log_what_it_did():
    operators = [
        path for path in modules("plugins") if path.stem.endswith("_operator") and path.stem != "nested_operator"
    ]
    assert [name for path in operators for name in silent_operators(path.read_text())] == []


def test_an_operator_that_says_nothing_is_found():
    quiet = "class Quiet(BaseOperator):\n    def execute(self, context):\n        self.log.warning('no')"
    assert list(silent_operators(quiet)) == ["Quiet"]


@pytest.mark.parametrize("package", ["include/shelfcast", "plugins/shelfcast_provider"])
def test_folders_are_named_by_the_stages(package):
    folders = {path.name for path in (REPOSITORY / package).iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders - {"model", "spark"} <= STAGES, "and what all of them stand on"


def test_no_module_of_the_plugins_folder_shadows_an_installed_library():
    installed = {name.lower() for name in packages_distributions()} - {"shelfcast_provider"}
    shadowing = [
        str(path.relative_to(REPOSITORY))
        for path in modules("plugins")
        if path.stem != "__init__" and path.stem.lower() in installed
    ]
    assert not shadowing


IMPORT_ALL = """
import importlib, socket, sys
def refuse(*_args, **_kwargs):
    raise OSError("a module opened a socket while it was imported")
socket.socket.connect = refuse
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_every_module_imports_without_network():
    names = [
        ".".join(path.relative_to(REPOSITORY / room).with_suffix("").parts).removesuffix(".__init__")
        for room in ("include", "plugins")
        for path in modules(room)
        if path.name != "__main__.py"
    ]
    result = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, *sorted(set(names) - {"shelfcast_plugin"})],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
