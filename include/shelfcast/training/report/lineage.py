"""Where each of a model's features comes from: columns of the frame, their table, the statement that makes it, raw tables."""

from dataclasses import dataclass
from functools import cache

from shelfcast.cold_store.statements import statement
from shelfcast.model.declaration import LOG_BASELINE, Feature, ModelDeclaration
from shelfcast.model.features import BASELINE

ORIGIN = ("horizon_days", "sales_date")
"""Columns that say which day a row is about."""

SCHEMAS = ("RAW", "FEATURES")
"""Of the tables that features come from."""


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Of one feature.

    Attributes:
        feature: As the model names it.
        columns: Columns of the frame that it is made of, besides the baseline's.
        is_against_baseline: Whether it is a ratio to the baseline, which is made of the columns of `BASELINE`.
        tables: Tables of the columns.
        statements: Files below `sql/` that make the tables.
    """

    feature: str
    columns: tuple[str, ...]
    is_against_baseline: bool
    tables: tuple[str, ...]
    statements: tuple[str, ...]


def lineage(declaration: ModelDeclaration) -> list[Lineage]:
    """Of each feature, in the model's order."""
    return [_of_feature(feature, declaration) for feature in declaration.features]


def raw_tables(table: str) -> tuple[str, ...]:
    """The `RAW` tables that a feature table is made of in the end, by the statements that fill it."""
    return tuple(sorted(name for name in _upstream(table) if name.startswith("RAW.")))


def statement_of(table: str) -> str:
    """The file that fills a feature table."""
    return f"sql/cold_store/insert_{table.split('.')[1].lower()}.sql"


def _of_feature(feature: Feature, declaration: ModelDeclaration) -> Lineage:
    columns = BASELINE if feature.name == LOG_BASELINE else feature.columns
    tables = tuple(sorted({_table_of(column, declaration) for column in columns}))
    return Lineage(
        feature=feature.name,
        columns=columns,
        is_against_baseline=feature.is_against_baseline and feature.name != LOG_BASELINE,
        tables=tables,
        statements=tuple(statement_of(table) for table in tables),
    )


def _table_of(column: str, declaration: ModelDeclaration) -> str:
    if declaration.ahead_table and column in (*declaration.ahead_covariates, *ORIGIN):
        return declaration.ahead_table
    return declaration.features_table


@cache
def _upstream(table: str) -> frozenset[str]:
    """Every table behind one, over the feature tables between; a table that reads itself is read once."""
    found: set[str] = set()
    waiting = [table]
    while waiting:
        for name in _tables_read(statement_of(waiting.pop()).removeprefix("sql/").removesuffix(".sql")):
            if name not in found and name.startswith("FEATURES.") and name != table:
                waiting.append(name)
            found.add(name)
    return frozenset(found)


def _tables_read(name: str) -> set[str]:
    from sqlglot import exp, parse_one

    insert = parse_one(statement(name), dialect="snowflake")
    read = insert.expression.find_all(exp.Table)
    return {f"{table.db}.{table.name}" for table in read if table.db in SCHEMAS}
