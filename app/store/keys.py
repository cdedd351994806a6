"""Keys in the database, by hash. It must never see a key itself."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Row, Select, insert, select, update

from app.domain.key import Key, KeyKind
from app.store.tables import agents
from app.store.tables_managed import keys
from app.store.transactions import ReadTx, WriteTx


async def insert_key(tx: WriteTx, key: Key, key_hash: str) -> None:
    """Store a new key under its hash."""
    await tx.connection.execute(
        insert(keys).values(
            id=key.id,
            customer_id=key.customer_id,
            agent_id=key.agent_id,
            relay_id=key.relay_id,
            job=key.job,
            kind=key.kind,
            name=key.name,
            hash=key_hash,
            hint=key.hint,
            created_at=key.created_at,
        )
    )


async def find_by_hash(tx: ReadTx, key_hash: str) -> tuple[Key, str] | None:
    """Give the living key with this hash, and the hash as stored, for a comparison in constant time."""
    row = (await tx.connection.execute(_whole().where(keys.c.hash == key_hash, keys.c.revoked_at.is_(None)))).first()
    return None if row is None else (_key(row), row.hash)


async def get_key(tx: ReadTx, key_id: str) -> Key | None:
    """Give one key, revoked or not."""
    row = (await tx.connection.execute(_whole().where(keys.c.id == key_id))).first()
    return None if row is None else _key(row)


async def revoke_key(tx: WriteTx, key_id: str, at: datetime) -> bool:
    """End a key; say whether it lived until now."""
    ended = await tx.connection.execute(
        update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=at)
    )
    return ended.rowcount == 1


async def touch_keys(tx: WriteTx, key_ids: Collection[str], at: datetime) -> None:
    """Note that these keys were used."""
    await tx.connection.execute(update(keys).where(keys.c.id.in_(sorted(key_ids))).values(last_used_at=at))


def _whole() -> Select[tuple[object, ...]]:
    return select(keys, agents.c.name.label("agent_name")).join_from(keys, agents, isouter=True)


def _key(row: Row[tuple[object, ...]]) -> Key:
    return Key(
        id=row.id,
        kind=KeyKind(row.kind),
        name=row.name,
        hint=row.hint,
        created_at=row.created_at,
        customer_id=row.customer_id,
        agent_id=row.agent_id,
        agent_name=row.agent_name,
        relay_id=row.relay_id,
        job=row.job,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )


async def count_living(tx: WriteTx, kind: KeyKind) -> int:
    """Count the keys of a kind that are not revoked, each locked until the commit: two at once must not end the last two."""
    living = select(keys.c.id).where(keys.c.kind == kind, keys.c.revoked_at.is_(None)).order_by(keys.c.id)
    return len((await tx.connection.execute(living.with_for_update())).all())
