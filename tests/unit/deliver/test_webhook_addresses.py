"""Webhooks cannot reach private networks, and certificates are verified against the host name."""

import asyncio
import ipaddress
import socket
import ssl
import threading

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from app.deliver.transports.public_only import LOOKUPS_MOST, IpAddress, PublicOnly, is_public
from app.deliver.transports.webhook import WebhookTransport
from app.domain.attempt import Outcome, Permanent, Sent, Temporary
from app.domain.message import Parcel
from tests.support.webhook_server import BODY, SECRET, post, reply, running


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "example.org",
        "",
        "http://",
        "http://a:b@example.org/",
        "http://x@127.0.0.1/",
        "http://[::1",
    ],
)
async def test_other_urls_are_refused(url: str):
    outcome = await post(url)
    assert isinstance(outcome, Permanent)
    assert outcome.code == "address"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0x7f.1",
        "2130706433",
        "0",
        "10.1.2.3",
        "169.254.169.254",
    ],
)
async def test_private_hosts_are_refused_however_they_are_written(host: str):
    async with running(reply("200 OK")) as server:
        outcome = await post(f"http://{host}:{server.port}/", network=PublicOnly())
        assert server.connections == 0
    assert isinstance(outcome, Permanent)
    assert outcome.code == "address"


async def test_connects_to_the_address_that_was_checked_even_if_the_name_changes():
    asked = []

    async def changing(host: str, _: int) -> list[IpAddress]:
        asked.append(host)
        return [ipaddress.ip_address("127.0.0.1" if len(asked) == 1 else "10.0.0.1"), ipaddress.ip_address("10.0.0.2")]

    async with running(reply("200 OK")) as server:
        network = PublicOnly(changing, lambda address: address.is_loopback)
        outcome = await post(f"http://hook.example.org:{server.port}/", network=network)
    assert outcome == Sent("200", "")
    assert asked == ["hook.example.org"]
    assert f"host: hook.example.org:{server.port}".encode() in server.requests[0].lower()


async def test_after_an_address_that_does_not_answer_the_next_is_tried():
    async def two(_: str, __: int) -> list[IpAddress]:
        return [ipaddress.ip_address("127.0.0.2"), ipaddress.ip_address("127.0.0.1")]

    async with running(reply("200 OK")) as server:
        outcome = await post(f"http://hook.example.org:{server.port}/", network=PublicOnly(two, lambda _: True))
    assert outcome == Sent("200", "")


@pytest.mark.parametrize("name", ["hook.example.org", "other.example.org"])
async def test_tls_is_checked_against_the_name_not_the_address(name: str):
    authority = trustme.CA()
    there, here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("hook.example.org").configure_cert(there)
    authority.configure_trust(here)

    async def local(_: str, __: int) -> list[IpAddress]:
        return [ipaddress.ip_address("127.0.0.1")]

    async with running(reply("200 OK"), tls=there) as server:
        webhook = WebhookTransport(SECRET, 5, network=PublicOnly(local, lambda _: True), tls=here)
        outcome = await webhook.send(Parcel("m", "r", f"https://{name}:{server.port}/", "m", BODY))
        await webhook.close()
    if name == "hook.example.org":
        assert outcome == Sent("200", "")
    else:
        assert isinstance(outcome, Temporary)
        assert "certificate" in outcome.text


async def test_a_resolver_that_does_not_answer_is_temporary_and_delays_nothing_else():
    asked = []

    async def dead(host: str, _: int) -> list[IpAddress]:
        asked.append(host)
        await asyncio.sleep(60)
        return []

    webhook = WebhookTransport(SECRET, 2, network=PublicOnly(dead, lambda _: True))

    async def call(host: str) -> Outcome:
        return await webhook.send(Parcel("m", "r", f"http://{host}/", "m", BODY))

    async with running(reply("200 OK")) as server:
        waiting = [asyncio.create_task(call(f"hook{n}.example.org")) for n in range(LOOKUPS_MOST + 5)]
        await asyncio.sleep(0.3)
        assert await call(f"127.0.0.1:{server.port}") == Sent("200", ""), "needs no resolver"
    outcomes = await asyncio.gather(*waiting)
    assert all(isinstance(one, Temporary) and one.code == "resolve" for one in outcomes)
    assert sum("other names are waiting" in str(one) for one in outcomes) == 5
    assert len(asked) == LOOKUPS_MOST
    assert "did not answer" in str(await call("late.example.org")), "places are free again"
    await webhook.close()


