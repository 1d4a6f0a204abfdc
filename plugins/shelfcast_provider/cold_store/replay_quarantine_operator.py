"""Takes rows out of quarantine that pass the row checks now in force."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReplayQuarantineOperator(BaseOperator):
    """Checks quarantined rows anew and merges those that pass.

    Returns:
        Rows `merged`, and `still_bad` ones that stay in quarantine.
    """

    def execute(self, context: "Context") -> dict[str, int]:
        """Replays the quarantine."""
        from shelfcast.cold_store.replay_quarantine import replay
        from shelfcast_provider.cold_store.cold_store_hook import ColdStoreHook

        with ColdStoreHook() as store:
            replayed = replay(store)
        self.log.info("Merged %s rows out of quarantine; %s rows stay there.", replayed.merged, replayed.still_bad)
        return asdict(replayed)
