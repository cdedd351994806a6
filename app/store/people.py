"""People who sign in, in the database. What proves who they are is read only where it is needed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, func, select, update

from app.domain.person import Person, Role
from app.store.repository import Repository
from app.store.tables_people import people
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
    await _set(tx, person_id, external_id=external_id)


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
    await _set(tx, person_id, password_hash=password_hash)


async def set_codes(
    tx: WriteTx, person_id: str, secret: str | None, since: datetime | None, recovery_hashes: Sequence[str]
) -> None:
    """Store the secret of one-time codes and the hashes of recovery codes; a `secret` of None ends them."""
    await _set(
        tx, person_id, codes_secret=secret, codes_since=since, codes_step=None, recovery_hashes=list(recovery_hashes)
    )


async def use_code(tx: WriteTx, person_id: str, step: int) -> None:
    """Note the step of a code that was used."""
    await _set(tx, person_id, codes_step=step)


async def use_recovery_code(tx: WriteTx, person_id: str, left: Sequence[str]) -> None:
    """Keep the recovery codes that are left."""
    await _set(tx, person_id, recovery_hashes=list(left))


async def set_looks(tx: WriteTx, person_id: str, language: str | None, zone: str | None) -> None:
    """Store the language and the time zone that a person wants to see."""
    await _set(tx, person_id, language=language, zone=zone)


async def note_sign_in(tx: WriteTx, person_id: str, at: datetime) -> None:
    """Store when a person last signed in."""
    await _set(tx, person_id, last_sign_in_at=at)


async def count_owners(tx: WriteTx) -> int:
    """Return how many owners of everything can sign in, each locked until the commit: two requests must not remove the last two."""
    living = select(people.c.id).where(
        people.c.role == Role.OWNER, people.c.disabled_at.is_(None), people.c.customers.is_(None)
    )
    return len((await tx.connection.execute(living.order_by(people.c.id).with_for_update())).all())


async def _set(tx: WriteTx, person_id: str, **values: object) -> None:
    await tx.connection.execute(update(people).where(people.c.id == person_id).values(**values))
