"""Sessions: one begins when a person has shown who they are, and ends when they or an owner say so. Each has its audit entry."""

import secrets
from dataclasses import dataclass
from datetime import datetime

from app.admin.audit import Self, note
from app.core.ids import new_id
from app.core.secret import Secret
from app.domain.person import Person
from app.domain.session import Session, SignInWay
from app.store.people import PEOPLE, insert_session, note_sign_in, prove_session, revoke_sessions
from app.store.transactions import WriteTx

_BROWSER_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Browser:
    """Where a request to sign in came from."""

    address: str | None
    name: str | None


async def open_session(
    tx: WriteTx,
    secret: Secret,
    person: Person,
    way: SignInWay,
    browser: Browser,
    at: datetime,
    *,
    proved_at: datetime | None = None,
) -> str:
    """Start a session of a person who has shown who they are, at `proved_at` or now; return its token. It is always a new one (no fixation)."""
    token = secrets.token_urlsafe(32)
    session = Session(
        id=new_id("ses"),
        person_id=person.id,
        way=way,
        created_at=at,
        seen_at=at,
        proved_at=proved_at or at,
        address=browser.address,
        browser=(browser.name or "")[:_BROWSER_LONGEST] or None,
    )
    await insert_session(tx, session, hash_of_session(secret, token))
    await note_sign_in(tx, person.id, at)
    change = {"way": way.value, "address": browser.address, "session": session.id}
    await note(tx, Self.of(person, at), "sign in", PEOPLE.noun, person.id, change)
    return token


async def prove_again(tx: WriteTx, secret: Secret, session: Session, at: datetime) -> str:
    """Note that the person of a session showed again who they are; return the session's new token."""
    token = secrets.token_urlsafe(32)
    await prove_session(tx, session.id, hash_of_session(secret, token), at)
    return token


async def sign_out(tx: WriteTx, person: Person, session_id: str, at: datetime) -> None:
    """End a session of a person."""
    if await revoke_sessions(tx, person.id, at, only=session_id):
        await note(tx, Self.of(person, at), "sign out", PEOPLE.noun, person.id, {"session": session_id})


async def end_session(tx: WriteTx, person: Person, here: str, session_id: str | None, at: datetime) -> None:
    """End another session of a person; without an id, all but this one."""
    if session_id == here:
        return
    if ended := await revoke_sessions(tx, person.id, at, only=session_id, but=here):
        change = {"sessions": ended, "session": session_id}
        await note(tx, Self.of(person, at), "end sessions", PEOPLE.noun, person.id, change)


def hash_of_session(secret: Secret, token: str) -> str:
    """Return what is stored of a session's token."""
    return secret.hash_key(f"session:{token}")
