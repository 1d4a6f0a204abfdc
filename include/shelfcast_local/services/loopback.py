"""Requests to the stand-ins' own servers: never through a proxy, and never mistaking somebody else's for ours."""

import ssl
from pathlib import Path
from typing import Any

import httpx

TIMEOUT_SECONDS = 5.0


def get(url: str, **arguments: Any) -> httpx.Response | None:
    """The answer of a server on this machine; `None` if there is none. The arguments are those of `httpx.get`."""
    try:
        return httpx.get(url, **{"timeout": TIMEOUT_SECONDS, "trust_env": False, **arguments})
    except httpx.HTTPError:
        return None


def opens_to_us_only(url: str, **credentials: Any) -> bool:
    """Whether the server lets these credentials in, and refuses whoever has none: so it knows our password."""
    answer = get(url, **credentials)
    if answer is None or not answer.is_success:
        return False
    refusal = get(url)
    return refusal is not None and refusal.status_code == httpx.codes.UNAUTHORIZED


def holds_key_of(certificate: Path, url: str) -> bool:
    """Whether the server answers and proves by TLS that it holds the certificate's key."""
    answer = get(url, verify=ssl.create_default_context(cafile=str(certificate)))
    return answer is not None and not answer.is_server_error


SPARK = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.log.level": "ERROR",
}
"""Settings of a Spark that only this process uses."""
