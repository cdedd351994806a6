"""The processes that send by Apprise: what a worker that stops knows of them, and what a service may cost that never ends its answer."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.compose.transport_test_mail import example_alerts
from app.core.clock import now
from app.deliver.transport import Unsent
from app.deliver.transports.apprise import AppriseTransport
from app.domain.attempt import Outcome, Unknown
from app.domain.message import Parcel
from app.domain.transport_options import AppriseOptions, Sealed


async def test_a_message_that_waits_for_its_process_was_not_sent():
    transport = AppriseTransport(lambda sealed: sealed.ciphertext, 5.0, allow_private=True)
    silent = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1")
    url = Sealed(f"json://127.0.0.1:{silent.sockets[0].getsockname()[1]}")
    body = example_alerts(now(), "https://tocsin.example.org")
    parcel = Parcel("msg_1", "rcp_1", "apprise", "<1@x>", body, options=AppriseOptions(url))
    tasks = [asyncio.create_task(transport.send(parcel)) for _ in range(3)]
    await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    silent.close()
    assert [type(end) for end in ends] == [asyncio.CancelledError, asyncio.CancelledError, Unsent]


@asynccontextmanager
async def answering(piece: bytes, pause_s: float) -> AsyncIterator[int]:
    """Answer each request with these bytes again and again, without an end. Yields the port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
            while True:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause_s)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def send_to(port: int, *, timeout_s: float, start_s: float) -> tuple[Outcome, float]:
    """Send an example alert, and return how it ended and after how many seconds."""
    transport = AppriseTransport(lambda sealed: sealed.ciphertext, timeout_s, allow_private=True, start_s=start_s)
    body = example_alerts(now(), "https://tocsin.example.org")
    options = AppriseOptions(Sealed(f"json://127.0.0.1:{port}"))
    started = time.monotonic()
    outcome = await transport.send(Parcel("msg_1", "rcp_1", "apprise", "<1@x>", body, options=options))
    return outcome, time.monotonic() - started


async def test_an_answer_without_end_ends_with_the_time_limit():
    async with answering(b"x", 0.05) as port:
        outcome, took_s = await send_to(port, timeout_s=0.5, start_s=1.5)
    assert isinstance(outcome, Unknown)
    assert outcome.code == "timeout"
    assert took_s < 10


async def test_an_answer_of_any_length_takes_a_bounded_memory():
    async with answering(b"x" * 1024 * 1024, 0) as port:
        outcome, _ = await send_to(port, timeout_s=60, start_s=60)
    assert isinstance(outcome, Unknown), outcome
    assert outcome.code == "memory"