async def test_a_dead_resolver_blocks_no_other_thread(monkeypatch: pytest.MonkeyPatch):
    let_go = threading.Event()

    def dead(*_: object, **__: object) -> list[object]:
        let_go.wait(20)
        return []

    webhook = WebhookTransport(SECRET, 1, network=PublicOnly())
    parcels = [Parcel("m", "r", f"http://hook{n}.example.org/", "m", BODY) for n in range(40)]
    try:
        with monkeypatch.context() as patched:
            patched.setattr(socket, "getaddrinfo", dead)
            waiting = [asyncio.create_task(webhook.send(parcel)) for parcel in parcels]
            await asyncio.sleep(0.1)
            async with asyncio.timeout(0.5):
                assert await asyncio.to_thread(lambda: "alive") == "alive"
            outcomes = await asyncio.gather(*waiting)
        assert all(isinstance(one, Temporary) and one.code == "resolve" for one in outcomes)
    finally:
        let_go.set()
        await webhook.close()


V4 = st.ip_addresses(v=4)
INSIDE = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "224.0.0.0/4", "240.0.0.0/4",
    "::/128", "::1/128", "::ffff:0:0/96", "::/96", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "64:ff9b:1::/48", "64:ff9b::a00:0/104",
    "64:ff9b::7f00:0/104", "2002:a00::/24", "2002:7f00::/24", "2002:c0a8::/32", "2001::/32", "2001:db8::/32",
]  # fmt: skip


@given(st.sampled_from(INSIDE).flatmap(lambda net: st.ip_addresses(network=net)))
def test_no_address_of_an_inner_network_is_public(address: IpAddress):
    assert not is_public(address)


# The blocks that the IANA special-purpose address registries (as of 2026) do not call globally reachable, and multicast. Python's
# ipaddress is no judge here: 3.11.2 of Debian, 3.12 and 3.13 disagree about several of them, 2002::/16 for one.
NOT_REACHABLE = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/29", "192.0.0.8/32",
    "192.0.0.170/31", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32",
    "::/128", "::1/128", "::ffff:0:0/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/32", "2001:2::/48", "2001:10::/28",
    "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "ff00::/8",
]  # fmt: skip


def addresses_of(blocks: list[str]) -> st.SearchStrategy[IpAddress]:
    return st.sampled_from(blocks).flatmap(lambda net: st.ip_addresses(network=net))


@given(addresses_of(NOT_REACHABLE))
def test_no_address_that_iana_does_not_call_globally_reachable_is_public(address: IpAddress):
    assert not is_public(address)


@given(st.ip_addresses())
def test_an_address_is_public_only_outside_of_these_blocks(address: IpAddress):
    if is_public(address):
        blocks = [ipaddress.ip_network(block) for block in NOT_REACHABLE]
        assert not any(address in block for block in blocks if block.version == address.version)


@given(V4)
def test_a_nat64_address_is_as_public_as_the_ipv4_address_in_it_and_other_embeddings_never(
    address: ipaddress.IPv4Address,
):
    number = int(address)
    assert is_public(ipaddress.IPv6Address((0x64FF9B << 96) | number)) == is_public(address)
    assert not is_public(ipaddress.IPv6Address((0x2002 << 112) | (number << 80)))
    assert not is_public(ipaddress.IPv6Address((0xFFFF << 32) | number))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "2a00:1450:4001:82a::200e"])
def test_the_internet_is_public(address: str):
    assert is_public(ipaddress.ip_address(address))


def test_a_scoped_address_is_not_public():
    assert not is_public(ipaddress.ip_address("2606:4700::1%eth0"))
