"""Who connects to the mail listener without naming one of our addresses cannot keep those out who do."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

import pytest

from app.http import mail_connection
from tests.support.api import ENROL_KEY, Api, serving

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]
OURS, THEIRS, KNOWN = "127.0.0.2", "127.0.0.3", "127.0.0.4"
PLACES = 10


@asynccontextmanager
async def listener(database_url: str, folder: Path, **settings: object) -> AsyncIterator[Api]:
    few = {"mail_in_connections": PLACES, "mail_in_connections_per_address": PLACES, "trusted_proxies": ""}
    async with serving(database_url, folder, mail_in_port=0, **(few | settings)) as api:
        yield api


@pytest.fixture
async def api(sqlite_database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with listener(sqlite_database_url, tmp_path) as api:
        yield api


class Lines:
    """Connections that a test opens, and closes at its end."""

    def __init__(self, api: Api) -> None:
        self._port = api.app.state.mail_in_port
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def open(self, source: str = THEIRS) -> Line:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(source, 0))
        self._stack.push_async_callback(_close, writer)
        return reader, writer

    async def strangers(self, number: int, source: str = THEIRS) -> list[Line]:
        lines = [await self.open(source) for _ in range(number)]
        for line in lines:
            assert (await answer(line)).startswith("220")
        return lines

    async def named(self, key: str = ENROL_KEY, source: str = OURS) -> Line:
        """A connection that has named one of our addresses."""
        line = await self.open(source)
        await answer(line)
        assert (await ask(line, "EHLO a", "MAIL FROM:<a@b>", f"RCPT TO:<{key}@c>"))[-1].startswith("250")
        return line


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def answer(line: Line) -> str:
    """The next answer, without the lines that are continued; empty if the connection is closed."""
    async with asyncio.timeout(20):
        while (got := (await line[0].readline()).decode())[3:4] == "-":
            pass
    return got


async def ask(line: Line, *commands: str) -> list[str]:
    found = []
    for command in commands:
        line[1].write(command.encode() + b"\r\n")
        found.append(await answer(line))
    return found


async def send(lines: Lines, source: str = OURS, subject: str = "Copy failed") -> str:
    """Send a mail, and return the last answer."""
    line = await lines.named(source=source)
    return (await ask(line, "DATA", f"Subject: {subject}\r\n\r\nDisk full.\r\n.", "QUIT"))[1]


async def test_when_all_places_are_taken_the_oldest_stranger_makes_room(api: Api):
    async with Lines(api) as lines:
        strangers = await lines.strangers(PLACES - PLACES // 5)
        for _ in range(3):
            assert (await send(lines)).startswith("250")
        assert await answer(strangers[0]) == "421 4.3.2 All places are taken; try again\r\n"
        assert (await ask(strangers[1], "NOOP"))[0].startswith("250"), "one is enough"
    assert len(await api.items("/v1/events")) == 3


async def test_one_address_may_hold_only_so_many_connections(sqlite_database_url: str, tmp_path: Path):
    async with listener(sqlite_database_url, tmp_path, mail_in_connections_per_address=2) as api, Lines(api) as lines:
        (other,) = await lines.strangers(1, OURS)
        first, second = await lines.strangers(2)
        (third,) = await lines.strangers(1)
        assert (await answer(first)).startswith("421")
        for line in (second, third, other):
            assert (await ask(line, "NOOP"))[0].startswith("250")


async def test_the_connections_of_a_trusted_proxy_are_not_counted_by_address(sqlite_database_url: str, tmp_path: Path):
    settings = {"mail_in_connections_per_address": 1, "trusted_proxies": f"{THEIRS}/32, ::1"}
    async with listener(sqlite_database_url, tmp_path, **settings) as api, Lines(api) as lines:
        for line in await lines.strangers(3):
            assert (await ask(line, "NOOP"))[0].startswith("250")


async def test_an_address_that_sent_a_valid_mail_has_places_that_strangers_cannot_take(api: Api):
    async with Lines(api) as lines:
        assert (await send(lines, KNOWN)).startswith("250")
        kept = await lines.strangers(1, KNOWN)
        strangers = await lines.strangers(3 * PLACES)
        assert (await ask(kept[0], "NOOP"))[0].startswith("250")
        assert (await answer(strangers[0])).startswith("421")
        assert (await send(lines, KNOWN, "Copy failed again")).startswith("250")


async def test_one_key_cannot_hold_more_than_half_of_the_places(api: Api):
    agent = await api.tell(
        "POST", "/v1/keys", json={"kind": "enrol", "name": "another", "customer_id": await customer(api)}
    )
    async with Lines(api) as lines:
        held = [await lines.named() for _ in range(PLACES // 2)]
        one_more = await lines.open(OURS)
        await answer(one_more)
        answers = await ask(one_more, "EHLO a", "MAIL FROM:<a@b>", f"RCPT TO:<{ENROL_KEY}@c>")
        assert answers[-1] == "451 4.7.1 Too many mails under this key; try again\r\n"
        await lines.named(agent["key"])
        assert (await ask(held[0], "NOOP"))[0].startswith("250")


async def test_keys_that_hold_all_places_for_long_make_room(api: Api, monkeypatch: pytest.MonkeyPatch):
    customer_id = await customer(api)
    keys = [
        (await api.tell("POST", "/v1/keys", json={"kind": "enrol", "name": name, "customer_id": customer_id}))["key"]
        for name in ("one", "two")
    ]
    async with Lines(api) as lines:
        for key in keys:
            for _ in range(PLACES // 2):
                await lines.named(key, THEIRS)
        young = await lines.open()
        assert (await answer(young)) == "421 4.3.2 Too many connections; try again\r\n"
        monkeypatch.setattr(mail_connection, "YOUNG_S", 0.0)
        assert (await send(lines)).startswith("250")


async def customer(api: Api) -> str:
    return str((await api.items("/v1/customers"))[0]["id"])


@pytest.mark.parametrize(
    "answers", [[], ["EHLO a"], ["EHLO a", "MAIL FROM:<a@b>", "RCPT TO:<guess@c>"], ["\x00" * 100_000]]
)
async def test_who_names_none_of_our_addresses_is_given_a_short_time(
    api: Api, monkeypatch: pytest.MonkeyPatch, answers: list[str]
):
    monkeypatch.setattr(mail_connection, "PATIENCE_S", 1.0)
    async with Lines(api) as lines:
        line = await lines.open()
        for command in answers:
            line[1].write(command.encode() + b"\r\n")
        async with asyncio.timeout(20):
            everything = await line[0].read()
        assert everything.endswith(b"421 4.4.2 Too slow; try again\r\n")


async def test_who_has_named_one_has_longer(api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mail_connection, "PATIENCE_S", 0.5)
    async with Lines(api) as lines:
        line = await lines.named()
        await asyncio.sleep(1)
        answers = await ask(line, "DATA", "Subject: Copy failed\r\n\r\nDisk full.\r\n.")
        assert answers[-1].startswith("250")


async def test_the_third_address_that_is_none_ends_the_connection(api: Api):
    async with Lines(api) as lines:
        (line,) = await lines.strangers(1)
        wrong = [f"RCPT TO:<guess{number}@c>" for number in range(3)]
        answers = await ask(line, "EHLO a", "MAIL FROM:<a@b>", *wrong)
        assert [one[:3] for one in answers[2:]] == ["550", "550", "421"]
        assert await answer(line) == ""


async def test_wrong_addresses_next_to_a_right_one_lose_no_report(api: Api, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mail_connection, "WRONG_PAUSE_S", 0.0)
    async with Lines(api) as lines:
        line = await lines.named()
        answers = await ask(line, *(f"RCPT TO:<person{number}@c>" for number in range(6)))
        assert {one[:3] for one in answers} == {"550"}
        assert (await ask(line, "DATA", "Subject: Copy failed\r\n\r\nDisk full.\r\n."))[-1].startswith("250")


async def test_who_sends_commands_without_end_is_cut_off(api: Api):
    async with Lines(api) as lines:
        (line,) = await lines.strangers(1)
        line[1].write(b"NOOP\r\n" * 5000 + b"\r\n" * 5000)
        async with asyncio.timeout(20):
            answers = (await line[0].read()).decode().splitlines()
        assert answers[-1] == "421 4.7.0 Too many commands"
        assert len(answers) <= mail_connection.ANSWERS_MOST + 1
