"""A process that sends canaries and delivers, until it is killed. Arguments: the database URL, a folder and the SMTP port."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from app.compose import canaries
from app.core.secret import Secret
from app.deliver import delivery_loop
from app.deliver.transports import build_transports
from tests.support.context import open_system


async def _work(database_url: str, folder: Path, port: str) -> None:
    wanted = {"smtp_timeout_s": 60, "mail_from": "Tocsin <tocsin@example.org>", "mail_in_port": 2525}
    smtp_url, bounce = f"smtp://localhost:{port}?tls=none", "bounces@example.org"
    async with open_system(database_url, folder, smtp_url=smtp_url, bounce_address=bounce, **wanted) as system:
        transports = build_transports(system.context.settings, Secret("s" * 32))
        delivery = asyncio.create_task(delivery_loop.run(system.context, transports, "worker:doomed", asyncio.Event()))
        while True:
            await canaries.tick(system.context)
            await asyncio.wait([delivery], timeout=0.05)


asyncio.run(_work(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
