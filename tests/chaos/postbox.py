"""The mails that the mail server has accepted, and its faults: refusals, and connections that end after the final dot."""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, field
from email import message_from_bytes, policy

from tests.support.smtp import Behave, SmtpServer

NORMAL = Behave()
FAULTS = (
    Behave(answers={"RCPT": "451 4.7.1 greylisted"}),
    Behave(answers={"DOT": "452 4.3.1 out of space"}),
    Behave(answers={"CONNECT": "421 4.3.2 too busy"}),
    Behave(hang_up="BODY"),
    Behave(hang_up="DOT"),  # kept without a reply
)
FAULT_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Mail:
    """One copy of a mail that the server accepted."""

    message_id: str
    about: str  # "opened broken-1-2", "recovered broken-1-2" or "summary ..."
    job: str | None


@dataclass(slots=True)
class Postbox:
    """The mails at a server, read as they arrive."""

    server: SmtpServer
    mails: list[Mail] = field(default_factory=list)

    def read(self) -> list[Mail]:
        """Return all mails so far."""
        for received in self.server.messages[len(self.mails) :]:
            self.mails.append(_mail(received.data))
        return self.mails

    def failures(self) -> set[str]:
        """Return the jobs whose failure was mailed."""
        return {mail.job for mail in self.read() if mail.job is not None and mail.about.startswith("opened")}

    def copies(self) -> Counter[str]:
        """Count the copies of each mail by Message-ID."""
        return Counter(mail.message_id for mail in self.read())

    async def alternate_faults(self, dice: random.Random) -> None:
        """Switch between faults and normal behaviour until cancelled, then behave normally."""
        try:
            while True:
                self.server.behave = dice.choice(FAULTS) if dice.random() < FAULT_SHARE else NORMAL
                await asyncio.sleep(dice.uniform(0.05, 0.4))
        finally:
            self.server.behave = NORMAL


def _mail(data: bytes) -> Mail:
    mail = message_from_bytes(data, policy=policy.default)
    subject, kind = str(mail["Subject"]), str(mail["X-Tocsin"])
    job = next((word.rstrip(":,") for word in subject.split() if word.startswith("broken-")), None)
    what = kind.removeprefix("alert; ")
    return Mail(str(mail["Message-ID"]), f"{what} {job}" if job else f"{what} {subject}", job)
