"""Whether a drain goes on in the newest generation or begins a new one, and when neither may be decided here."""

from dataclasses import dataclass

from shelfcast.errors import ChangeLogLost
from shelfcast.ingestion.change_files import ChangeFolder

SNAPSHOT_ADVICE = (
    "trigger cdc_ingestion with take_snapshot, which reads the shop's tables anew; nothing already loaded is lost."
)


@dataclass(frozen=True, kw_only=True)
class ChangeLogState:
    """How the shop's database keeps the change log for us.

    Attributes:
        slot: Name of the replication slot.
        has_slot: Whether it exists.
        publication: Name of the publication.
        unpublished: Tables whose changes it does not carry.
    """

    slot: str
    has_slot: bool
    publication: str
    unpublished: tuple[str, ...] = ()


def generation_to_go_on(
    folder: ChangeFolder, log: ChangeLogState, *, loaded_generation: int, take_snapshot: bool
) -> int | None:
    """The generation that the next drain belongs to, `None` for a new one.

    Args:
        folder: The change files.
        log: The state of the change log.
        loaded_generation: Generation that the cold store has loaded last, 0 before the first.
        take_snapshot: A new one is asked for.

    Raises:
        ChangeLogLost: To go on would leave out changes, to begin anew would give up what may still be found.
    """
    newest = max(folder.generations(), default=0)
    if take_snapshot:
        return None
    if newest < loaded_generation:
        raise ChangeLogLost(
            f"{folder.path} ends with generation {newest}, the cold store has loaded generation {loaded_generation}: the "
            "landing area was emptied, or SHELFCAST_LANDING is another one now. If it cannot be put right, "
            f"{SNAPSHOT_ADVICE}"
        )
    if not newest or not folder.is_complete(newest):
        return None
    if not log.has_slot:
        raise ChangeLogLost(
            f"The replication slot {log.slot} is gone, so changes since the last run may be missing. To go on, "
            f"{SNAPSHOT_ADVICE}"
        )
    if log.unpublished:
        raise ChangeLogLost(
            f"Publication {log.publication} does not carry {', '.join(log.unpublished)}, so rows that are there already "
            f"would never be read. To take them in, {SNAPSHOT_ADVICE}"
        )
    return newest
