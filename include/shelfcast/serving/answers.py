"""What the forecaster answers."""

from collections.abc import Iterable
from datetime import date

from pydantic import BaseModel

from shelfcast.serving.predictor import Forecast

QUANTILES = ("q05", "q25", "q50", "q75", "q95")


class DayForecast(BaseModel):
    """One day ahead: mean and quantiles in units; all of them 0 on a day that the store is closed."""

    sales_date: date
    horizon_day: int
    is_open: bool
    mean: float
    q05: float
    q25: float
    q50: float
    q75: float
    q95: float


class ForecastAnswer(BaseModel):
    """Forecasts, and what they were made with."""

    series_id: str
    release_id: str
    generation: str
    business_date: date
    level: str
    forecasts: list[DayForecast]


class PredictionAnswer(BaseModel):
    """One value, and what it was predicted with; generation and date are `None` if the caller gave the features."""

    release_id: str
    generation: str | None
    business_date: date | None
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


def days_of(made: Forecast, series: int = 0) -> list[DayForecast]:
    """The days of one of the series that were forecast."""
    return [
        DayForecast(
            sales_date=day,
            horizon_day=number + 1,
            is_open=bool(made.is_open[series, number]),
            mean=float(made.mean[series, number]),
            **named(made.quantiles[series, number]),
        )
        for number, day in enumerate(made.sales_dates)
    ]


def named(quantiles: Iterable[float]) -> dict[str, float]:
    """Quantiles by name."""
    return {name: float(value) for name, value in zip(QUANTILES, quantiles, strict=True)}
