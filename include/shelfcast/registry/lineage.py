"""Where each of a model's features comes from: columns of the frame, their table, the statement that makes it, raw tables."""

import re
from dataclasses import dataclass
from functools import cache

from shelfcast.cold_store.statements import SQL_FOLDER
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.features import CALENDAR, RECENT, SELECTED, model_features

ORIGIN = ("horizon_days", "sales_date")
"""Columns that say which day a row is about."""

_READ = re.compile(r"\b(?:FROM|JOIN)\s+((?:RAW|FEATURES)\.[A-Z_]+)")
_INCLUDED = re.compile(r'{%-? include "([\w/]+)\.sql" -?%}')


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


def _seven(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}_{day}" for name in names for day in range(1, 8))


BASELINE = (*_seven(*SELECTED), *RECENT, "promotion_uplift_364", "on_promotion", "sales_date")
"""Columns behind what a series is expected to sell on such a day (`shelfcast.model.features.baseline`)."""

_MADE_OF = {
    "log_baseline": BASELINE,
    "price_ratio": ("price", "price_mean_56"),
    "mean_spent": ("total_spent", "purchase_count"),
    **dict.fromkeys(CALENDAR, ("sales_date",)),
    **{f"{name}_ratio": (*_seven(name), "sales_date") for name in SELECTED},
}


def lineage(declaration: ModelDeclaration) -> list[Lineage]:
    """Of each feature, in the model's order."""
    return [_of_feature(feature, declaration) for feature in model_features(declaration)]


def raw_tables(table: str) -> tuple[str, ...]:
    """The `RAW` tables that a feature table is made of in the end, by the statements that fill it."""
    return tuple(sorted(name for name in _upstream(table) if name.startswith("RAW.")))


def statement_of(table: str) -> str:
    """The file that fills a feature table."""
    return f"sql/cold_store/insert_{table.split('.')[1].lower()}.sql"


def _of_feature(feature: str, declaration: ModelDeclaration) -> Lineage:
    plain = feature.removesuffix("_ratio")
    columns = _MADE_OF.get(feature, (plain,))
    tables = tuple(sorted({_table_of(column, declaration) for column in columns}))
    return Lineage(
        feature=feature,
        columns=columns,
        is_against_baseline=feature.endswith("_ratio") and feature != "price_ratio",
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
    text = (SQL_FOLDER / f"{name}.sql").read_text()
    included = [_tables_read(other) for other in _INCLUDED.findall(text)]
    return set(_READ.findall(text)).union(*included)
