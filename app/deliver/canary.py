"""Canaries that arrived."""

from collections.abc import Sequence
from datetime import datetime

from app.store.transactions import WriteTx


async def canary_arrived(tx: WriteTx, canary_id: str, arrived_at: datetime, received_headers: Sequence[str]) -> None:
    """Note that a canary arrived, and by which servers: `received_headers` are its Received headers, the newest first."""
