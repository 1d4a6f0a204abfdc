"""What a deployment sets by environment variables; everything else is a connection or a declaration."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shelfcast import storage
from shelfcast.errors import ConfigurationError

PROFILES = ("laptop", "platform")
LEAST_QUERY_GIB = 0.5


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The deployment's settings.

    Attributes:
        profile: `laptop` or `platform` (`SHELFCAST_PROFILE`).
        landing: For change files and the Delta change log, a folder or `s3://` (`SHELFCAST_LANDING`).
        artifacts: For frozen frames, release bundles, exports and reports, likewise (`SHELFCAST_ARTIFACTS`).
        alert_address: Where alert mails go (`SHELFCAST_ALERT_ADDRESS`).
        num_threads: Threads that one fit or query may use (`SHELFCAST_NUM_THREADS`), at least 1.
        query_memory_gib: GiB that one query of a backtest may hold before it spills to disk (`SHELFCAST_QUERY_MEMORY_GIB`),
            at least 0.5.
        training_connection: Id of the connection that says where models are fitted (`SHELFCAST_TRAINING_CONNECTION`).
    """

    profile: str
    landing: storage.Location
    artifacts: storage.Location
    alert_address: str
    num_threads: int
    query_memory_gib: float
    training_connection: str = "spark_default"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Reads the settings; raises `ConfigurationError` that names the variable at fault."""
        env = os.environ if environment is None else environment
        profile = env.get("SHELFCAST_PROFILE", "laptop")
        if profile not in PROFILES:
            raise ConfigurationError(f"SHELFCAST_PROFILE is {profile!r}; write one of: {', '.join(PROFILES)}.")
        threads = env.get("SHELFCAST_NUM_THREADS", "2")
        if not threads.isdigit() or int(threads) < 1:
            raise ConfigurationError(f"SHELFCAST_NUM_THREADS is {threads!r}; write a whole number of 1 or more.")
        memory = env.get("SHELFCAST_QUERY_MEMORY_GIB", "4")
        if not memory.replace(".", "", 1).isdigit() or float(memory) < LEAST_QUERY_GIB:
            raise ConfigurationError(
                f"SHELFCAST_QUERY_MEMORY_GIB is {memory!r}; write a number of {LEAST_QUERY_GIB} or more."
            )
        home = Path(env.get("SHELFCAST_HOME", ".shelfcast")).absolute()
        return cls(
            profile=profile,
            landing=_location(env, "SHELFCAST_LANDING", home / "landing"),
            artifacts=_location(env, "SHELFCAST_ARTIFACTS", home / "artifacts"),
            alert_address=env.get("SHELFCAST_ALERT_ADDRESS", "forecast-oncall@shop.example"),
            num_threads=int(threads),
            query_memory_gib=float(memory),
            training_connection=env.get("SHELFCAST_TRAINING_CONNECTION", "spark_default"),
        )


def _location(environment: Mapping[str, str], name: str, default: Path) -> storage.Location:
    return storage.location(storage.checked(environment.get(name, str(default)), name))
