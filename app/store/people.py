"""People who sign in: their accounts, sessions, links that sign in once, and failed sign-ins.

What proves who they are is read only where it is needed. Sessions and links are found by the hash of their token; the token itself is
not stored. Failed sign-ins are counted by keyed hashes of who tried.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, bindparam, delete, exists, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from app.domain.one_time_link import OneTimeLink
from app.domain.person import Person, Role
from app.domain.session import IDLE, LONGEST, Session
from app.domain.sign_in_delay import FORGOTTEN_AFTER
from app.store.prepared import Builder, Prepared, Values
from app.store.repository import Repository
from app.store.row_mapping import UNREADABLE
from app.store.tables_managed import failed_sign_ins, one_time_links, people, sessions
from app.store.transactions import ReadTx, WriteTx

PEOPLE = Repository(
    people, Person, noun="person", prefix="per", edited=("name", "email", "role", "customers", "disabled_at")
)


@dataclass(frozen=True, slots=True)
class Proofs:
    """How a person can show who they are. `codes_secret` is encrypted."""

    password_hash: str | None
    codes_secret: str | None
    codes_since: datetime | None
    codes_step: int | None
    recovery_hashes: tuple[str, ...]


async def list_people(tx: ReadTx) -> list[Person]:
    """Return everybody, by name."""
    rows = await tx.connection.execute(select(*PEOPLE.mapping.columns).order_by(func.lower(people.c.name), people.c.id))
    return [PEOPLE.mapping.read(row) for row in rows]


async def is_anybody_there(tx: ReadTx) -> bool:
    """Say whether there is a person at all."""
    return bool(await tx.connection.scalar(select(exists(select(people.c.id)))))


async def find_by_email(tx: ReadTx, email: str) -> Person | None:
    """Return the person with an address, in whatever letters it is written."""
    query = select(*PEOPLE.mapping.columns).where(people.c.email == email.strip().lower())
    row = (await tx.connection.execute(query)).one_or_none()
    return None if row is None else PEOPLE.mapping.read(row)


async def find_by_external_id(tx: ReadTx, external_id: str) -> Person | None:
    """Return the person who is this one at the identity provider."""
    query = select(*PEOPLE.mapping.columns).where(people.c.external_id == external_id)
    row = (await tx.connection.execute(query)).one_or_none()
    return None if row is None else PEOPLE.mapping.read(row)


async def external_id_of(tx: ReadTx, person_id: str) -> str | None:
    """Return who a person is at the identity provider."""
    found: str | None = await tx.connection.scalar(select(people.c.external_id).where(people.c.id == person_id))
    return found


async def set_external_id(tx: WriteTx, person_id: str, external_id: str | None) -> None:
    """Store who a person is at the identity provider."""
    await _set_of_person(tx, person_id, external_id=external_id)


async def proofs_of(tx: ReadTx, person_id: str, *, for_change: bool = False) -> Proofs:
    """Return how a person can show who they are; nothing for an id of nobody. With `for_change` the row is locked until the commit."""
    columns = (people.c[name] for name in Proofs.__slots__)
    query = select(*columns).where(people.c.id == person_id)
    row = (await tx.connection.execute(query.with_for_update() if for_change else query)).one_or_none()
    if row is None:
        return Proofs(None, None, None, None, ())
    return Proofs(**{**row._mapping, "recovery_hashes": tuple(row.recovery_hashes or ())})  # noqa: SLF001


async def set_password(tx: WriteTx, person_id: str, password_hash: str) -> None:
    """Store the hash of a new password."""
    await _set_of_person(tx, person_id, password_hash=password_hash)


async def set_codes(
    tx: WriteTx, person_id: str, secret: str | None, since: datetime | None, recovery_hashes: Sequence[str]
) -> None:
    """Store the secret of one-time codes and the hashes of recovery codes; a `secret` of None ends them."""
    await _set_of_person(
        tx, person_id, codes_secret=secret, codes_since=since, codes_step=None, recovery_hashes=list(recovery_hashes)
    )


async def use_code(tx: WriteTx, person_id: str, step: int) -> None:
    """Note the step of a code that was used."""
    await _set_of_person(tx, person_id, codes_step=step)


async def use_recovery_code(tx: WriteTx, person_id: str, left: Sequence[str]) -> None:
    """Keep the recovery codes that are left."""
    await _set_of_person(tx, person_id, recovery_hashes=list(left))


async def set_looks(tx: WriteTx, person_id: str, language: str | None, zone: str | None) -> None:
    """Store the language and the time zone that a person wants to see."""
    await _set_of_person(tx, person_id, language=language, zone=zone)


async def note_sign_in(tx: WriteTx, person_id: str, at: datetime) -> None:
    """Store when a person last signed in."""
    await _set_of_person(tx, person_id, last_sign_in_at=at)


async def count_owners(tx: WriteTx) -> int:
    """Return how many owners of everything can sign in, each locked until the commit: two requests must not remove the last two."""
    living = select(people.c.id).where(
        people.c.role == Role.OWNER, people.c.disabled_at.is_(None), people.c.customers.is_(None)
    )
    return len((await tx.connection.execute(living.order_by(people.c.id).with_for_update())).all())


async def _set_of_person(tx: WriteTx, person_id: str, **values: object) -> None:
    await tx.connection.execute(update(people).where(people.c.id == person_id).values(**values))


SESSIONS = Repository(sessions, Session, noun="session", prefix="ses")


async def insert_session(tx: WriteTx, session: Session, token_hash: str) -> None:
    """Store a new session under the hash of its token, and forget those of the person that are over."""
    over = (sessions.c.seen_at < session.created_at - IDLE) | (sessions.c.created_at < session.created_at - LONGEST)
    await tx.connection.execute(delete(sessions).where(sessions.c.person_id == session.person_id, over))
    await tx.connection.execute(insert(sessions).values(**SESSIONS.mapping.write(session), hash=token_hash))


def _build_session(_: Builder) -> Select[Values]:
    other = people.alias("other")
    namesake = select(other.c.id).where(other.c.name == people.c.name, other.c.id != people.c.id).correlate(people)
    columns = [*SESSIONS.mapping.columns, *PEOPLE.mapping.columns]
    named = (column.label(f"c{place}") for place, column in enumerate(columns))
    query = select(sessions.c.hash, exists(namesake).label("has_namesake"), *named)
    return query.join_from(sessions, people, people.c.id == sessions.c.person_id).where(
        sessions.c.hash == bindparam("hash")
    )


_SESSION = Prepared(_build_session)  # run for each page and each of its parts


async def find_session(tx: ReadTx, token_hash: str) -> tuple[Session, Person, str, bool] | None:
    """Return the session with this hash, its person, the hash as stored, and whether somebody else has the person's name.

    The hash is for a comparison in constant time.
    """
    found = await tx.fetch(_SESSION, hash=token_hash)
    if not found:
        return None
    [(stored, has_namesake, *values)] = found
    session = SESSIONS.mapping.read_values(values[: len(SESSIONS.mapping.columns)])
    try:
        person = PEOPLE.mapping.read_values(values[len(SESSIONS.mapping.columns) :])
    except UNREADABLE:
        person = await PEOPLE.get(tx, session.person_id)  # says what cannot be read
    return session, person, stored, bool(has_namesake)


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


LINKS = Repository(one_time_links, OneTimeLink, noun="link", prefix="otl")


async def insert_link(tx: WriteTx, link: OneTimeLink, token_hash: str) -> None:
    """Store a new link in place of the unused ones of the same person and purpose, and forget those that are over."""
    own = one_time_links.c.purpose == link.purpose
    own &= one_time_links.c.person_id == link.person_id if link.person_id else one_time_links.c.person_id.is_(None)
    over = one_time_links.c.expires_at < link.created_at
    await tx.connection.execute(delete(one_time_links).where((own & one_time_links.c.used_at.is_(None)) | over))
    await tx.connection.execute(insert(one_time_links).values(**LINKS.mapping.write(link), hash=token_hash))


async def find_link(tx: ReadTx, token_hash: str) -> tuple[OneTimeLink, str] | None:
    """Return the link with this hash, and the hash as stored, for a comparison in constant time."""
    row = (await tx.connection.execute(select(one_time_links).where(one_time_links.c.hash == token_hash))).one_or_none()
    return None if row is None else (LINKS.mapping.read(row), row.hash)


async def use_link(tx: WriteTx, link_id: str, at: datetime) -> bool:
    """Note that a link was used; return whether it was the first time."""
    used = update(one_time_links).where(one_time_links.c.id == link_id, one_time_links.c.used_at.is_(None))
    return (await tx.connection.execute(used.values(used_at=at))).rowcount == 1


async def end_links(tx: WriteTx, person_id: str) -> None:
    """Forget the links of a person that were not used."""
    unused = one_time_links.c.person_id == person_id, one_time_links.c.used_at.is_(None)
    await tx.connection.execute(delete(one_time_links).where(*unused))


@dataclass(frozen=True, slots=True)
class Failures:
    """How often somebody failed in a row, and when last."""

    count: int
    last_at: datetime


async def failures_of(tx: ReadTx, subjects: Iterable[str], now: datetime) -> dict[str, Failures]:
    """Return the failures of those who have any that are not forgotten."""
    own = failed_sign_ins.c.subject.in_(sorted(subjects))
    rows = await tx.connection.execute(
        select(failed_sign_ins).where(own, failed_sign_ins.c.last_at > now - FORGOTTEN_AFTER)
    )
    return {row.subject: Failures(row.failures, row.last_at) for row in rows}


async def forget_old_failures(tx: WriteTx, now: datetime) -> None:
    """Forget the old failures of anybody."""
    await tx.connection.execute(delete(failed_sign_ins).where(failed_sign_ins.c.last_at <= now - FORGOTTEN_AFTER))


async def count_failure(tx: WriteTx, subjects: Iterable[str], now: datetime) -> None:
    """Count one more failure of each, by one statement."""
    insert = sqlite.insert if tx.is_sqlite else postgresql.insert
    added = insert(failed_sign_ins).values(
        [{"subject": one, "failures": 1, "last_at": now} for one in sorted(subjects)]
    )
    await tx.connection.execute(
        added.on_conflict_do_update(
            index_elements=["subject"], set_={"failures": failed_sign_ins.c.failures + 1, "last_at": now}
        )
    )


async def take_back_failure(tx: WriteTx, subjects: Iterable[str]) -> None:
    """Count one failure less of each, as it was none."""
    own = failed_sign_ins.c.subject.in_(sorted(subjects)), failed_sign_ins.c.failures > 0
    await tx.connection.execute(update(failed_sign_ins).where(*own).values(failures=failed_sign_ins.c.failures - 1))


async def forget_failures(tx: WriteTx, subjects: Iterable[str]) -> None:
    """Forget the failures of these."""
    await tx.connection.execute(delete(failed_sign_ins).where(failed_sign_ins.c.subject.in_(sorted(subjects))))
