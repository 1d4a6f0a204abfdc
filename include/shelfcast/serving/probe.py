"""Whether a forecaster answers what its release says, for one series or customer."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from shelfcast.errors import ReleaseError
from shelfcast.hot_store.vector import Vector, unpack
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.serving.answers import days_of, named
from shelfcast.serving.predictor import Predictor

TOLERANCE = 1e-9
"""Relative; one release, one vector and one code give the same number but for the order of sums."""


def question(declaration: ModelDeclaration, entity: str) -> dict[str, object]:
    """The body of the request for a series or customer."""
    asked: dict[str, object] = {declaration.entity: int(entity) if declaration.entity == "customer_id" else entity}
    if declaration.kind == "forecast":
        asked["horizon_days"] = declaration.horizon
    return asked


def chosen(predictor: Predictor, values: Mapping[str, bytes], *, count: int) -> list[tuple[str, Vector]]:
    """Entities with history to ask for, spread over all names, and their vectors.

    Args:
        predictor: The release.
        values: Packed vectors by entity.
        count: How many, 1 or more.

    Raises:
        ReleaseError: There is none.
    """
    fields = predictor.declaration.vector_fields
    vectors = ((name, unpack(values[name], fields=fields)) for name in _spread(sorted(values), count))
    found = list(islice((each for each in vectors if predictor.reason_of(each[1]) is None), count))
    if not found:
        raise ReleaseError(
            f"None of {len(values)} vectors of {predictor.declaration.name} has history, so there is nothing to probe "
            "with. See that feature_cache_refresh filled the hot store."
        )
    return found


def check_answer(answer: Mapping[str, Any], predictor: Predictor, vector: Vector, *, entity: str) -> None:
    """Compares every date, mean and quantile; raises `ReleaseError` that names the first difference."""
    expected = _expected(predictor, vector)
    given: Sequence[Mapping[str, Any]] = answer.get("forecasts", [answer])
    if len(given) != len(expected):
        raise ReleaseError(f"The forecaster answers {len(given)} days for {entity}, the release {len(expected)}.")
    for found, own in zip(given, expected, strict=True):
        for name, value in own.items():
            if not _is_same(found.get(name), value):
                raise ReleaseError(
                    f"The forecaster answers {name} {found.get(name)} for {entity} on {found.get('sales_date', 'request')}, "
                    f"the release itself {value}."
                )


def _expected(predictor: Predictor, vector: Vector) -> list[dict[str, Any]]:
    if predictor.declaration.kind == "forecast":
        made = predictor.forecast([vector], horizon_days=predictor.declaration.horizon)
        return [day.model_dump(mode="json") for day in days_of(made)]
    mean, quantiles = predictor.predict(vector.numbers[None, :].astype(float))
    return [{"business_date": vector.business_date.isoformat(), "mean": float(mean[0]), **named(quantiles[0])}]


def _is_same(found: object, own: object) -> bool:
    if isinstance(own, float) and isinstance(found, int | float):
        return abs(found - own) <= TOLERANCE * max(1.0, abs(own))
    return found == own


def _spread(names: Sequence[str], count: int) -> Iterator[str]:
    """All names, the first `count` of them far apart."""
    step = max(1, len(names) // count)
    starts: Iterable[int] = range(step)
    return (name for start in starts for name in names[start::step])
