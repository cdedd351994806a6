"""Answers of a server that is no Zabbix server, or a hostile one: each attempt has an outcome that can be stored."""

import asyncio
import json
import struct

import pytest

from app.compose.transport_test_mail import example_alerts
from app.deliver.transports.public_only import PublicOnly
from app.deliver.transports.zabbix import ZabbixTransport
from app.domain.attempt import Outcome, Temporary, Unknown
from app.domain.message import Parcel
from tests.support.webhook_server import NOW


async def _outcome_of(answer: bytes) -> Outcome:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(struct.pack("<4sBII", b"ZBXD", 1, len(answer), 0) + answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        body = example_alerts(NOW, "https://tocsin.example.org", "opened")
        transport = ZabbixTransport(PublicOnly(is_allowed=lambda _: True), 5)
        return await transport.send(Parcel("msg_1", "rcp_1", f"zabbix://127.0.0.1:{port}", "<m>", body))


@pytest.mark.parametrize("answer", [b"[]", b"5", b'"x"', b"[" * 30_000, b"{", b"\xff"])
async def test_an_answer_that_is_no_object_is_none(answer: bytes):
    outcome = await _outcome_of(answer)
    assert isinstance(outcome, Unknown)
    assert outcome.code == "answer"


async def test_the_words_of_an_answer_can_be_stored():
    outcome = await _outcome_of(json.dumps({"response": "failed", "info": "no\0such item"}).encode())
    assert isinstance(outcome, Temporary)
    assert outcome.text == "no such item"
