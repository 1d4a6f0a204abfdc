"""Every error Shelfcast raises on purpose.

ShelfcastError
├── ConfigurationError        stops before any work: a setting, connection or declaration is wrong
│   └── DatasetError          a dataset declaration or the files it names
├── SourceError               the shop's database or its change log
│   ├── SourceUnavailable     it cannot be reached now; a retry may help
│   └── ChangeLogLost         changes may be missing: a fresh snapshot is needed
├── IngestionError            a batch of changes
│   └── BatchRefused          too many rows of it went to quarantine
├── PostConditionFailed       a task finished its work and the result is not what it promised
├── NothingToDo               a named state, not a fault: the caller skips with this reason
├── TrainingError             a frame, a fold or a fit
│   └── FrameChanged          a frozen training frame no longer has its digest
├── BundleError               a release bundle is incomplete, corrupt or mixed
├── HotStoreError             a generation, its manifest or its pointer
└── ReleaseError              a release step failed and was rolled back
"""

from collections.abc import Iterable

OFFENDERS_SHOWN = 10


class ShelfcastError(Exception):
    """Base of all errors raised on purpose; its text says what happened and what to do."""


class ConfigurationError(ShelfcastError):
    """A setting, connection or declaration is wrong; nothing was started."""


class DatasetError(ConfigurationError):
    """A dataset declaration, or a table or file that it names, cannot be used."""


class SourceError(ShelfcastError):
    """The shop's database or its change log failed."""


class SourceUnavailable(SourceError):
    """The shop's database cannot be reached; a retry may help."""


class ChangeLogLost(SourceError):
    """The change log no longer reaches back to the last position read."""


class IngestionError(ShelfcastError):
    """A batch of changes could not be taken in."""


class BatchRefused(IngestionError):
    """More rows of a batch were bad than the threshold allows."""


class PostConditionFailed(ShelfcastError):
    """A task's own check of its result failed."""


class NothingToDo(ShelfcastError):
    """There is nothing to do, for the reason in the text."""


class TrainingError(ShelfcastError):
    """A training frame, fold or fit failed."""


class FrameChanged(TrainingError):
    """A frozen training frame no longer has the digest it was frozen with."""


class BundleError(ShelfcastError):
    """A release bundle is incomplete, corrupt, or mixes parts of two releases."""


class HotStoreError(ShelfcastError):
    """A generation of the hot store is missing, incomplete or wrong."""


class ReleaseError(ShelfcastError):
    """A release step failed; the release before it serves on."""


def first_offenders(names: Iterable[object], *, total: int | None = None) -> str:
    """Joins at most ten names for a message and counts the rest, of `total` where only the first ones are given."""
    listed = [str(name) for name in names]
    shown = ", ".join(listed[:OFFENDERS_SHOWN])
    rest = (len(listed) if total is None else total) - OFFENDERS_SHOWN
    return f"{shown} and {rest} more" if rest > 0 else shown
