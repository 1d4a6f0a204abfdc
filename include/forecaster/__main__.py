"""`python -m forecaster`: serves forecasts until SIGTERM; `ForecasterSettings` says what it is told."""

from collections.abc import Sequence
from datetime import UTC, date, datetime

import uvicorn
from fastapi import FastAPI

from forecaster.redis_reader import RedisReader
from forecaster.settings import ForecasterSettings
from shelfcast.errors import ConfigurationError
from shelfcast.model import declaration
from shelfcast.model.declaration import ModelDeclaration
from shelfcast.serving.app import create_app
from shelfcast.serving.freshness import Freshness
from shelfcast.serving.releases import Releases


def main() -> None:
    """Serves what the environment asks for; ends the process with a sentence if it asks for nothing that can be."""
    try:
        settings = ForecasterSettings.from_environment()
    except ConfigurationError as error:
        raise SystemExit(str(error)) from None
    host, port = settings.forecaster_host, settings.forecaster_port
    uvicorn.run(app_of(settings), host=host, port=port, log_level="warning", server_header=False)


def app_of(settings: ForecasterSettings) -> FastAPI:
    """The application that the settings ask for."""
    models = [declaration.load(model) for model in declaration.names()]
    return create_app(
        RedisReader(settings.hot_store_url),
        Releases(settings.releases, [model.name for model in models]),
        models=models,
        token=settings.forecaster_token.get_secret_value(),
        freshness=_freshness(settings, models),
    )


def _freshness(settings: ForecasterSettings, models: Sequence[ModelDeclaration]) -> Freshness | None:
    match settings.stale_after_days:
        case "any":
            return None
        case None:
            return Freshness.declared(models, today=_today)
        case int(days):
            return Freshness(limit_days={model.name: days for model in models}, today=_today)


def _today() -> date:
    return datetime.now(UTC).date()


if __name__ == "__main__":
    main()
