"""No transport to a program reaches a private address, however it is written; what the owner's own settings name follows no redirect."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.compose.transport_test_mail import example_alerts
from app.core.errors import Unavailable
from app.core.heartbeat_url import HeartbeatKind
from app.core.oidc_settings import OidcSettings
from app.core.secret import Secret
from app.core.settings import load_settings
from app.deliver.heartbeat_request import send_heartbeat
from app.deliver.transports import build_programs
from app.domain.attempt import Permanent
from app.domain.message import Parcel
from app.domain.transport_options import (
    PROGRAM_TRANSPORTS,
    AppriseOptions,
    NagiosOptions,
    OpsgenieOptions,
    PagerdutyOptions,
    Sealed,
    SnmpOptions,
    SyslogOptions,
    TransportOptions,
)
from app.http.pages.identity_provider import IdentityProvider
from tests.support.webhook_server import reply, running

SECRET = Secret("s" * 32)
KEY = Sealed(SECRET.seal("R0123456789ABCDEFGHIJKLMNOPQRSTU"))
# This host, its network, a cloud's metadata service and multicast, in every form that some library takes for an address.
HOSTS = [
    "127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "localhost", "LOCALHOST", "0", "0.0.0.0", "0x7f.1", "0x7f000001",
    "0177.0.0.1", "017700000001", "2130706433", "\uff11\uff12\uff17.0.0.1", "127\u30020\u30020\u30021", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "0xa9fea9fe", "168.63.129.16", "224.0.0.1", "255.255.255.255", "[::1]", "[::]", "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[fe80::1]", "[fd00:ec2::254]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]", "[ff02::1]",
]  # fmt: skip
# For each transport one way to write an address, and the options without which it would send nothing at all.
ADDRESSES: list[tuple[str, str, TransportOptions | None]] = [
    ("webhook", "http://{}:{}/hook", None),
    ("alertmanager", "http://{}:{}", None),
    ("pagerduty", "http://{}:{}/v2/enqueue", PagerdutyOptions(KEY)),
    ("opsgenie", "http://{}:{}", OpsgenieOptions(KEY)),
    ("icinga2", "https://{}:{}", None),
    ("nagios", "http://{}:{}/nrdp/", NagiosOptions(token=KEY)),
    ("zabbix", "zabbix://{}:{}", None),
    ("syslog", "tcp://{}:{}", SyslogOptions()),
    ("syslog", "tls://{}:{}", SyslogOptions()),
    ("syslog", "udp://{}:{}", SyslogOptions()),
    ("snmp", "snmp://{}:{}", SnmpOptions(form="trap")),
    ("snmp", "snmp://{}:{}", SnmpOptions(form="inform")),
]
APPRISE_HOSTS = ["0x7f.1", "[::1]"]  # a process for each


class Listener(asyncio.DatagramProtocol):
    """Counts what arrives on one port of this host, by TCP and UDP, IPv4 and IPv6."""

    def __init__(self) -> None:
        self.arrived, self.port = 0, 0

    def datagram_received(self, *_: object) -> None:
        """Count a datagram."""
        self.arrived += 1

    def connected(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Count a connection."""
        self.arrived += 1
        writer.close()


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    listener = Listener()
    hosts = ["127.0.0.1", "::1"] if socket.has_ipv6 else ["127.0.0.1"]
    first = await asyncio.start_server(listener.connected, hosts[0], 0)
    listener.port = first.sockets[0].getsockname()[1]
    opened = [first]
    if hosts[1:]:
        opened.append(await asyncio.start_server(listener.connected, hosts[1], listener.port))
    loop = asyncio.get_running_loop()
    sockets = [
        (await loop.create_datagram_endpoint(lambda: listener, local_addr=(host, listener.port)))[0] for host in hosts
    ]
    try:
        yield listener
        await asyncio.sleep(0.05)
    finally:
        for server in opened:
            server.close()
        for one in sockets:
            one.close()


def parcel(address: str, options: TransportOptions | None) -> Parcel:
    body = example_alerts(datetime.now(UTC), "https://tocsin.example.org")
    return Parcel("msg_1", "rcp_1", address, "<m@t>", body, options=options)


def test_every_transport_to_programs_is_in_the_table():
    assert {name for name, _, _ in ADDRESSES} | {"apprise"} == set(PROGRAM_TRANSPORTS)


