"""Remember large bodies that were not stored to their end, so that no event of theirs counts twice when they are sent again.

A large body is stored in parts, and may be answered with 503 after some of them. The key of an event that was sent without key and time
contains the time of receipt, which would differ the second time.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from app.core.errors import BadInput
from app.intake.validate import Sender

# A sender tries again within minutes. Much later, the same content may be that of another night, which must count.
KEPT = timedelta(hours=1)
_MOST = 10_000


class FirstTries:
    """When each body was first sent that is not stored yet. Only this process knows: after a restart, the events count twice."""

    def __init__(self) -> None:
        self._at: OrderedDict[bytes, datetime] = OrderedDict()

    @contextmanager
    def trying(self, body: bytes, now: datetime) -> Iterator[datetime]:
        """Yield when a body was first sent. It is forgotten when the block ends well, or refuses the body for good."""
        while self._at and (len(self._at) > _MOST or next(iter(self._at.values())) < now - KEPT):
            self._at.popitem(last=False)
        at = self._at.setdefault(body, now)
        try:
            yield at
        except BadInput:
            self._at.pop(body, None)
            raise
        self._at.pop(body, None)


async def identify_body(sender: Sender, data: bytes) -> bytes:
    """Return what is the same for the same body of the same sender. It is made in a thread: 16 MiB take up to 50 ms."""
    whose = f"{sender.customer_id} {sender.agent_id} ".encode()
    return await asyncio.to_thread(lambda: hashlib.sha256(whose + hashlib.sha256(data).digest()).digest())
