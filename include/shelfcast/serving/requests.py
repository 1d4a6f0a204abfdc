"""What the forecaster is asked. Anything else is refused by name."""

from datetime import date
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, model_validator

from shelfcast.model.declaration import LONGEST_HORIZON, ModelDeclaration

LARGEST_NUMBER = 1e12
VERBS = {"forecast": "forecast", "regression": "predict"}


def _iso_date(value: object) -> object:
    """A date as JSON has it; whatever else is left to be refused."""
    try:
        found = date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.isoformat() != value:
        raise ValueError("write a date as YYYY-MM-DD")
    return found


IsoDate = Annotated[date, BeforeValidator(_iso_date)]
Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f{}]+$")]
StoreName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f{}@]+$")]
"""A series is item@store: the last @ ends the item."""
CustomerNumber = Annotated[int, Field(ge=0, lt=2**63)]
Given = Annotated[float, Field(ge=0, le=LARGEST_NUMBER)]
"""A feature as a caller gives it: a total or a count."""
ENTITY_TYPES: dict[str, Any] = {"series_id": Name, "customer_id": CustomerNumber}


class Strict(BaseModel):
    """Refuses unknown fields, and text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class DayOverride(Strict):
    """An assumption about one day ahead, named by its number or its date: what is left out stays as planned.

    The day is forecast as if it had been planned so. A promotion that is switched on without a discount takes that of the
    nearest planned promotion of the series, 0.2 if none is ahead; one that is switched off has none. A discount above 0
    means a promotion. Days of a promotion are counted anew from the first day that changes, and the days around a day
    that is closed or opened know it.
    """

    horizon_day: Annotated[int, Field(ge=1, le=LONGEST_HORIZON)] | None = None
    sales_date: IsoDate | None = None
    on_promotion: bool | None = None
    discount: Annotated[float, Field(ge=0, le=1)] | None = None
    price: Annotated[float, Field(gt=0, le=1e6)] | None = None
    is_open: bool | None = None

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Self:
        if (self.horizon_day is None) == (self.sales_date is None):
            raise ValueError("write horizon_day or sales_date, one of the two")
        if self.on_promotion is False and self.discount:
            raise ValueError("a day without promotion has no discount: leave out one of the two")
        return self

    def day_after(self, business_date: date) -> int:
        """Its day ahead of a business date; below 1 for a date that is not ahead."""
        if self.horizon_day is not None:
            return self.horizon_day
        return ((self.sales_date or business_date) - business_date).days


class ForecastRequest(Strict):
    """Asks for the demand of a series over the next days; of two overrides of one day the later one counts."""

    series_id: Name | None = None
    store_id: StoreName | None = None
    item_id: Name | None = None
    horizon_days: Annotated[int, Field(ge=1, le=LONGEST_HORIZON)] = 28
    overrides: Annotated[list[DayOverride], Field(max_length=LONGEST_HORIZON)] = []

    @model_validator(mode="after")
    def _names_its_series_one_way(self) -> Self:
        by_name, parts = self.series_id is not None, [self.store_id is not None, self.item_id is not None]
        if by_name == any(parts) or any(parts) != all(parts):
            raise ValueError("write series_id, or store_id and item_id: one of the two ways")
        return self

    @property
    def series(self) -> str:
        """The series' name."""
        return self.series_id if self.series_id is not None else f"{self.item_id}@{self.store_id}"


class PredictionRequest(Strict):
    """Asks for one value, of an entity that the hot store knows or for features that the caller gives."""

    @model_validator(mode="after")
    def _asks_one_way(self) -> Self:
        entity, *features = type(self).model_fields
        given = [getattr(self, name) is not None for name in features]
        if (getattr(self, entity) is not None) == any(given) or any(given) != all(given):
            raise ValueError(f"write {entity}, or {' and '.join(features)}: one of the two ways")
        return self


def prediction_request(declaration: ModelDeclaration) -> type[PredictionRequest]:
    """The request of a regression: its entity, or all of its features."""
    fields: dict[str, Any] = {declaration.entity: (ENTITY_TYPES[declaration.entity] | None, None)}
    fields |= dict.fromkeys(declaration.as_of_features, (Given | None, None))
    return create_model(f"{declaration.name}_request", __base__=PredictionRequest, **fields)


def path_of(declaration: ModelDeclaration) -> str:
    """Where a model's forecasts are asked for."""
    return f"/v1/{declaration.name.replace('_', '-')}/{VERBS[declaration.kind]}"
