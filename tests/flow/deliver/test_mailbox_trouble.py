"""IMAP servers that misbehave: the reader never hangs, says why, and tries again; a refused access token is replaced once."""

import asyncio
import base64
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from app.core.mailbox_url import mailbox_key, read_mailbox_url
from app.deliver import imap_session
from app.deliver.imap_session import FAILURES, LoginRefused
from app.deliver.mailbox import MailboxReader
from app.store.returned_mails import find_mailbox_position
from tests.support.context import open_system
from tests.support.smtp_client import raw_server

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
HANGS_S = 0.5


class Tokens:
    """A source of tokens that hands out the next one after one was refused."""

    def __init__(self, *tokens: str) -> None:
        self.left = list(tokens)
        self.forgot: list[str] = []

    async def token(self) -> str:
        return self.left[0]

    def forget(self, token: str) -> None:
        self.forgot.append(token)
        self.left = self.left[1:] or self.left


async def silent(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(30)


async def garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff" * 100 + b"\r\n")


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"* BYE come back later\r\n")


def server_that_takes(good: str, *, then: bytes = b"") -> Talk:
    """Return a server that accepts one access token; `then` follows the open folder."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] ready\r\n")
        while line := await reader.readline():
            tag, _, command = line.strip().partition(b" ")
            word = command.split(b" ")[0].upper()
            if word == b"AUTHENTICATE":
                writer.write(b"+ \r\n")
                words = base64.b64decode(await reader.readline())
                is_right = f"auth=Bearer {good}\x01".encode() in words
                writer.write(tag + (b" OK in\r\n" if is_right else b" NO [AUTHENTICATIONFAILED] token expired\r\n"))
            elif word == b"CAPABILITY":
                writer.write(b"* CAPABILITY IMAP4rev1\r\n" + tag + b" OK done\r\n")
            elif word == b"SELECT":
                writer.write(b"* 0 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n" + tag + b" OK [READ-WRITE] done\r\n")
            elif word == b"UID" and then:
                writer.write(then)
            else:
                writer.write(tag + b" OK done\r\n")

    return talk


def reader_of(system: object, port: int, tokens: Tokens) -> MailboxReader:
    server = read_mailbox_url(f"imap://ann%40example.org@localhost:{port}/INBOX?auth=xoauth2&tls=none")
    return MailboxReader(system.context, server, tokens)  # type: ignore[attr-defined,arg-type]


@pytest.mark.parametrize("talk", [silent, garbage, hang_up])
async def test_a_server_that_makes_no_sense_is_left_in_time(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, talk: Talk
):
    monkeypatch.setattr(imap_session, "TIMEOUT_S", HANGS_S)
    async with open_system(database_url, tmp_path) as system, raw_server(talk) as port:
        reader = reader_of(system, port, Tokens("good"))
        stopping = asyncio.Event()
        work = asyncio.create_task(reader.run(stopping))
        async with asyncio.timeout(15):
            position = None
            while position is None:
                await asyncio.sleep(0.05)
                async with system.context.database.read() as tx:
                    position = await find_mailbox_position(tx, mailbox_key(reader._server))
            assert position.trouble
            stopping.set()
            reader.stop()
            await work


async def test_a_token_that_is_refused_is_replaced_once(database_url: str, tmp_path: Path):
    async with open_system(database_url, tmp_path) as system, raw_server(server_that_takes("new")) as port:
        tokens = Tokens("old", "new")
        reader = reader_of(system, port, tokens)
        await reader._open()
        assert await reader.read_new() == 0
        await reader._close()
        assert tokens.forgot == ["old"]


async def test_a_second_refusal_is_reported_without_the_token(database_url: str, tmp_path: Path):
    async with open_system(database_url, tmp_path) as system, raw_server(server_that_takes("other")) as port:
        reader = reader_of(system, port, Tokens("s3cret1", "s3cret2"))
        with pytest.raises(LoginRefused, match="token expired") as refused:
            await reader._open()
        await reader._close()
        assert "s3cret" not in str(refused.value)


async def test_an_answer_that_is_wrong_stores_nothing(database_url: str, tmp_path: Path):
    talk = server_that_takes("good", then=b"* SEARCH 1 2 x\r\n* BYE\r\n")
    async with open_system(database_url, tmp_path) as system, raw_server(talk) as port:
        reader = reader_of(system, port, Tokens("good"))
        await reader._open()
        with pytest.raises(FAILURES):
            await reader.read_new()
        await reader._close()


async def test_a_server_that_says_nothing_does_not_hold_up_the_end_of_the_process(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(imap_session, "TIMEOUT_S", 5)
    async with open_system(database_url, tmp_path) as system, raw_server(silent) as port:
        work = asyncio.create_task(reader_of(system, port, Tokens("good")).run(asyncio.Event()))
        await asyncio.sleep(0.1)
        waiting = [thread for thread in threading.enumerate() if thread.name.startswith("mailbox")]
        work.cancel()
        assert waiting, "the reader waits for the greeting"
        assert all(thread.daemon for thread in waiting), "Python ends a process only after all its other threads"
