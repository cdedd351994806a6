"""A process that only delivers, until it is killed. Arguments: the database URL, a folder and the SMTP port."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from app.core.secret import Secret
from app.deliver import delivery_loop
from app.deliver.transports import build_transports
from tests.support.context import open_system


async def _work(database_url: str, folder: Path, port: str) -> None:
    smtp_url = f"smtp://localhost:{port}?tls=none"
    async with open_system(
        database_url, folder, smtp_url=smtp_url, smtp_connections=2, mail_from="tocsin@example.org", smtp_timeout_s=60
    ) as system:
        transports = build_transports(system.context.settings, Secret("s" * 32))
        await delivery_loop.run(system.context, transports, "worker:doomed", asyncio.Event())


asyncio.run(_work(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
