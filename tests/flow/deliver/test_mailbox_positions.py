"""How far a mailbox was read, noted by several workers at the same time."""

import asyncio
from pathlib import Path

from app.store.returned_mails import MailboxPosition, find_mailbox_position, save_mailbox_position
from tests.support.context import open_system


async def test_workers_that_begin_together_do_not_disturb_each_other(database_url: str, tmp_path: Path):
    async with open_system(database_url, tmp_path) as system:
        now = system.context.clock()

        async def note(next_uid: int) -> None:
            async with system.context.database.write() as tx:
                await save_mailbox_position(tx, MailboxPosition("box", 7, next_uid, now))
                await asyncio.sleep(0.05)  # the commit of one comes after the statement of the other

        await asyncio.gather(*(note(uid) for uid in range(1, 5)))
        async with system.context.database.read() as tx:
            position = await find_mailbox_position(tx, "box")
    assert position is not None
    assert position.uid_validity == 7
