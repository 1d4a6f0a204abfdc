"""Memory of the whole demo: the stand-ins, their children and this process."""

import threading
from collections.abc import Iterator
from typing import Protocol, Self

import psutil


class HasProcesses(Protocol):
    """Anything that knows the processes it started."""

    def process_ids(self) -> list[int]:
        """Ids of the processes it supervises, without their children."""
        ...


class PeakMemory:
    """Samples proportional memory (PSS; RSS where the system has none) while its block runs.

    Args:
        owner: Whose processes, with all their children, are counted beside this one.
        interval_seconds: Seconds between two samples.

    Attributes:
        peak_bytes: Largest sum seen.
    """

    def __init__(self, owner: HasProcesses, *, interval_seconds: float = 3.0) -> None:
        self.peak_bytes = 0
        self._owner = owner
        self._interval = interval_seconds
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(self._interval):
            self.peak_bytes = max(self.peak_bytes, sum(_memory(process) for process in self._family()))

    def _family(self) -> Iterator[psutil.Process]:
        seen = set()
        for pid in [psutil.Process().pid, *self._owner.process_ids()]:
            try:
                parent = psutil.Process(pid)
                family = [parent, *parent.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            for process in family:
                if process.pid not in seen:
                    seen.add(process.pid)
                    yield process


def _memory(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
        return int(getattr(full, "pss", full.rss))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0
