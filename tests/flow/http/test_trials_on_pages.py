"""A test message from the page Routing goes by each transport to a receiver on this host, and the page shows how it answered."""

import asyncio
import json
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from socket import AF_INET, SOCK_DGRAM, socket

import pytest

from app.domain.person import Role
from app.domain.transport_options import PROGRAM_TRANSPORTS
from tests.support.api import Api, serving
from tests.support.browser import browsing, link_for, person
from tests.support.graph_server import GraphServer, graph_server
from tests.support.nrdp import TOKEN, nrdp
from tests.support.self_signed import self_signed
from tests.support.smtp import SmtpServer
from tests.support.webhook_server import Server, reply, running

pytestmark = pytest.mark.slow
_KEY = "R0123456789ABCDEFGHIJKLMNOPQRSTU"
_TO = "kim@example.org"
_ANSWERS = {
    "pagerduty": reply("202 Accepted", b'{"status":"success","message":"Event processed"}'),
    "opsgenie": reply("202 Accepted", b'{"result":"Request will be processed"}'),
    "alertmanager": reply("200 OK", b"{}"),
    "webhook": reply("200 OK", b"taken by the hook"),
    "apprise": reply("200 OK", b"{}"),
    "icinga2": reply("200 OK", b'{"results":[{"code":200.0,"status":"Successfully processed check result"}]}'),
}


@dataclass
class Receivers:
    """An address and options of each transport, and what arrived there by datagrams and at Zabbix."""

    ways: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    servers: dict[str, Server] = field(default_factory=dict)
    values: list[bytes] = field(default_factory=list)
    results: Path = Path()
    smtp: SmtpServer | None = None
    graph: GraphServer | None = None


@asynccontextmanager
async def receivers(folder: Path) -> AsyncIterator[tuple[Receivers, socket]]:
    """Start a receiver for each transport. Yields them and the socket that takes datagrams."""
    found = Receivers(results=folder / "results")

    async def zabbix(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readexactly(13)
        found.values.append(await reader.readexactly(struct.unpack("<4sBII", head)[2]))
        words = json.dumps({"response": "success", "info": "processed: 1; failed: 0; total: 1; seconds spent: 0.1"})
        writer.write(struct.pack("<4sBII", b"ZBXD", 1, len(words), 0) + words.encode())
        await writer.drain()
        writer.close()

    certificate = folder / "icinga.pem"
    self_signed("icinga.example.org", certificate)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    ca = certificate.read_text().partition("-----BEGIN CERTIFICATE-----")
    async with AsyncExitStack() as stack:
        for name, answer in _ANSWERS.items():
            found.servers[name] = await stack.enter_async_context(running(answer, tls if name == "icinga2" else None))
        at = {name: f"127.0.0.1:{server.port}" for name, server in found.servers.items()}
        trapper = await stack.enter_async_context(await asyncio.start_server(zabbix, "127.0.0.1", 0))
        datagrams = stack.enter_context(closing(socket(AF_INET, SOCK_DGRAM)))
        datagrams.bind(("127.0.0.1", 0))
        datagrams.settimeout(60)
        found.smtp = stack.enter_context(SmtpServer())
        found.graph = await stack.enter_async_context(graph_server())
        port = datagrams.getsockname()[1]
        found.ways = {
            "smtp": (_TO, {}),
            "graph": (_TO, {}),
            "file": (_TO, {}),
            "webhook": (f"http://{at['webhook']}/hook", {}),
            "alertmanager": (f"http://{at['alertmanager']}", {}),
            "pagerduty": (f"http://{at['pagerduty']}/v2/enqueue", {"routing_key": _KEY}),
            "opsgenie": (f"http://{at['opsgenie']}", {"api_key": _KEY}),
            "apprise": ("team", {"url": f"json://{at['apprise']}"}),
            "icinga2": (
                f"https://{at['icinga2']}",
                {"user": "tocsin", "password": "p", "ca_certificate": ca[1] + ca[2]},
            ),
            "nagios": (stack.enter_context(nrdp(found.results)), {"token": TOKEN}),
            "zabbix": (f"zabbix://127.0.0.1:{trapper.sockets[0].getsockname()[1]}", {}),
            "syslog": (f"udp://127.0.0.1:{port}", {}),
            "snmp": (f"snmp://127.0.0.1:{port}", {"form": "trap", "community": "backups"}),
        }
        yield found, datagrams


async def _tested(api: Api, transport: str, address: str, options: dict[str, str]) -> str:
    way = {"transport": transport, "address": address, **({"options": options} if options else {})}
    made = await api.tell("POST", "/v1/recipients", json={"name": f"by {transport}", "transports": [way]})
    async with browsing(api) as browser:
        path = await link_for(api, await person(api, f"{transport}@example.org", Role.ADMINISTRATOR))
        await browser.send(path, path)
        own = f"/routing/recipients/{made['id']}"
        return (await browser.send(own, f"{own}/test")).text


async def test_a_test_message_goes_by_each_transport(sqlite_database_url: str, tmp_path: Path) -> None:
    async with receivers(tmp_path) as (found, datagrams):
        assert found.smtp is not None
        assert found.graph is not None
        assert set(found.ways) == {"smtp", "graph", "file", *PROGRAM_TRANSPORTS}
        settings = {"smtp_url": f"smtp://127.0.0.1:{found.smtp.port}", "webhook_allow_private": True}
        async with serving(sqlite_database_url, tmp_path / "var", **settings, **found.graph.settings) as api:
            for transport, (address, options) in found.ways.items():
                page = await _tested(api, transport, address, options)
                assert " · sent" in page, (transport, page.partition('role="status"')[2][:600])
                if transport in ("syslog", "snmp"):
                    assert await asyncio.to_thread(datagrams.recv, 65536)
        for name, server in found.servers.items():
            assert server.requests, name
        assert found.smtp.wait_for(1, 60)[0]
        assert len(found.graph.mails) == 1
        assert b"history.push" in found.values[0] or b"sender data" in found.values[0]
        assert "PROCESS_SERVICE_CHECK_RESULT" in found.results.read_text()
        assert list((tmp_path / "var" / "mail").iterdir())


async def test_a_test_message_that_is_refused_is_not_called_sent(sqlite_database_url: str, tmp_path: Path) -> None:
    async with (
        running(reply("403 Forbidden", b"this hook is <b>switched off</b>")) as server,
        serving(sqlite_database_url, tmp_path / "var", webhook_allow_private=True) as api,
    ):
        page = await _tested(api, "webhook", f"http://127.0.0.1:{server.port}/hook", {})
        assert server.requests
        assert " · sent" not in page
        assert "403" in page
        assert "<b>switched off" not in page
        page = await _tested(api, "smtp", _TO, {})
        assert " · sent" not in page
        assert "TOCSIN_SMTP_URL" in page
