"""Takes rows out of quarantine that pass the row checks now in force."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReplayQuarantineOperator(BaseOperator):
    """Checks quarantined rows anew and merges those that pass; skips unless it is asked for.

    Args:
        is_asked_for: `True` to replay (templated).

    Returns:
        Rows `merged`, and `still_bad` ones that stay in quarantine.
    """

    template_fields: Sequence[str] = ("is_asked_for",)

    def __init__(self, *, is_asked_for: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.is_asked_for = is_asked_for

    def execute(self, context: "Context") -> dict[str, int]:
        """Replays the quarantine."""
        from shelfcast.cold_store.replay_quarantine import replay
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

        if str(self.is_asked_for).lower() != "true":
            raise AirflowSkipException("Nobody asked for it: trigger the DAG with replay_quarantine.")
        with ColdStoreHook() as store:
            replayed = replay(store)
        self.log.info("Merged %s rows out of quarantine; %s rows stay there.", replayed.merged, replayed.still_bad)
        return asdict(replayed)
