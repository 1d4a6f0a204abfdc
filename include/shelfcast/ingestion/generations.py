"""Whether a drain goes on in the newest generation or begins a new one, and when neither may be decided here."""

from dataclasses import dataclass

from shelfcast.errors import ChangeLogLost
from shelfcast.ingestion.change_files import ChangeFolder

SNAPSHOT_ADVICE = (
    "trigger cdc_ingestion with take_snapshot, which reads the shop's tables anew; nothing already loaded is lost."
)


LIMIT_OF_REASON = {"idle_timeout": "idle_replication_slot_timeout", "wal_level_insufficient": "wal_level"}
"""The server's setting behind a reason for which it gives up a slot; any other is `max_slot_wal_keep_size`."""


def lost_slot(slot: str, reason: str | None, log_kept: str | None) -> str:
    """What to say of a replication slot that is there and can be read no more.

    Args:
        slot: Its name.
        reason: The server's word for why, `None` from a server that does not say.
        log_kept: The server's `max_slot_wal_keep_size`.
    """
    limit = LIMIT_OF_REASON.get(reason or "", "max_slot_wal_keep_size")
    kept = f" (now {log_kept})" if limit == "max_slot_wal_keep_size" else ""
    return (
        f"The replication slot {slot} is there, but lost ({reason or 'the server does not say why'}): the database no longer "
        f"has all that was written since the last run, and the slot can never be read again. Raise {limit}{kept} on the "
        f"shop's server, beyond what comes together between two runs, or it is lost again; then, to go on, {SNAPSHOT_ADVICE}"
    )


@dataclass(frozen=True, kw_only=True)
class ChangeLogState:
    """How the shop's database keeps the change log for us.

    Attributes:
        slot: Name of the replication slot.
        has_slot: Whether it exists.
        lost: Why it can be read no more although it exists, empty while it can.
        publication: Name of the publication.
        unpublished: Tables whose changes it does not carry.
    """

    slot: str
    has_slot: bool
    lost: str = ""
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
    if log.lost:
        raise ChangeLogLost(log.lost)
    if log.unpublished:
        raise ChangeLogLost(
            f"Publication {log.publication} does not carry {', '.join(log.unpublished)}, so rows that are there already "
            f"would never be read. To take them in, {SNAPSHOT_ADVICE}"
        )
    return newest
