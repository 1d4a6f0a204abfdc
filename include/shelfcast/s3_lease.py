"""One holder at a time in a bucket, by conditional writes: what a file lock is on a disk.

The lease is an object that its holder writes anew every few seconds. A holder that died writes no more: whoever waits
and sees the same object for longer than a lease lasts, by its own clock, takes it over.
"""

import logging
import os
import socket
import threading
import time
import uuid
from typing import Any

from upath import UPath

from shelfcast.errors import ShelfcastError

LEASE_SECONDS = 60.0
REFUSALS = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"})
"""What S3 calls a conditional write that came too late, one of two at a time, and one of what is gone."""

LOGGER = logging.getLogger(__name__)


class S3Lease:
    """Held within a `with` block; entering waits for it.

    Args:
        path: Of the object.
        lease_seconds: How long nobody else takes it although it was not renewed.

    Raises:
        ShelfcastError: At the end of the block, if another holder took it over meanwhile.
    """

    def __init__(self, path: UPath, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._path, self._seconds = path, lease_seconds
        self._owner = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}"
        self._renewals = 0
        self._tag = ""
        self._is_over = threading.Event()

    def __enter__(self) -> "S3Lease":
        """Waits until nobody else holds it."""
        seen, since = "", time.monotonic()
        while not self._take(seen if time.monotonic() - since > self._seconds else ""):
            time.sleep(self._seconds / 20)
            found = self._found()
            if found != seen:
                seen, since = found, time.monotonic()
        self._renewing = threading.Thread(target=self._renew, daemon=True)
        self._renewing.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Gives it up."""
        self._is_over.set()
        self._renewing.join()
        if self._found() == self._tag:
            self._path.unlink()
        elif kind is None:
            raise ShelfcastError(
                f"The lease {self._path} was not renewed for {self._seconds:.0f} s and another job took it: both may have "
                "written. Clear the task; it makes its result anew. If it repeats, see what held this machine up."
            )

    def _take(self, stale: str) -> bool:
        """Writes the object if there is none, or in place of a stale one."""
        return self._put({"IfMatch": stale} if stale else {"mode": "create"})

    def _renew(self) -> None:
        while not self._is_over.wait(self._seconds / 4):
            try:
                if not self._put({"IfMatch": self._tag}):
                    return
            except OSError:  # an answer that did not come may come at the next try
                LOGGER.warning("The lease %s could not be renewed", self._path, exc_info=True)

    def _put(self, condition: dict[str, Any]) -> bool:
        """Whether the condition held; the content differs each time, and so does its tag."""
        self._renewals += 1
        content = f"{self._owner} {self._renewals}".encode()
        try:
            answer = self._path.fs.pipe_file(self._path.path, content, **condition)
        except OSError as error:
            if _code(error) not in REFUSALS:
                raise
            return False
        self._tag = str(answer["ETag"])
        return True

    def _found(self) -> str:
        """The object's tag; empty if there is none."""
        try:
            return str(self._path.fs.info(self._path.path)["ETag"])
        except FileNotFoundError:
            return ""


def _code(error: OSError) -> str:
    answer = getattr(error.__cause__, "response", None) or {}
    return str(answer.get("Error", {}).get("Code", ""))
