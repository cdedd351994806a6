"""The database host loses power in the middle of a statement: the operating system notices, and nothing waits for ever."""

import socket
import sys
from pathlib import Path

import pytest

from tests.support.context import open_system


@pytest.mark.postgres
async def test_a_connection_is_probed_while_an_answer_is_awaited(postgres_database_url: str, tmp_path: Path) -> None:
    async with open_system(postgres_database_url, tmp_path) as system, system.context.database.read() as tx:
        driver = (await tx.connection.get_raw_connection()).driver_connection
        assert driver is not None
        line = driver._transport.get_extra_info("socket")
        assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if sys.platform == "linux":
            names = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            idle, between, count = (line.getsockopt(socket.IPPROTO_TCP, name) for name in names)
            assert idle + between * count <= 60
            assert 0 < line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 60_000, "what was sent, too"
