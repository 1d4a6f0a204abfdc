"""What a wrong declaration is told."""

from pathlib import Path

import pytest

from shelfcast.errors import ConfigurationError, DatasetError
from shelfcast.sources.dataset_declaration import Problem, dataset_error, nearest, read_declaration

GOOD = "name: mine\nsales:\n  file: sales.csv\n"


def declared(folder: Path, text: str) -> Path:
    path = folder / "dataset.yaml"
    path.write_text(text)
    return path


def test_a_short_declaration_is_enough(tmp_path: Path) -> None:
    declaration = read_declaration(declared(tmp_path, GOOD))
    assert declaration.name == "mine"
    assert declaration.hold_back_days == 28


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: mine\nsale:\n  file: a.csv\n", r"dataset.yaml, sale: found the unknown key 'sale'; write 'sales'"),
        (GOOD + "  colums: {}\n", r"sales.colums: found the unknown key 'colums'; write 'columns'"),
        (GOOD + "  columns:\n    units: {sqll: a}\n", r"'sqll'; write 'sql'"),
        (GOOD + "  columns:\n    unit: a\n", r"sales.columns.unit: found 'unit', .* write 'units'"),
        (GOOD + "tables:\n  store:\n    file: a.csv\n", r"tables.store: found 'store', .*; write 'stores'"),
        (GOOD + "tables:\n  stores:\n    file: a\n    columns: {regoin: b}\n", r"found 'regoin', .*; write 'region'"),
        (GOOD + "tables:\n  stores: {}\n", r"tables.stores: found neither `file` nor `sql`; write one of the two"),
        (GOOD + "  sql: SELECT 1\n", r"sales: found both `file` and `sql`; write one of the two"),
        (GOOD + "tables:\n  orders:\n    file: a\n", r"found `sales` and also tables.orders"),
        (GOOD + "tables:\n  business_days:\n    file: a\n", r"no table that a dataset fills"),
        (GOOD + "  columns:\n    units: {}\n", r"an expression with nothing in it; write `\{sql: …\}`"),
        (GOOD + "  columns:\n    units: {sql: a, value: 1}\n", r"an expression with sql and value"),
        (GOOD + "hold_back_days: -1\n", r"hold_back_days: found -1; write a value that fits"),
        (GOOD + "stores: many\n", r"stores: found 'many'"),
        ("sales:\n  file: a.csv\n", r"name: found nothing; write `name: …`"),
        ("name: Not Lower\nsales: {file: a}\n", r"name: found 'Not Lower'"),
        ("name: mine\n", r"sales: found no source of sales"),
        ("name: mine\nsimulator:\n  sead: 3\n", r"simulator.sead: found the unknown key 'sead'; write 'seed'"),
        ("just text", r"the file: found a str"),
        ("name: [", r"found text that is no YAML"),
    ],
)
def test_the_error_names_the_place_and_what_to_write(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(DatasetError, match=expected):
        read_declaration(declared(tmp_path, text))


def test_a_missing_declaration_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nothing readable; write the path of a declaration"):
        read_declaration(tmp_path / "no.yaml")


def test_all_problems_are_listed_at_once(tmp_path: Path) -> None:
    text = GOOD + "tables:\n  store: {file: a}\n  item: {file: a}\n  stock_levels: {}\n"
    with pytest.raises(DatasetError, match=r"3 things are wrong:\n  1\..*\n  2\..*\n  3\."):
        read_declaration(declared(tmp_path, text))


def test_more_than_ten_problems_are_counted() -> None:
    problems = [Problem(file="a", field=f"f{number}", found="x", write="y") for number in range(13)]
    text = str(dataset_error("mine", problems))
    assert "13 things are wrong" in text
    assert "f9" in text
    assert "f10" not in text
    assert text.endswith("and 3 more")


def test_a_dataset_error_is_a_configuration_error() -> None:
    assert isinstance(dataset_error("mine", []), ConfigurationError)


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("Sale", ["sales", "stores"], "'sales'"),
        ("DATE", ["Date"], "'Date'"),
        ("xyz", ["b", "a"], "one of: a, b"),
        ("xyz", [], "another name"),
    ],
)
def test_advice_names_the_nearest_word(word: str, known: list[str], expected: str) -> None:
    assert nearest(word, known) == expected
