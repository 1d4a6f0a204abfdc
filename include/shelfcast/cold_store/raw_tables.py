"""What the cold store calls the tables of a shop table, and the columns that they have."""

from shelfcast.cold_store.statements import Names
from shelfcast.sources.shop_schema import Table

_TYPES = {"DOUBLE PRECISION": "DOUBLE", "NUMERIC(14,2)": "NUMBER(14,2)"}


def landed_of(table: Table) -> str:
    """Where rows wait on their way into the history."""
    return f"RAW.{table.name.upper()}_LANDED"


def changes_of(table: Table) -> str:
    """The history: every version of every row."""
    return f"RAW.{table.name.upper()}_CHANGES"


def current_of(table: Table) -> str:
    """The rows as they are now."""
    return f"RAW.{table.name.upper()}"


def definitions_of(table: Table) -> list[str]:
    """Each column with its type."""
    return [f"{column.name} {_TYPES.get(column.type, column.type)}" for column in table.columns]


def known_of(table: Table) -> dict[str, Names]:
    """The statements' `known_column`, left out where rows of the first snapshot were always known."""
    return {"known_column": table.known_column} if table.known_column else {}
