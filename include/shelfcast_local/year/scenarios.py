"""What may happen to a shop in a year."""

from dataclasses import dataclass

HISTORY_WEEKS = 106
"""Weeks before the first Monday: two years, so that a first training has seen each season."""

YEAR = 52


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A year of a shop; weeks are counted from 0, the one after the first training. `None` is never.

    Attributes:
        name: What it is called.
        weeks: How many are lived through.
        units_a_day: Mean of a series.
        shift_week: From it on the shop fights for its customers: twice as many promotions, at half the price. It had none such.
        habits_week: From it on people shop at the weekend: weekdays sell less, Sundays far more, in all stores.
        reform_week: In it every price changes, some by a third, and stays.
        broken_week: In it a third of one store's rows are missing, and another store's are ten times too large.
        recipe_week: From it on another recipe is declared, for `RECIPE_WEEKS`.
        recipe: Parameters of LightGBM's that it declares.
    """

    name: str
    weeks: int = YEAR
    units_a_day: float = 9.0
    shift_week: int | None = None
    habits_week: int | None = None
    reform_week: int | None = None
    broken_week: int | None = None
    recipe_week: int | None = None
    recipe: tuple[tuple[str, float], ...] = ()

    @property
    def first_week(self) -> int | None:
        """The week in which it begins to differ from a stationary year; `None` if it never does."""
        told = (self.shift_week, self.habits_week, self.reform_week, self.broken_week, self.recipe_week)
        return min((week for week in told if week is not None), default=None)


RECIPE_WEEKS = 3
COARSE = (("min_data_in_leaf", 20_000.0),)
"""Leaves too large to tell promotions apart: nearly as good on ordinary days, a tenth worse on promoted ones."""

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(name="stationary"),
        Scenario(name="shift", weeks=20 + 12, shift_week=20),
        Scenario(name="other habits", weeks=20 + 12, habits_week=20),
        Scenario(name="price reform", weeks=20 + 10, reform_week=20),
        Scenario(name="broken week", weeks=20 + 6, broken_week=20),
        Scenario(name="rare items", weeks=16, units_a_day=0.6),
        Scenario(name="worse recipe", weeks=20 + 5, recipe_week=20, recipe=COARSE),
    )
}
