"""`python -m forecaster`: serves forecasts until SIGTERM; settings come from the environment."""

import os
from pathlib import Path

import uvicorn

from forecaster.redis_reader import RedisReader
from shelfcast.serving.app import create_app
from shelfcast.serving.releases import Releases


def main() -> None:
    """Reads the environment and serves."""
    reader = RedisReader(os.environ["SHELFCAST_HOT_STORE_URL"])
    releases = Releases(Path(os.environ["SHELFCAST_RELEASES"]))
    app = create_app(reader, releases, token=os.environ["SHELFCAST_FORECASTER_TOKEN"])
    host, port = os.environ.get("SHELFCAST_FORECASTER_HOST", "127.0.0.1"), os.environ["SHELFCAST_FORECASTER_PORT"]
    uvicorn.run(app, host=host, port=int(port), log_level="warning", server_header=False)


if __name__ == "__main__":
    main()
