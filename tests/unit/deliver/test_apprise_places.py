"""A message that waits for a free process when the worker stops was certainly not sent."""

import asyncio

from app.compose.transport_test_mail import example_alerts
from app.core.clock import now
from app.deliver.transport import Unsent
from app.deliver.transports.apprise import AppriseTransport
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
