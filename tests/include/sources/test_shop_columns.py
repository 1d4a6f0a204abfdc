"""A shop that lacks a column is not read."""

import pytest

from shelfcast.errors import ConfigurationError
from shelfcast.sources.shop_columns import missing_columns, refuse_missing_columns
from shelfcast.sources.shop_schema import TABLES

WHOLE = {name: list(table.column_names) for name, table in TABLES.items()}


def without(table, *columns, more=()):
    return WHOLE | {table: [*(name for name in WHOLE[table] if name not in columns), *more]}


def test_more_columns_and_tables_than_declared_are_borne_and_a_table_that_is_not_there_is_no_matter_of_columns():
    refuse_missing_columns(without("orders", more=["channel"]) | {"elsewhere": ["x"]}, "p", {})
    assert missing_columns({"items": WHOLE["items"]}) == []


@pytest.mark.parametrize("table", TABLES)
def test_every_declared_column_is_asked_for_by_name(table):
    for column in TABLES[table].column_names:
        with pytest.raises(ConfigurationError, match=rf"lacks {table}\.{column}\. Each would be read as empty"):
            refuse_missing_columns(without(table, column), "p", {})


def test_what_may_have_taken_its_place_is_named():
    renamed = without("items", "discontinued_on", more=["ended_on"])
    with pytest.raises(
        ConfigurationError, match=r"lacks items\.discontinued_on \(there and not expected: items\.ended_on\)"
    ):
        refuse_missing_columns(renamed | {"orders": [*WHOLE["orders"], "channel"]}, "p", {})


def test_a_column_that_is_not_published_is_asked_for_too():
    with pytest.raises(ConfigurationError, match=r"Publication p carries no changes of items\.category"):
        refuse_missing_columns(WHOLE, "p", {"items": ["item_id", "introduced_on", "discontinued_on"]})
