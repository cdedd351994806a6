"""How a relay tells of its host, and what the service wants of it: the shapes of a heartbeat and of its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from programs.protocol.checked import BadShape, Given, given_in

ASKED_MOST = 2 * 1024 * 1024  # bytes of anything that a relay sends
LINES_MOST = 100
STATES = ("ok", "warning", "fail")
_NAME, _TEXT = 200, 2000


@dataclass(frozen=True)
class Wanted:
    """What the service wants of a relay. `doctor_asked` changes whenever the doctor is asked for anew."""

    is_paused: bool = False
    why: str = ""
    doctor_asked: str = ""

    @classmethod
    def read(cls, given: Given) -> Wanted:
        """Read it."""
        return cls(given.flag("is_paused"), given.cut("why", _TEXT), given.text("doctor_asked", _NAME))


@dataclass(frozen=True)
class DoctorLine:
    """One point that the doctor looked at: `ok`, `warning` or `fail`, what was found, and what to do about it."""

    name: str
    state: str
    found: str
    remedy: str = ""

    @classmethod
    def read(cls, given: Given) -> DoctorLine:
        """Read it."""
        state = given.text("state", _NAME, least=1)
        if state not in STATES:
            raise BadShape("state", "is none of " + ", ".join(STATES))
        return cls(given.text("name", _NAME, least=1), state, given.cut("found", _TEXT), given.cut("remedy", _TEXT))


@dataclass(frozen=True)
class Heartbeat:
    """How a relay is. `doctor_at` (RFC 3339) and `doctor` are its last report; `answers` names the wish that it answers.

    `paused_why` is not empty while the relay itself refuses to send. `waiting` messages lie in its spool, the oldest since `oldest_s`.
    """

    version: str
    host: str
    python: str = ""
    client: str = ""
    client_why: str = ""
    profile: str = ""
    paused_why: str = ""
    waiting: int = 0
    oldest_s: float = 0.0
    sent: int = 0
    doctor_at: str = ""
    answers: str = ""
    doctor: Sequence[DoctorLine] = ()

    def as_json(self) -> dict[str, Any]:
        """Give it as it travels."""
        return {**self.__dict__, "doctor": [one.__dict__ for one in self.doctor]}

    @classmethod
    def from_json(cls, data: bytes) -> Heartbeat:
        """Read it."""
        given = given_in(data, ASKED_MOST)
        return cls(
            version=given.text("version", _NAME, least=1),
            host=given.text("host", _NAME, least=1),
            python=given.cut("python", _NAME),
            client=given.cut("client", _NAME),
            client_why=given.cut("client_why", _TEXT),
            profile=given.cut("profile", _NAME),
            paused_why=given.cut("paused_why", _TEXT),
            waiting=int(given.number("waiting", 0, 1e9, 0)),
            oldest_s=given.number("oldest_s", 0, 1e10, 0),
            sent=int(given.number("sent", 0, 1e15, 0)),
            doctor_at=given.text("doctor_at", _NAME),
            answers=given.text("answers", _NAME),
            doctor=[DoctorLine.read(one) for one in given.objects("doctor", LINES_MOST)],
        )


def wanted_from_json(data: bytes) -> Wanted:
    """Read the answer to a heartbeat."""
    return Wanted.read(given_in(data, ASKED_MOST).object("wanted"))