@pytest.mark.parametrize(
    ("transport", "form", "options"), ADDRESSES, ids=[f"{name} {form.split(':')[0]}" for name, form, _ in ADDRESSES]
)
async def test_no_transport_reaches_a_private_address(
    tmp_path: Path, transport: str, form: str, options: TransportOptions | None
):
    program = build_programs(load_settings(var_dir=tmp_path), SECRET)[transport]
    reached: dict[str, object] = {}
    async with listening() as listener:
        for host in HOSTS[::5] if form.startswith("tls:") else HOSTS:  # reading the system's authorities takes 50 ms
            outcome = await program.send(parcel(form.format(host, listener.port), options))
            if not (isinstance(outcome, Permanent) and outcome.code == "address"):
                reached[host] = outcome
        await program.close()
    assert reached == {}
    assert listener.arrived == 0


@pytest.mark.slow
@pytest.mark.parametrize("host", APPRISE_HOSTS)
async def test_apprise_reaches_no_private_address(tmp_path: Path, host: str):
    program = build_programs(load_settings(var_dir=tmp_path), SECRET)["apprise"]
    async with listening() as listener:
        url = Sealed(SECRET.seal(f"json://{host}:{listener.port}"))
        outcome = await program.send(parcel("team", AppriseOptions(url)))
    assert isinstance(outcome, Permanent), outcome
    assert listener.arrived == 0


async def test_no_transport_follows_a_redirect(tmp_path: Path):
    """A public server that answers with a redirect must not be able to choose the next address. Here all addresses are allowed."""
    programs = build_programs(load_settings(var_dir=tmp_path, webhook_allow_private=True), SECRET)
    async with listening() as listener:
        away = reply("307 Temporary Redirect", b"", f"location: http://127.0.0.1:{listener.port}/")
        async with running(away) as server:
            for transport, form, options in ADDRESSES:
                if form.startswith("http:"):
                    outcome = await programs[transport].send(parcel(form.format("127.0.0.1", server.port), options))
                    assert isinstance(outcome, Permanent), (transport, outcome)
                    assert outcome.code == "307"
        for program in programs.values():
            await program.close()
    assert listener.arrived == 0


@pytest.mark.parametrize("kind", ["healthchecks", "uptime-kuma", "plain"])
async def test_the_heartbeat_follows_no_redirect_and_its_trouble_names_no_address(kind: HeartbeatKind):
    async with listening() as listener:
        away = reply("302 Found", b"", f"location: http://127.0.0.1:{listener.port}/", "content-length: 0")
        async with running(_without_a_body(away)) as server:
            trouble = await send_heartbeat(f"http://127.0.0.1:{server.port}/s3cret-id", kind, None)
    assert trouble == "127.0.0.1 answered with status 302"
    assert listener.arrived == 0


def _without_a_body(answer: bytes):
    async def serve(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return serve


PLACES: Mapping[str, str] = {
    "authorization_endpoint": "/authorize",
    "token_endpoint": "/token",
    "jwks_uri": "/keys",
}


def provider_at(issuer: str) -> OidcSettings:
    return OidcSettings(
        issuer, "tocsin", None, "openid", "groups", (), lets_new_in=False, links_by_email=False, label=""
    )


def discovery(issuer: str, **changes: object) -> dict[str, object]:
    return {"issuer": issuer, **{name: issuer + path for name, path in PLACES.items()}, **changes}


@pytest.mark.parametrize("answer", ["redirect", "endless", "other issuer", "a file", "no object", "nested"])
async def test_a_provider_whose_discovery_document_leads_elsewhere_is_not_used(answer: str):
    """The provider's address is the owner's own setting; what its document says is not."""
    async with listening() as listener:
        elsewhere = f"http://127.0.0.1:{listener.port}/"

        async def serve(_: bytes, writer: asyncio.StreamWriter) -> None:
            issuer = f"http://127.0.0.1:{server.port}"
            documents: dict[str, bytes] = {
                "other issuer": json.dumps(discovery("http://127.0.0.1:9")).encode(),
                "a file": json.dumps(discovery(issuer, jwks_uri="file:///etc/passwd")).encode(),
                "no object": b'["issuer"]',
                "nested": b"[" * 100_000,
                "endless": json.dumps(discovery(issuer)).encode() + b" " * 4_000_000,
            }
            if answer == "redirect":
                writer.write(reply("302 Found", b"", f"location: {elsewhere}"))
            else:
                writer.write(reply("200 OK", documents[answer]))

        async with running(serve) as server:
            provider = IdentityProvider(
                provider_at(f"http://127.0.0.1:{server.port}"), "https://tocsin.example.org/back"
            )
            with pytest.raises(Unavailable):
                await provider.check()
    assert listener.arrived == 0
