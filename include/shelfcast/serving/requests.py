"""What the forecaster is asked and what it answers. Anything else is refused by name."""

from datetime import date
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f{}]+$")]
MOST_DAYS = 56


class Strict(BaseModel):
    """Refuses unknown fields, and text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class DayOverride(Strict):
    """An assumption about one day ahead: what is left out stays as planned."""

    horizon_day: Annotated[int, Field(ge=1, le=MOST_DAYS)]
    on_promotion: bool | None = None
    discount: Annotated[float, Field(ge=0, le=1)] | None = None
    price: Annotated[float, Field(gt=0, le=1e6)] | None = None
    is_open: bool | None = None


class DemandRequest(Strict):
    """Asks for the demand of a series over the next days."""

    series_id: Name
    horizon_days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = 28
    overrides: Annotated[list[DayOverride], Field(max_length=MOST_DAYS)] = []


class OrderValueRequest(Strict):
    """Asks for the value of a customer's next order."""

    customer_id: Annotated[int, Field(ge=0, lt=2**63)]


class DayForecast(BaseModel):
    """One day ahead: mean and quantiles in units."""

    sales_date: date
    horizon_day: int
    mean: float
    q05: float
    q25: float
    q50: float
    q75: float
    q95: float


class DemandAnswer(BaseModel):
    """Forecasts, and what they were made with."""

    series_id: str
    release_id: str
    generation: str
    business_date: date
    level: str
    forecasts: list[DayForecast]


class OrderValueAnswer(BaseModel):
    """The value of the next order, and what it was predicted with."""

    customer_id: int
    release_id: str
    generation: str
    business_date: date
    mean: float
    q05: float
    q25: float
    q50: float
    q75: float
    q95: float


class Refusal(BaseModel):
    """Why there is no forecast: a code for programs, a sentence for people."""

    reason_code: str
    message: str
