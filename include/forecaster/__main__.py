"""`python -m forecaster`: serves forecasts until SIGTERM; settings come from the environment.

SHELFCAST_HOT_STORE_URL          address of Redis, with password
SHELFCAST_RELEASES               folder of the releases, or `s3://bucket/prefix`
SHELFCAST_FORECASTER_TOKEN       bearer token, 16 characters or more
SHELFCAST_FORECASTER_HOST, _PORT where to listen
SHELFCAST_STALE_AFTER_DAYS       oldest age, in days, of what is known of a series or customer that is still served, or
                                 `any`; each model's declaration says it if this is not set
"""

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime

import uvicorn
from fastapi import FastAPI

from forecaster.redis_reader import RedisReader
from shelfcast import storage
from shelfcast.errors import ConfigurationError
from shelfcast.model import declaration
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.serving.app import create_app
from shelfcast.serving.freshness import Freshness
from shelfcast.serving.releases import Releases

ANY_AGE = "any"
SHORTEST_TOKEN = 16
"""Characters; an empty token would let everybody in."""


def main() -> None:
    """Reads the environment and serves."""
    host, port = os.environ.get("SHELFCAST_FORECASTER_HOST", "127.0.0.1"), os.environ["SHELFCAST_FORECASTER_PORT"]
    uvicorn.run(app_of(os.environ), host=host, port=int(port), log_level="warning", server_header=False)


def app_of(environment: Mapping[str, str]) -> FastAPI:
    """The application that the environment asks for; ends the process with a sentence if it asks for none."""
    token = environment.get("SHELFCAST_FORECASTER_TOKEN", "")
    if len(token) < SHORTEST_TOKEN:
        raise SystemExit(f"SHELFCAST_FORECASTER_TOKEN has {len(token)} characters; give it {SHORTEST_TOKEN} or more.")
    models = [declaration.load(model) for model in declaration.names()]
    return create_app(
        RedisReader(environment["SHELFCAST_HOT_STORE_URL"]),
        Releases(_releases(environment), [model.name for model in models]),
        models=models,
        token=token,
        freshness=_freshness(environment.get("SHELFCAST_STALE_AFTER_DAYS", ""), models),
    )


def _releases(environment: Mapping[str, str]) -> storage.Location:
    try:
        return storage.location(storage.checked(environment["SHELFCAST_RELEASES"], "SHELFCAST_RELEASES"))
    except ConfigurationError as error:
        raise SystemExit(str(error)) from error


def _freshness(limit: str, models: Sequence[ModelDeclaration]) -> Freshness | None:
    if limit == ANY_AGE:
        return None
    if not limit:
        return Freshness.declared(models, today=_today)
    if not limit.isdecimal() or int(limit) < 1:
        raise SystemExit(
            f"SHELFCAST_STALE_AFTER_DAYS is {limit!r}; write a whole number of days, 1 or more, {ANY_AGE}, or nothing for "
            "what the models declare."
        )
    return Freshness(limit_days={model.name: int(limit) for model in models}, today=_today)


def _today() -> date:
    return datetime.now(UTC).date()


if __name__ == "__main__":
    main()
