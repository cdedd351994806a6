"""Sessions in the database, by the hash of their token. The token itself is only in the browser."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, exists, insert, select, update

from app.domain.person import Person
from app.domain.session import IDLE, LONGEST, Session
from app.store.people import PEOPLE
from app.store.repository import Repository
from app.store.tables_people import people, sessions
from app.store.transactions import ReadTx, WriteTx

SESSIONS = Repository(sessions, Session, noun="session", prefix="ses")


async def insert_session(tx: WriteTx, session: Session, token_hash: str) -> None:
    """Store a new session under the hash of its token, and forget those of the person that are over."""
    over = (sessions.c.seen_at < session.created_at - IDLE) | (sessions.c.created_at < session.created_at - LONGEST)
    await tx.connection.execute(delete(sessions).where(sessions.c.person_id == session.person_id, over))
    await tx.connection.execute(insert(sessions).values(**SESSIONS.mapping.write(session), hash=token_hash))


async def find_session(tx: ReadTx, token_hash: str) -> tuple[Session, Person, str, bool] | None:
    """Return the session with this hash, its person, the hash as stored, and whether somebody else has the person's name.

    The hash is for a comparison in constant time.
    """
    own, other = people.alias("own"), people.alias("other")
    namesake = select(own.c.id).join(other, (other.c.name == own.c.name) & (other.c.id != own.c.id))
    query = select(sessions, exists(namesake.where(own.c.id == sessions.c.person_id)).label("has_namesake"))
    row = (await tx.connection.execute(query.where(sessions.c.hash == token_hash))).one_or_none()
    if row is None:
        return None
    person = await PEOPLE.find(tx, row.person_id)
    return None if person is None else (SESSIONS.mapping.read(row), person, row.hash, row.has_namesake)


async def sessions_of(tx: ReadTx, person_id: str) -> list[Session]:
    """Return the sessions of a person that were not revoked, the one used last first. Some may be over by their age."""
    query = select(*SESSIONS.mapping.columns).where(sessions.c.person_id == person_id, sessions.c.revoked_at.is_(None))
    return [
        SESSIONS.mapping.read(row) for row in await tx.connection.execute(query.order_by(sessions.c.seen_at.desc()))
    ]


async def revoke_sessions(
    tx: WriteTx, person_id: str, at: datetime, *, only: str | None = None, but: str | None = None
) -> int:
    """Revoke the sessions of a person, `only` one of them or all `but` one; return how many were in force."""
    living = [sessions.c.person_id == person_id, sessions.c.revoked_at.is_(None)]
    if only is not None:
        living.append(sessions.c.id == only)
    if but is not None:
        living.append(sessions.c.id != but)
    return (await tx.connection.execute(update(sessions).where(*living).values(revoked_at=at))).rowcount


async def prove_session(tx: WriteTx, session_id: str, token_hash: str, at: datetime) -> None:
    """Note that the person showed again who they are, and store the hash of the new token of the session."""
    await tx.connection.execute(
        update(sessions).where(sessions.c.id == session_id).values(hash=token_hash, proved_at=at, seen_at=at)
    )


async def touch_sessions(tx: WriteTx, ids: Iterable[str], at: datetime) -> None:
    """Store when these sessions were last used."""
    await tx.connection.execute(update(sessions).where(sessions.c.id.in_(sorted(ids))).values(seen_at=at))
