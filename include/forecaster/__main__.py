"""`python -m forecaster`: serves forecasts until SIGTERM; settings come from the environment."""

import os
from pathlib import Path

import uvicorn

from forecaster.redis_reader import RedisReader
from shelfcast.serving.app import create_app
from shelfcast.serving.releases import Releases

SHORTEST_TOKEN = 16
"""Characters; an empty token would let everybody in."""


def main() -> None:
    """Reads the environment and serves."""
    reader = RedisReader(os.environ["SHELFCAST_HOT_STORE_URL"])
    releases = Releases(Path(os.environ["SHELFCAST_RELEASES"]))
    token = os.environ.get("SHELFCAST_FORECASTER_TOKEN", "")
    if len(token) < SHORTEST_TOKEN:
        raise SystemExit(f"SHELFCAST_FORECASTER_TOKEN has {len(token)} characters; give it {SHORTEST_TOKEN} or more.")
    app = create_app(reader, releases, token=token)
    host, port = os.environ.get("SHELFCAST_FORECASTER_HOST", "127.0.0.1"), os.environ["SHELFCAST_FORECASTER_PORT"]
    uvicorn.run(app, host=host, port=int(port), log_level="warning", server_header=False)


if __name__ == "__main__":
    main()
