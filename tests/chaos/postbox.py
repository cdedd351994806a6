"""What the mail server has taken, and the weather at it: refusals, and connections that end after the final dot."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from email import message_from_bytes, policy

from tests.support.smtp import Behave, SmtpServer

FAIR = Behave()
FOUL = (
    Behave(answers={"RCPT": "451 4.7.1 greylisted"}),
    Behave(answers={"DOT": "452 4.3.1 out of space"}),
    Behave(answers={"CONNECT": "421 4.3.2 too busy"}),
    Behave(hang_up="BODY"),
    Behave(hang_up="DOT"),  # kept, and never said so
)
FOUL_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Mail:
    """One copy of a mail that the server took."""

    message_id: str
    about: str  # "opened broken-1-2", "recovered broken-1-2" or "summary ..."
    job: str | None


@dataclass(slots=True)
class Postbox:
    """The mails at a server, read as they come."""

    server: SmtpServer
    mails: list[Mail] = field(default_factory=list)

    def read(self) -> list[Mail]:
        """Give all mails so far."""
        for received in self.server.messages[len(self.mails) :]:
            self.mails.append(_mail(received.data))
        return self.mails

    def failures(self) -> set[str]:
        """Give the jobs whose failure was mailed."""
        return {mail.job for mail in self.read() if mail.job is not None and mail.about.startswith("opened")}

    def copies(self) -> Counter[str]:
        """Say how often each mail came."""
        return Counter(mail.message_id for mail in self.read())

    async def weather(self, dice: random.Random) -> None:
        """Change for the worse and for the better until cancelled, then stay fair."""
        try:
            while True:
                self.server.behave = dice.choice(FOUL) if dice.random() < FOUL_SHARE else FAIR
                await asyncio.sleep(dice.uniform(0.05, 0.4))
        finally:
            self.server.behave = FAIR


def _mail(data: bytes) -> Mail:
    mail = message_from_bytes(data, policy=policy.default)
    subject, kind = str(mail["Subject"]), str(mail["X-Tocsin"])
    job = next((word.rstrip(":,") for word in subject.split() if word.startswith("broken-")), None)
    what = kind.removeprefix("alert; ")
    return Mail(str(mail["Message-ID"]), f"{what} {job}" if job else f"{what} {subject}", job)
