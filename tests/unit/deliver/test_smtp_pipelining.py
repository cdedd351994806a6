"""SMTP to servers that take several commands at once (RFC 2920), and to such as answer in pieces, too much, or what nobody asked."""

import asyncio
import contextlib
from dataclasses import dataclass, field

import pytest

from app.domain.attempt import Permanent, Sent, Temporary, Unknown
from tests.support.smtp import Behave, SmtpServer
from tests.support.smtp_client import HUGE, MAIL, client, parcel, raw_server, send_to

HOST = "127.0.0.1"
USUAL = {
    "EHLO": b"250-mail.test\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
    "MAIL": b"250 ok\r\n",
    "RCPT": b"250 ok\r\n",
    "DATA": b"354 go on\r\n",
    "DOT": b"250 2.0.0 kept\r\n",
    "RSET": b"250 ok\r\n",
    "QUIT": b"221 bye\r\n",
}


@dataclass
class Script:
    """Replies byte for byte as scripted, which a correct server cannot do. Keeps the mails that were ended by the final dot."""

    answers: dict[str, bytes] = field(default_factory=dict)
    is_torn: bool = False
    """Send every byte by itself."""
    mails: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        answers = USUAL | self.answers
        with contextlib.suppress(ConnectionError):
            await self._say(writer, b"220 hello\r\n")
            while line := await reader.readline():
                place = line[:4].decode().upper()
                await self._say(writer, answers[place])
                if place == "DATA" and answers[place].startswith(b"354"):
                    mail = await _until_dot(reader)
                    if mail is None:
                        return
                    self.mails.append(mail)
                    await self._say(writer, answers["DOT"])

    async def _say(self, writer: asyncio.StreamWriter, words: bytes) -> None:
        for piece in [words[n : n + 1] for n in range(len(words))] if self.is_torn else [words]:
            writer.write(piece)
            await writer.drain()
            if self.is_torn:
                await asyncio.sleep(0.001)


async def _until_dot(reader: asyncio.StreamReader) -> bytes | None:
    lines = []
    while (line := await reader.readline()) != b".\r\n":
        if not line:
            return None
        lines.append(line)
    return b"".join(lines)


async def test_three_commands_are_sent_at_once_and_the_body_only_after_their_replies():
    heard: list[bytes] = []

    async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        await reader.readline()
        writer.write(USUAL["EHLO"])
        heard.append(await reader.readuntil(b"DATA\r\n"))
        with contextlib.suppress(TimeoutError):
            heard.append(await asyncio.wait_for(reader.read(1), 0.3))
        writer.write(b"250 ok\r\n250 ok\r\n354 go on\r\n")
        heard.append(await reader.readuntil(b"\r\n.\r\n"))
        writer.write(b"250 kept\r\n")
        await reader.read()

    async with raw_server(watch) as port:
        assert await send_to(port, host=HOST) == Sent("250", "kept")
    envelope, body = heard
    assert envelope == b"MAIL FROM:<tocsin@example.org>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n"
    assert body.endswith(b"\r\n.\r\n")


@pytest.mark.parametrize("is_torn", [True, False])
async def test_replies_are_read_however_they_are_split(is_torn: bool):
    script = Script({"MAIL": b"250-well\r\n250-now\r\n250 ok\r\n", "DOT": b"250-kept\r\n250 as 17\n"}, is_torn=is_torn)
    async with raw_server(script.talk) as port, client(port, host=HOST, smtp_connections=1) as transport:
        for _ in range(3):
            assert await transport.send(parcel()) == Sent("250", "kept\nas 17")
    assert len(script.mails) == 3
    assert script.connections == 1


async def test_a_refused_recipient_keeps_the_connection_and_the_next_mail_gets_its_own_replies():
    script = Script({"RCPT": b"550 5.1.1 nobody\r\n", "DATA": b"503 no recipient\r\n"})
    async with raw_server(script.talk) as port, client(port, host=HOST, smtp_connections=1) as transport:
        for _ in range(3):
            assert await transport.send(parcel()) == Permanent("550", "5.1.1 nobody")
    assert script.connections == 1


