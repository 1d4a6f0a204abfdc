"""What a simulated shop is made from. The simulator itself is a stand-in; its settings are a dataset like any other."""

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shelfcast.sources.closing_times import BEFORE_MIDNIGHT, ClosingTimes

FaultKind = Literal["duplicate_orders", "bad_rows", "schema_change", "late_data", "distribution_shift", "outage"]


class Fault(BaseModel):
    """Something that goes wrong on request, from one business day on.

    Attributes:
        kind: What goes wrong.
            duplicate_orders: A share `amount` of the orders arrives a second time under another order id; the shop
            finds the copies and deletes them two days later.
            bad_rows: `amount` broken orders a store and day: negative quantity, unknown item, no status, no time.
            schema_change: The shop adds the column `channel` to `orders`.
            late_data: A share `amount` of the orders is written three days after it was sold.
            distribution_shift: Demand is `amount` times what it would be; no end unless `last_day` is given.
            outage: The day is written but not closed; the next day's writer closes it first.
        first_day: First business day with the fault.
        last_day: Last one; `None` for no end.
        amount: A share, count or factor, as above.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind
    first_day: date
    last_day: date | None = None
    amount: Annotated[float, Field(ge=0)]

    def is_on(self, day: date) -> bool:
        """Whether the fault acts on that day."""
        return self.first_day <= day and (self.last_day is None or day <= self.last_day)


class SimulationSettings(BaseModel):
    """A simulated shop. The same settings give the same rows, to the byte.

    Attributes:
        seed: Any whole number of 0 or more.
        stores: Number of stores, 1 to 900.
        items: Number of items, 1 to 10,000.
        first_day: First day with sales.
        history_days: Days that are written at once, 28 or more.
        units_per_day: Mean units a day of an item at a store, intermittent items left out, above 0.
        short_deliveries: Share of the weekly deliveries of an item that come short, 0 to 1; they make the stock-outs.
        closes_at: When the shop closes its days; whoever comes, comes before.
        faults: What goes wrong, and when.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: Annotated[int, Field(ge=0)] = 7
    stores: Annotated[int, Field(ge=1, le=900)] = 8
    items: Annotated[int, Field(ge=1, le=10_000)] = 25
    first_day: date = date(2023, 12, 18)
    history_days: Annotated[int, Field(ge=28)] = 560
    units_per_day: Annotated[float, Field(gt=0)] = 12.0
    short_deliveries: Annotated[float, Field(ge=0, le=1)] = 0.06
    closes_at: ClosingTimes = BEFORE_MIDNIGHT
    faults: tuple[Fault, ...] = ()

    @property
    def last_history_date(self) -> date:
        """The last of the days that are written at once."""
        return self.first_day + timedelta(days=self.history_days - 1)
