"""The envelope sender of a mail and the notices that are asked for (RFC 3461), as a server sees them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from app.deliver.transports.smtp_server_pool import SENDER_REFUSED
from app.domain.attempt import Sent, Temporary
from tests.support.smtp import Behave, SmtpServer
from tests.support.smtp_client import client, parcel, raw_server

OWN = "bounces+b0193a5f2c4d10123456789abcdef.abcdefghabcdefgh@example.org"


@dataclass
class Server:
    """Accepts every mail and keeps the commands; MAIL with one of `refused` in it is refused."""

    extensions: Sequence[str] = ("PIPELINING", "DSN")
    refused: str | None = None
    commands: list[str] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test\r\n")
        in_mail = False
        while line := (await reader.readline()).decode().strip():
            self.commands.append(line)
            word = line.split(" ")[0].upper()
            if word == "EHLO":
                lines = ["mail.test", *self.extensions]
                answers = [f"250-{one}" for one in lines[:-1]] + [f"250 {lines[-1]}"]
                writer.write("".join(f"{one}\r\n" for one in answers).encode())
            elif word == "MAIL":
                in_mail = not (self.refused and self.refused in line)
                writer.write(b"250 ok\r\n" if in_mail else b"550 5.7.60 not allowed to send as this sender\r\n")
            elif not in_mail and word in ("RCPT", "DATA"):
                writer.write(b"503 no MAIL\r\n")
            elif word == "DATA":
                writer.write(b"354 go on\r\n")
                while (await reader.readline()).strip() != b".":
                    pass
                writer.write(b"250 2.0.0 kept\r\n")
            else:
                writer.write(b"250 ok\r\n")

    def starting(self, word: str) -> list[str]:
        """Return the commands that begin with `word`."""
        return [one for one in self.commands if one.startswith(word)]


@pytest.mark.parametrize(
    ("extensions", "mail", "rcpt"),
    [
        (("DSN",), f"MAIL FROM:<{OWN}> RET=HDRS ENVID=msg_1", "RCPT TO:<ann@example.org> NOTIFY=FAILURE,DELAY"),
        (("PIPELINING", "DSN"), f"MAIL FROM:<{OWN}> RET=HDRS ENVID=msg_1", "RCPT TO:<ann@example.org> NOTIFY=FAILURE,DELAY"),
        (("PIPELINING",), f"MAIL FROM:<{OWN}>", "RCPT TO:<ann@example.org>"),
    ],
)  # fmt: skip
async def test_notices_are_asked_for_where_the_server_offers_them(extensions: Sequence[str], mail: str, rcpt: str):
    server = Server(extensions)
    async with raw_server(server.talk) as port, client(port) as transport:
        outcome = await transport.send(replace(parcel(), envelope_sender=OWN))
    assert outcome == Sent("250", "2.0.0 kept")
    assert (server.starting("MAIL"), server.starting("RCPT")) == ([mail], [rcpt])


async def test_without_a_bounce_address_the_sender_of_the_mail_is_used():
    server = Server(())
    async with raw_server(server.talk) as port, client(port) as transport:
        await transport.send(parcel())
    assert server.starting("MAIL") == ["MAIL FROM:<tocsin@example.org>"]


@pytest.mark.parametrize("extensions", [(), ("PIPELINING", "DSN")])
async def test_a_server_that_refuses_our_bounce_address_gets_the_mail_without_it(extensions: Sequence[str]):
    server = Server(extensions, refused="bounces+")
    async with raw_server(server.talk) as port, client(port) as transport:
        first = await transport.send(replace(parcel(), envelope_sender=OWN))
        second = await transport.send(replace(parcel(), envelope_sender=OWN))
    assert isinstance(first, Sent)
    assert f"{SENDER_REFUSED} 550 5.7.60 not allowed" in first.text
    assert second == Sent("250", "2.0.0 kept")
    senders = [line.partition(">")[0].partition("<")[2] for line in server.starting("MAIL")]
    assert senders == [OWN, "tocsin@example.org", "tocsin@example.org"]  # it is asked once, not for each mail


async def test_a_server_that_refuses_every_sender_is_not_asked_twice():
    server = Server((), refused="@")
    async with raw_server(server.talk) as port, client(port) as transport:
        outcome = await transport.send(parcel())
    assert "5.7.60" in outcome.text
    assert len(server.starting("MAIL")) == 1


@pytest.mark.parametrize("place", ["RCPT", "DOT"])
async def test_a_bounce_address_that_is_refused_later_is_left_out_too(server: SmtpServer, place: str):
    """Postfix refuses a sender only after RCPT, and Exchange after the whole mail. This server refuses the other sender as well."""
    server.behave = Behave(answers={place: "553 5.7.1 Sender address rejected: not owned by user"})
    async with client(server, smtp_connections=1) as transport:
        first = await transport.send(replace(parcel(), envelope_sender=OWN))
        second = await transport.send(replace(parcel(), envelope_sender=OWN))
    assert isinstance(first, Temporary)
    assert isinstance(second, Temporary)
    assert server.count(place) == 2, "once with each sender, and then not again for a while"
