"""Watches the shop for the close of a business day."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from shelfcast.cold_store.statements import statement
from shelfcast.errors import ConfigurationError
from shelfcast_provider.connections import SHOP_DATABASE
from shelfcast_provider.sources.shop_address import ShopAddress


class BusinessDayClosedTrigger(BaseEventTrigger):
    """Fires once for each newest closed business day it sees.

    What was seen is kept in memory only: after a restart it fires once more for the newest day, and the ingestion
    that this wakes finds nothing left to do. An unreachable shop is no event; it is asked again at the next poll.

    Args:
        connection_id: PostgreSQL connection of the shop.
        poll_seconds: Seconds between two looks, above 0.
    """

    def __init__(self, connection_id: str = SHOP_DATABASE, poll_seconds: float = 5.0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.connection_id = connection_id
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Import path and arguments, from which the triggerer makes the trigger again."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {"connection_id": self.connection_id, "poll_seconds": self.poll_seconds},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields `{"business_date": "YYYY-MM-DD"}` whenever the newest closed day has changed."""
        seen: str | None = None
        while True:
            latest = await self.latest_business_day()
            if latest is not None and latest != seen:
                seen = latest
                yield TriggerEvent({"business_date": latest})
            await asyncio.sleep(self.poll_seconds)

    async def latest_business_day(self) -> str | None:
        """The newest closed day as ISO text; `None` if there is none or the shop does not answer."""
        import psycopg

        try:
            async with await psycopg.AsyncConnection.connect(**await self._address()) as connection:
                cursor = await connection.execute(statement("sources/latest_business_day").encode())
                row = await cursor.fetchone()
        except (psycopg.Error, ConfigurationError) as error:
            self.log.warning("The shop's database does not answer (%s); asked again.", error)
            return None
        return row[0].isoformat() if row and row[0] else None

    async def _address(self) -> dict[str, Any]:
        from airflow.sdk import Connection
        from asgiref.sync import sync_to_async

        found = await sync_to_async(Connection.get)(self.connection_id)
        return ShopAddress.of(found).for_psycopg() | {"connect_timeout": 5}
