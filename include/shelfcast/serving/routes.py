"""What the forecaster is for: one route a declared model, built by the declaration's kind."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from fastapi import FastAPI

from shelfcast.hot_store.vector import Vector
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.model.features import Floats
from shelfcast.serving.answers import ForecastAnswer, PredictionAnswer, days_of, named
from shelfcast.serving.freshness import Freshness
from shelfcast.serving.overrides import Override
from shelfcast.serving.predictor import Predictor, Reason
from shelfcast.serving.refusals import Refused
from shelfcast.serving.releases import Releases
from shelfcast.serving.requests import DayOverride, ForecastRequest, path_of, prediction_request


class VectorReader(Protocol):
    """Reads the hot store."""

    async def read(self, declaration: ModelDeclaration, entity: str) -> tuple[str, Vector | None]:
        """Generation that is read, and the entity's vector in it.

        Args:
            declaration: The model as its release declares it: name, entity and fields of the vector.
            entity: Name of the series or number of the customer.

        Raises:
            HotStoreError: There is no generation, the store does not answer, or the vector is damaged.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where routes get what they answer with.

    Attributes:
        reader: The hot store.
        releases: The releases that serve.
        freshness: How old a vector may be; `None` for any age.
    """

    reader: VectorReader
    releases: Releases
    freshness: Freshness | None

    def predictor(self, model: ModelDeclaration) -> Predictor:
        """The release that serves."""
        found = self.releases.current(model.name)
        if found is None:
            raise Refused(
                503,
                "no_release",
                f"No release of {model.name} serves yet; model_deployment_{model.name} makes the first one.",
            )
        return found

    async def vector(self, declaration: ModelDeclaration, entity: str, *, unknown: str) -> tuple[str, Vector]:
        """Generation and vector; refuses an entity that has none with `unknown`, and one that is too old."""
        generation, vector = await self.reader.read(declaration, entity)
        if vector is None:
            raise Refused(404, Reason.UNKNOWN_SERIES, unknown)
        if self.freshness and not self.freshness.allows(declaration.name, vector.business_date):
            raise Refused(
                503,
                Reason.STALE_FEATURES,
                f"What is known of {entity} is of {vector.business_date}, {self.freshness.age_days(vector.business_date)} "
                f"days ago; {self.freshness.limit_days[declaration.name]} are allowed. See why feature_cache_refresh has "
                "not run.",
            )
        return generation, vector


def add_forecasts(app: FastAPI, source: Source, models: list[ModelDeclaration]) -> None:
    """Adds each model's route."""
    for model in models:
        if model.kind == "forecast":
            _add_forecast(app, source, model)
        else:
            _add_prediction(app, source, model)


def _add_forecast(app: FastAPI, source: Source, model: ModelDeclaration) -> None:
    @app.post(path_of(model))
    async def forecast(asked: ForecastRequest) -> ForecastAnswer:
        predictor, name = source.predictor(model), asked.series
        generation, vector = await source.vector(
            predictor.declaration, name, unknown=f"There is no active series {name}: write item@store."
        )
        return _forecast(predictor, vector, generation, asked)


def _add_prediction(app: FastAPI, source: Source, model: ModelDeclaration) -> None:
    request_type = prediction_request(model)

    @app.post(path_of(model))
    async def predict(asked: request_type) -> dict[str, Any]:  # type: ignore[valid-type]
        predictor = source.predictor(model)
        entity, given = getattr(asked, model.entity), [getattr(asked, name) for name in model.as_of_features]
        if entity is None:
            return {model.entity: None, **_prediction(predictor, _row(predictor, model, given))}
        generation, vector = await source.vector(
            predictor.declaration, str(entity), unknown=f"There is no {model.entity} {entity} with an order yet."
        )
        _refuse(predictor.reason_of(vector), str(entity))
        return {model.entity: entity, **_prediction(predictor, vector.numbers.astype(float), generation, vector)}


def _forecast(predictor: Predictor, vector: Vector, generation: str, asked: ForecastRequest) -> ForecastAnswer:
    horizon = predictor.declaration.horizon
    if asked.horizon_days > horizon:
        raise Refused(
            422,
            "horizon_too_long",
            f"This release forecasts {horizon} days ahead, asked for were {asked.horizon_days}.",
        )
    overrides = [_override(each, vector, asked.horizon_days) for each in asked.overrides]
    _refuse(predictor.reason_of(vector), asked.series)
    made = predictor.forecast([vector], horizon_days=asked.horizon_days, overrides=overrides)
    _refuse(None if made.is_finite.all() else Reason.NOT_FINITE, asked.series)
    return ForecastAnswer(
        series_id=asked.series,
        release_id=predictor.bundle.release_id,
        generation=generation,
        business_date=vector.business_date,
        level=predictor.declaration.level,
        forecasts=days_of(made),
    )


def _refuse(reason: Reason | None, name: str) -> None:
    """Refuses an entity that nothing can be forecast of."""
    if reason is Reason.NO_HISTORY:
        raise Refused(404, reason, f"{name} has not been observed on a single day yet.")
    if reason is Reason.NOT_FINITE:
        raise Refused(
            503,
            reason,
            f"A number that is known of {name}, or a forecast from it, is endless. Look at its features in the cold store, "
            "mend what they come from, and clear feature_views of that date.",
        )


def _override(asked: DayOverride, vector: Vector, horizon_days: int) -> Override:
    day = asked.day_after(vector.business_date)
    if not 1 <= day <= horizon_days:
        raise Refused(
            422,
            "override_beyond_horizon",
            f"An override names the day {asked.sales_date or asked.horizon_day}, which was not asked for: days 1 to "
            f"{horizon_days} after {vector.business_date} were.",
        )
    return Override(horizon_day=day, **asked.model_dump(exclude={"horizon_day", "sales_date"}))


def _row(predictor: Predictor, model: ModelDeclaration, given: list[float]) -> Floats:
    """The caller's features in the release's order."""
    if predictor.declaration.as_of_features != model.as_of_features:
        raise Refused(
            503,
            "no_release",
            f"The release of {model.name} that serves has the features "
            f"{', '.join(predictor.declaration.as_of_features)}, not those declared by now. Release it anew.",
        )
    return np.array(given, dtype=float)


def _prediction(
    predictor: Predictor,
    numbers: Floats,
    generation: str | None = None,
    vector: Vector | None = None,
) -> dict[str, Any]:
    mean, quantiles = predictor.predict(numbers[None, :])
    _refuse(None if np.isfinite([*mean, *quantiles[0]]).all() else Reason.NOT_FINITE, "the customer")
    answer = PredictionAnswer(
        release_id=predictor.bundle.release_id,
        generation=generation,
        business_date=vector.business_date if vector else None,
        mean=float(mean[0]),
        **named(quantiles[0]),
    )
    return answer.model_dump()
