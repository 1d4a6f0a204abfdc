"""What a model card says in words and in the cells of its tables."""

import math
from collections.abc import Callable, Sequence
from itertools import takewhile

import pandas as pd

from shelfcast.model.candidate import Question, TrainingRecord
from shelfcast.model.declaration import QUANTILE_NAMES, ModelDeclaration
from shelfcast.model.features import BASELINE
from shelfcast.model.metrics import coverage, shares_below
from shelfcast.training.evaluation import column
from shelfcast.training.report.card_scores import Interval, Score, cluster_name
from shelfcast.training.report.lineage import Lineage, lineage, raw_tables, statement_of

FEW_CLUSTERS = 20
"""With fewer stores a bootstrap over stores promises more than it can keep."""

PURPOSES = {
    "forecast": (
        "Orders of goods and staff are planned from it, by people and by programs that ask the forecaster. It is not made for "
        "single customers, for prices of its own making, or for items without a past."
    ),
    "regression": (
        "It ranks and sums orders to come, for planning. It is not made to decide about single customers: it knows nothing "
        "about them but what they spent."
    ),
}
ALWAYS = {
    "forecast": (
        "It forecasts demand on days with stock: days that ended with an empty shelf, and closed days, taught it nothing.",
        "Promotions, prices, closures and weather count as they were planned or forecast at the cutoff. What is announced "
        "later, or turns out otherwise, it cannot know.",
        "A series without a past is forecast from its store's and its item's means alone.",
    ),
    "regression": (
        "It knows a customer by past completed orders only; for a first order it says what everybody spends.",
    ),
}


def purpose(declared: str) -> str:
    """The comment at the top of a model's declaration."""
    comment = takewhile(lambda line: line.startswith("#"), declared.splitlines())
    return " ".join(line.removeprefix("#").strip() for line in comment) or "The declaration does not say."


def use(declaration: ModelDeclaration) -> str:
    """What it is made for and what not."""
    ahead = f" It looks {declaration.horizon} days ahead." if declaration.horizon else ""
    return f"Predicts `{declaration.target}` with quantiles.{ahead} {PURPOSES[declaration.kind]}"


def limits(declaration: ModelDeclaration, rows: pd.DataFrame, segments: Sequence[Score], whole: Score) -> list[str]:
    """What the model cannot do, and where the measured rows show it."""
    return [*ALWAYS[declaration.kind], *_found(segments, whole), *_doubts(rows)]


def percent(value: float) -> str:
    """Such as 8.1 %."""
    return "–" if math.isnan(value) else f"{value:.1%}"


def signed_percent(value: float) -> str:
    """Such as +0.4 %."""
    return "–" if math.isnan(value) else f"{value:+.1%}"


def interval(found: Interval, shown: Callable[[float], str]) -> str:
    """A figure with its bounds in brackets, if it has any."""
    bounds = "" if math.isnan(found.low) else f" [{shown(found.low)}, {shown(found.high)}]"
    return f"{shown(found.value)}{bounds}"


def drawn(rows: pd.DataFrame) -> str:
    """What the intervals are drawn over, such as 8 stores."""
    name = cluster_name(rows)
    return (
        f"{rows[name].nunique():,} {'stores' if name == 'store_id' else 'customers'}" if name else f"{len(rows):,} rows"
    )


def score_rows(found: Sequence[Score]) -> list[tuple[str, ...]]:
    """Cells of a table of scores."""
    return [
        (
            score.segment,
            f"{score.rows:,}",
            interval(score.wape, percent),
            interval(score.bias, signed_percent),
            interval(score.rmse, lambda value: f"{value:.3g}"),
            percent(score.coverage_90),
            percent(score.simple_wape),
            f"{score.simple_rmse:.3g}",
        )
        for score in found
    ]


def calibration_rows(rows: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Cells of nominal and found coverage, of each quantile and of the intervals between them."""
    actual = column(rows, "actual")
    between = [("q25", "q75", 0.5), ("q05", "q95", 0.9)]
    return [
        (
            f"share below the {level:.0%} quantile, and at or below it",
            f"{level:.0%}",
            " to ".join(percent(share) for share in shares_below(actual, column(rows, name))),
        )
        for level, name in QUANTILE_NAMES.items()
        if name in rows
    ] + [
        (
            f"share within the {nominal:.0%} interval",
            f"{nominal:.0%}",
            percent(coverage(actual, column(rows, low), column(rows, high))),
        )
        for low, high, nominal in between
    ]


def features_rows(declaration: ModelDeclaration) -> list[tuple[str, ...]]:
    """Cells of the lineage of each feature."""
    return [
        (one.feature, _made_of(one), ", ".join(one.tables), ", ".join(one.statements)) for one in lineage(declaration)
    ]


def table_sentences(declaration: ModelDeclaration) -> list[str]:
    """Where each feature table comes from in the end, and what a baseline is."""
    tables = sorted({table for one in lineage(declaration) for table in one.tables})
    said = [f"{table} is filled by {statement_of(table)}, from {', '.join(raw_tables(table))}." for table in tables]
    if declaration.kind == "forecast":
        columns = ", ".join(dict.fromkeys(_shortened(name) for name in BASELINE))
        said.append(f"The baseline is what a series is expected to sell on such a day, told from {columns}.")
    return said


def _made_of(one: Lineage) -> str:
    if one.columns == BASELINE:
        return "baseline"
    shown = dict.fromkeys(_shortened(name) for name in one.columns)
    return ", ".join([*shown, *(["baseline"] if one.is_against_baseline else [])])


def _shortened(column: str) -> str:
    """Seven columns, one a weekday, are told as one."""
    return f"{column[:-2]}_1…7" if column.startswith("weekday_") else column


def _found(segments: Sequence[Score], whole: Score) -> list[str]:
    """Where the measured rows show limits."""
    worst = max(segments, key=lambda score: score.wape.value, default=whole)
    said = [
        f"Its largest error is that of {worst.segment}: {percent(worst.wape.value)}, {percent(whole.wape.value)} overall."
    ]
    beaten = [score.segment for score in segments if score.wape.value > score.simple_wape]
    if beaten:
        said.append(f"The strongest simple method has a smaller WAPE in: {', '.join(beaten)}.")
    biased = [score for score in [whole, *segments] if score.bias.low > 0 or score.bias.high < 0]
    if biased:
        named = ", ".join(f"{score.segment} ({signed_percent(score.bias.value)})" for score in biased)
        said.append(f"The interval of its bias leaves out zero in: {named}.")
    return said


def _doubts(rows: pd.DataFrame) -> list[str]:
    """How far the measured rows reach."""
    name = cluster_name(rows)
    is_small = name is not None and rows[name].nunique() < FEW_CLUSTERS
    few = [f"{drawn(rows)} are few: the intervals are narrower than they should be."] if is_small else []
    return [
        *few,
        f"Measured on {rows['fold'].nunique()} origins: seasons that none of them meets are not in the figures.",
    ]


def asked_of_the_gate(record: TrainingRecord) -> str:
    """What the gate has to decide about a candidate, and beside whom."""
    if record.champion is None:
        return "is the first model better than the strongest simple method?"
    what = {
        Question.RECIPE: "is the recipe better than the champion's",
        Question.REFRESH: "is the refresh of the champion's recipe sound",
    }[record.question]
    changed = f" ({'; '.join(record.changes)})" if record.changes else ""
    return f"{what}{changed}? The champion is {record.champion}, which has learned until {record.champion_cutoff}"
