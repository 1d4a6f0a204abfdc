"""The shop's schema as PostgreSQL statements."""

import pytest

from shelfcast.errors import SourceUnavailable
from shelfcast.sources.shop_schema import TABLES
from shelfcast_local.playback import ddl


@pytest.mark.parametrize("table", TABLES.values(), ids=str)
def test_a_table_has_its_columns_its_key_and_no_other_rule(table: object) -> None:
    declared = TABLES[str(getattr(table, "name", ""))]
    text = ddl.create_table(declared)
    assert [line.split()[0] for line in text.splitlines()[1:-2]] == list(declared.column_names)
    assert f"PRIMARY KEY ({', '.join(declared.key)})" in text
    assert "CHECK" not in text
    assert "REFERENCES" not in text
    assert "NOT NULL" not in text


def test_every_statement_may_run_again() -> None:
    for text in ddl.shop_statements():
        assert "IF NOT EXISTS" in text or text.startswith("ALTER TABLE")


def test_the_publication_lists_every_table_whether_new_or_old() -> None:
    for exists in (False, True):
        text = ddl.publication_statement(exists=exists)
        assert all(f"sales.{name}" in text for name in TABLES)
        assert text.startswith("ALTER" if exists else "CREATE")


def test_an_unreachable_shop_is_named_with_what_to_do() -> None:
    with pytest.raises(SourceUnavailable, match=r"(?s)cannot be reached.*shelfcast up"):
        ddl.connect("host=127.0.0.1 port=9 user=shop dbname=shop")
