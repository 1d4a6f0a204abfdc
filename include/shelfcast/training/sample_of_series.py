"""Which rows a model learns from where there are more than it is to: of each origin, a random part of its series.

The part is chosen in the store, by a hash of series and date that is the same in every run (`sql/training/in_sample.jinja`).
"""

from dataclasses import dataclass

from shelfcast.cold_store.cold_store import ColdStore, Parameters
from shelfcast.model.declaration import ModelDeclaration

SHARES = 1000
"""A sample is so many thousandths of the series, as the statement counts them."""


@dataclass(frozen=True, kw_only=True)
class SampleOfSeries:
    """How much of a training frame is kept.

    Attributes:
        rows: That the frame would have, roughly: active series of all its origins × days ahead.
        thousandths: Of the series of each origin, the part that is kept, 1 to 1000.
    """

    rows: int
    thousandths: int

    @property
    def is_part(self) -> bool:
        """Whether anything is left out."""
        return self.thousandths < SHARES

    @property
    def share(self) -> float:
        """The part that is kept, 1 for all."""
        return self.thousandths / SHARES


def sample_of(
    store: ColdStore, declaration: ModelDeclaration, origins: Parameters, *, horizon_days: int, most_rows: int
) -> SampleOfSeries:
    """The sample that keeps to a ceiling of rows, roughly; all series if they keep to it anyway.

    Args:
        store: Holds the features of the frame's origins.
        declaration: A forecast.
        origins: `cutoff`, `first_origin` and `origin_step_days`, as the frame's statement binds them.
        horizon_days: Days ahead, 1 or more.
        most_rows: The ceiling, 1 or more.
    """
    found = store.fetch("training/count_frame_series", origins, table=declaration.features_table)
    rows = int(found["series"].iloc[0]) * horizon_days
    thousandths = SHARES if rows <= most_rows else max(1, SHARES * most_rows // rows)
    return SampleOfSeries(rows=rows, thousandths=thousandths)
