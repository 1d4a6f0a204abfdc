"""What of a batch went to quarantine, in a sentence and as a mail."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from shelfcast.errors import first_offenders
from shelfcast_provider import mails

if TYPE_CHECKING:
    from shelfcast.cold_store.cold_store import ColdStore


@dataclass(frozen=True, kw_only=True)
class Quarantined:
    """Rows of a batch in quarantine.

    Attributes:
        batch_id: Name of the batch.
        rows: In quarantine, 0 or more.
        rows_read: Good and bad ones.
        by_reason: Table, reason and rows, most first.
    """

    batch_id: str
    rows: int
    rows_read: int
    by_reason: tuple[tuple[str, str, int], ...] = ()

    @classmethod
    def of(cls, store: "ColdStore", batch_id: str, *, rows: int, rows_read: int) -> Self:
        """Looks up the reasons, if there is a row that has one."""
        found = store.fetch("cold_store/quarantined_by_reason", {"batch_id": batch_id}).to_numpy() if rows else ()
        by_reason = tuple((str(table), str(reason), int(count)) for table, reason, count in found)
        return cls(batch_id=batch_id, rows=rows, rows_read=rows_read, by_reason=by_reason)

    @property
    def share(self) -> float:
        """Of the rows read, 0 to 1."""
        return self.rows / self.rows_read if self.rows_read else 0.0

    @property
    def percent(self) -> str:
        """The share to read."""
        return f"{self.share:.1%}"

    def __str__(self) -> str:
        """A sentence for a log."""
        told = f"Put {self.rows} of {self.rows_read} rows ({self.percent}) into quarantine"
        reasons = first_offenders([f"{table} {count} ({reason})" for table, reason, count in self.by_reason])
        return f"{told}: {reasons}." if self.by_reason else f"{told}."

    def mail(self, *, link: str) -> None:
        """Mails the counts and what to do; `link` leads to the log of the task that loaded the batch."""
        subject = f"[shelfcast] {self.rows} of {self.rows_read} rows in quarantine, {self.batch_id}"
        mails.send(subject, mails.body_of("quarantine.html", quarantined=self, link=link))
