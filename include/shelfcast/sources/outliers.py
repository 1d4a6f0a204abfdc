"""Units beyond belief: so many times what is usual for their series that one such day would bend every forecast."""

from collections.abc import Sequence

OUTLIER_FACTOR = 10_000
FEWEST_SALES = 3
"""A series with fewer rows above 0 is judged by those of all."""

IS_OUTLIER = f"units_sold > {OUTLIER_FACTOR} * greatest(usual, 1)"
WHAT = f"more than {OUTLIER_FACTOR:,} times the usual of their series"


def judged(table: str, series: Sequence[str], *, units: str = "units_sold", known: str = "TRUE") -> str:
    """A query in brackets: rows above 0 with their `units_sold` and the `usual` ones of the series, the lower median.

    Args:
        table: Holds the rows; of the user's own files, so not in `sql/`.
        series: Columns that tell the series of a row.
        units: Column, of any type, that holds the units.
        known: Condition on the rows that say what is usual; it judges all of them.
    """
    key = ", ".join(series)
    return f"""(
    WITH typed AS (SELECT * REPLACE (TRY_CAST({units} AS DOUBLE) AS {units}) FROM {table}),
    sold AS (SELECT *, {units} AS units_sold FROM typed WHERE {units} > 0 AND isfinite({units})),
    known AS (SELECT * FROM sold WHERE {known}),
    own AS (SELECT {key}, count(*) AS sales, quantile_disc(units_sold, 0.5) AS usual FROM known GROUP BY ALL)
    SELECT
        sold.*,
        CASE WHEN own.sales >= {FEWEST_SALES} THEN own.usual ELSE (SELECT quantile_disc(units_sold, 0.5) FROM known) END
            AS usual
    FROM sold LEFT JOIN own USING ({key})
)"""  # noqa: S608