async def test_a_server_that_accepts_data_without_recipients_gets_no_mail():
    """RFC 2920 section 3.1: DATA may be answered by 354 although the recipient was refused."""
    script = Script({"RCPT": b"450 4.2.1 later\r\n"})
    async with raw_server(script.talk) as port, client(port, host=HOST, smtp_connections=1) as transport:
        assert await transport.send(parcel()) == Temporary("450", "4.2.1 later")
        script.answers = {}
        assert isinstance(await transport.send(parcel()), Sent)
    assert script.connections == 2
    assert len(script.mails) == 1


async def test_the_first_refusal_counts_even_if_the_connection_is_lost_after_it(server: SmtpServer):
    server.behave = Behave(answers={"RCPT": "550 5.1.1 nobody"}, hang_up="DATA")
    assert await send_to(server) == Permanent("550", "5.1.1 nobody")


async def test_an_unexpected_reply_is_never_taken_for_the_next_one():
    """A second 250 after the final dot would be taken for the reply to the next MAIL, and every later mail would get the reply of the one before."""
    script = Script({"DOT": b"250 kept\r\n250 kept again\r\n"})
    async with raw_server(script.talk) as port, client(port, host=HOST, smtp_connections=1) as transport:
        assert isinstance(await transport.send(parcel()), Sent)
        await asyncio.sleep(0.05)
        script.answers = {"DOT": b"554 5.7.1 never\r\n"}
        assert await transport.send(parcel()) == Permanent("554", "5.7.1 never")
    assert script.connections == 2


async def test_after_a_lost_pipelined_connection_commands_are_sent_one_by_one():
    mails = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while heard := await reader.read(4096):
            place = heard[:4].decode().upper()
            writer.write(USUAL[place])
            if place == "DATA":
                mails.append(await _until_dot(reader))
                writer.write(USUAL["DOT"])

    async with raw_server(talk) as port, client(port, host=HOST, smtp_timeout_s=0.3) as transport:
        assert isinstance(await transport.send(parcel()), Temporary)
        for _ in range(2):
            assert await transport.send(parcel()) == Sent("250", "2.0.0 kept")
    assert len(mails) == 2


@pytest.mark.parametrize("ehlo", [USUAL["EHLO"], b"250 mail.test\r\n"], ids=["pipelining", "one-by-one"])
@pytest.mark.parametrize("body", [MAIL, HUGE], ids=["short", "long"])
async def test_a_success_reply_before_the_final_dot_is_not_trusted(ehlo: bytes, body: bytes):
    script = Script({"EHLO": ehlo, "DATA": b"354 go on\r\n250 too early\r\n", "DOT": b"554 5.7.1 never\r\n"})
    async with raw_server(script.talk) as port:
        assert await send_to(port, body, host=HOST) == Temporary("250", "too early")
    assert script.mails == []


@pytest.mark.parametrize(
    "words",
    [
        b"250-" + b"x" * 100_000,
        b"250-more\r\n" * 10_000,
        b"250 yes\r\n" * 10_000,
        b"what?\r\n",
        b"25\r\n",
        b"250x\r\n",
        b"550-no\r\n250 yes\r\n",
    ],
    ids=["no line end", "no last line", "answers for ever", "no code", "half a code", "no space", "yes and no"],
)
async def test_an_invalid_reply_before_the_final_dot_sends_nothing_and_after_it_is_unknown(words: bytes):
    script = Script({"MAIL": words})
    async with raw_server(script.talk) as port:
        assert isinstance(await send_to(port, host=HOST), Temporary)
    assert script.mails == []
    script = Script({"DOT": words})
    async with raw_server(script.talk) as port:
        outcome = await send_to(port, host=HOST)
    if words.startswith(b"250 yes"):  # the dot has its answer: that is a fact
        assert outcome == Sent("250", "yes")
    else:
        assert isinstance(outcome, Unknown)
    assert script.mails == [MAIL.replace(b"\r\n.", b"\r\n..")]
