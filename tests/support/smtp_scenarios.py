"""Mail servers that misbehave, each in one way, and what becomes of a mail: `python -m tests.support.smtp_scenarios` prints it.

The table `tests/unit/deliver/smtp_scenarios.tsv` has these results next to those of commit 8440158, where the same file was run.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from app.core.errors import BadSettings
from app.domain.attempt import Outcome, Permanent, Sent, Temporary
from tests.support.smtp import Behave, SmtpServer
from tests.support.smtp_client import HUGE, MAIL, client, parcel, raw_server

_OLD_SERVER = b"250-me\r\n250 SIZE 35000000\r\n"  # neither PIPELINING nor SMTPUTF8


@dataclass(frozen=True, slots=True)
class Scenario:
    """One misbehaving server, and the mail that is sent to it. `times`: that many mails, of which the last one counts."""

    name: str
    behave: Behave = field(default_factory=Behave)
    server: dict[str, Any] = field(default_factory=dict)
    client: dict[str, Any] = field(default_factory=dict)
    to: str = "ann@example.org"
    body: bytes = MAIL
    times: int = 1
    is_old: bool = False


def _refuses(name: str, place: str, answer: str) -> Scenario:
    answers = {"EHLO": answer, "HELO": answer} if place == "EHLO" else {place: answer}
    return Scenario(f"{name}: {answer} at {place}", Behave(answers=answers))


SCENARIOS = (
    _refuses("refuses our name", "EHLO", "504 5.5.2 <host>: Helo command rejected: need fully-qualified hostname"),
    _refuses("refuses our name", "MAIL", "550 Access denied - Invalid HELO name"),
    _refuses("refuses our name", "RCPT", "504 5.5.2 <host>: Helo command rejected: need fully-qualified hostname"),
    _refuses("refuses our name", "RCPT", "550 5.7.1 <host.lan>: Helo command rejected: Host not found"),
    _refuses("refuses our sender", "MAIL", "550 5.7.1 Sender not allowed"),
    _refuses("refuses our sender", "MAIL", "553 5.7.1 Sender address rejected: not owned by user ann"),
    _refuses("refuses our sender", "DOT", "554 5.2.252 SendAsDenied; ann not allowed to send as tocsin"),
    _refuses("refuses our sender", "DOT", "550 5.7.60 SMTP; Client does not have permissions to send as this sender"),
    _refuses("does not relay for us", "RCPT", "554 5.7.1 <ann@example.org>: Relay access denied"),
    _refuses("does not relay for us", "RCPT", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain"),
    _refuses("requires a login", "MAIL", "530 5.7.57 Client not authenticated to send mail"),
    _refuses("requires a login", "RCPT", "550 5.7.1 Client was not authenticated"),
    Scenario("refuses the password", server={"users": {"u": "right"}}, client={"login": "u:wrong@"}),
    Scenario("does not offer our kind of login", server={"users": {"u": "p"}, "mechanisms": ("LOGIN",)}, client={"login": "u:p@", "query": "tls=none&auth=plain"}),
    _refuses("has a quota for us", "MAIL", "550 5.4.5 Daily user sending limit exceeded"),
    _refuses("has a quota for us", "DOT", "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException"),
    _refuses("has a quota for us", "RCPT", "554 5.7.0 The limit on the number of allowed outgoing messages was exceeded"),
    _refuses("misses SPF or DKIM", "DOT", "550 5.7.26 This mail has been blocked because the sender is unauthenticated"),
    _refuses("misses reverse DNS", "RCPT", "550 5.7.25 The IP address sending this message does not have a PTR record"),
    _refuses("blocks our host", "CONNECT", "554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org"),
    _refuses("is busy", "CONNECT", "421 4.3.2 too many connections"),
    _refuses("mailbox is full", "RCPT", "552 5.2.2 The email account that you tried to reach is over quota"),
    _refuses("mailbox is full", "RCPT", "452 4.2.2 The email account that you tried to reach is over quota"),
    _refuses("greylists", "RCPT", "451 4.7.1 Greylisted, try again in 300 seconds"),
    _refuses("knows no such recipient", "RCPT", "550 5.1.1 User unknown"),
    _refuses("takes the mail for spam", "DOT", "554 5.7.1 Message rejected as spam"),
    _refuses("finds the mail too large", "MAIL", "552 5.3.4 Message size exceeds fixed maximum message size"),
    Scenario("closes the connection after RCPT", Behave(hang_up="RCPT")),
    Scenario("closes the connection within a long mail", Behave(hang_up="BODY"), body=HUGE),
    Scenario("closes the connection after the final dot", Behave(hang_up="DOT")),
    Scenario("is silent after RCPT", Behave(delays={"RCPT": 2})),
    Scenario("is silent after the final dot", Behave(delays={"DOT": 2})),
    Scenario("answers RCPT with nonsense", Behave(answers={"RCPT": "what?"})),
    Scenario("answers the final dot with nonsense", Behave(answers={"DOT": "what?"})),
    Scenario("closes after each mail, with 421 to the next", Behave(max_messages=1), times=2),
    Scenario("has a certificate that we do not trust", server={"tls": "starttls"}, client={"query": "tls=starttls"}),
    Scenario("does not offer STARTTLS", client={"query": "tls=starttls"}),
    Scenario("knows no SMTPUTF8; domain is not ASCII", to="ann@exämple.org", is_old=True),
    Scenario("knows no SMTPUTF8; local part is not ASCII", to="jörg@example.org", is_old=True),
)  # fmt: skip


async def play(scenario: Scenario) -> str:
    """Return what becomes of the mail, in words."""
    outcome: Outcome | None = None
    settings = {"smtp_timeout_s": 0.5, "smtp_connections": 1, **scenario.client}
    async with _server(scenario) as port, client(port, **settings) as transport:
        for _ in range(scenario.times):
            outcome = await transport.send(parcel(scenario.body, scenario.to))
    match outcome:
        case Sent():
            return "sent"
        case Permanent():
            return "given up here at once"
        case Temporary():
            code = "" if outcome.code.isdigit() else f" ({outcome.code})"
            return f"waits; an alert goes by the next way {'at once' if outcome.is_hopeless_here else 'after 15 min'}{code}"
        case _:
            return "may have arrived: sent again with the same Message-ID"


@asynccontextmanager
async def _server(scenario: Scenario) -> AsyncIterator[int]:
    if not scenario.is_old:
        with SmtpServer(scenario.behave, **scenario.server) as running:
            yield running.port
        return

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        answers = {b"EHLO": _OLD_SERVER, b"DATA": b"354 go on\r\n"}
        while line := await reader.readline():
            writer.write(answers.get(line[:4], b"250 ok\r\n"))
            if line.startswith(b"DATA"):
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 kept\r\n")

    async with raw_server(talk) as port:
        yield port


async def _print_all() -> None:
    for scenario in SCENARIOS:
        with suppress(BadSettings):
            print(scenario.name, await play(scenario), sep="\t")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(_print_all())
