"""Keys and share links in the database, by the hash of their secret. The key or token itself is never stored."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, bindparam, case, insert, or_, select, update

from app.domain.key import Key, KeyKind
from app.domain.share_link import ShareKind, ShareLink
from app.store.repository import Page, Repository, Window, equals
from app.store.tables import agents
from app.store.tables_managed import keys, share_links
from app.store.transactions import ReadTx, WriteTx

_EDITED = (
    *("name", "names", "from_addresses", "agents_most", "agents_until", "approve"),
    *("expires_at",),
    *("events_a_minute", "new_agents_an_hour", "new_jobs_an_hour", "bytes_a_day"),
)
KEYS = Repository(keys, Key, noun="key", prefix="key", edited=_EDITED, without=("agent_name",))


async def page_keys(
    tx: ReadTx,
    window: Window,
    *,
    kind: KeyKind | None = None,
    customer_id: str | None = None,
    agent_id: str | None = None,
    relay_id: str | None = None,
    is_revoked: bool | None = None,
) -> Page[Key]:
    """Return keys in the order of their ids, filtered; without the names of their agents."""
    conditions = equals(keys, kind=kind, customer_id=customer_id, agent_id=agent_id, relay_id=relay_id)
    if is_revoked is not None:
        conditions.append(keys.c.revoked_at.is_not(None) if is_revoked else keys.c.revoked_at.is_(None))
    return await KEYS.page(tx, conditions, window)


async def insert_key(tx: WriteTx, key: Key, key_hash: str) -> None:
    """Store a new key under its hash."""
    await tx.connection.execute(insert(keys).values(**KEYS.mapping.write(key), hash=key_hash))


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key as it was found, before it is read: one that cannot be read must not keep the others from being found."""

    row: Row[Any]

    def read(self, key_hash: str, now: datetime) -> tuple[Key, str, datetime | None] | None:
        """Return the key that was found by this hash unless it is over, the hash as stored, and when that ends; None: never.

        The hash is for a comparison in constant time. It may be that of the secret before a rotation.
        """
        row = self.row
        is_previous = row.hash != key_hash
        ends = [one for one in (row.expires_at, row.previous_until if is_previous else None) if one is not None]
        ends_at = min(ends, default=None)
        if ends_at is not None and ends_at <= now:
            return None
        return _read_key(row), row.previous_hash if is_previous else row.hash, ends_at


async def find_by_hash(tx: ReadTx, hashes: Collection[str]) -> dict[str, StoredKey]:
    """Return by hash the keys that have one of these and are not revoked; also by the hash of the secret before a rotation."""
    wanted = set(hashes)
    own = or_(keys.c.hash.in_(wanted), keys.c.previous_hash.in_(wanted))
    rows = (await tx.connection.execute(_with_agent().where(own, keys.c.revoked_at.is_(None)))).all()
    found = {row.previous_hash: StoredKey(row) for row in rows if row.previous_hash in wanted}
    return found | {row.hash: StoredKey(row) for row in rows if row.hash in wanted}


async def get_key(tx: ReadTx, key_id: str) -> Key | None:
    """Return one key, revoked or not, with the name of its agent."""
    row = (await tx.connection.execute(_with_agent().where(keys.c.id == key_id))).first()
    return None if row is None else _read_key(row)


async def revoke_key(tx: WriteTx, key_id: str, at: datetime) -> bool:
    """Revoke a key; return whether it was not revoked before."""
    ended = await tx.connection.execute(
        update(keys).where(keys.c.id == key_id, keys.c.revoked_at.is_(None)).values(revoked_at=at)
    )
    return ended.rowcount == 1


async def touch_keys(tx: WriteTx, used: Mapping[str, str | None], at: datetime) -> None:
    """Store when these keys were last used, and from which address, by the ids of the keys."""
    change = update(keys).where(keys.c.id == bindparam("of_key"))
    change = change.values(last_used_at=at, last_used_from=bindparam("from_address"))
    values = [{"of_key": key_id, "from_address": address} for key_id, address in sorted(used.items())]
    await tx.connection.execute(change, values)


async def rotate_key(tx: WriteTx, key_id: str, key_hash: str, hint: str, until: datetime) -> None:
    """Replace the secret of a key; the one before works `until` then."""
    change = update(keys).where(keys.c.id == key_id)
    await tx.connection.execute(
        change.values(
            previous_hash=keys.c.hash, previous_until=until, hash=key_hash, hint=hint, version=keys.c.version + 1
        )
    )


async def note_refusals(tx: WriteTx, key_id: str, count: int, at: datetime, why: str) -> None:
    """Add to the requests that the limits of a key refused, with the newest reason."""
    change = update(keys).where(keys.c.id == key_id)
    await tx.connection.execute(
        change.values(refused_count=keys.c.refused_count + count, refused_at=at, refused_why=why)
    )


async def keys_that_refused(tx: ReadTx, since: datetime) -> list[Key]:
    """Return the keys whose limits refused a request since then, revoked ones too."""
    found = select(keys).where(keys.c.refused_at >= since).order_by(keys.c.id)
    return [KEYS.mapping.read(row) for row in await tx.connection.execute(found)]


async def lock_key(tx: WriteTx, key_id: str) -> None:
    """Lock a key's row until the commit: two processes must not each let in the last agent that its limit allows."""
    await tx.connection.execute(select(keys.c.id).where(keys.c.id == key_id).with_for_update())


async def add_bytes(tx: WriteTx, used: Mapping[str, int], day: int) -> None:
    """Add to the bytes that were sent under each key on a day; another day begins from zero."""
    if not used:
        return
    same_day = keys.c.bytes_day == day
    change = (
        update(keys)
        .where(keys.c.id == bindparam("of_key"))
        .values(
            bytes_used=case((same_day, keys.c.bytes_used), else_=0) + bindparam("sent"),
            bytes_day=day,
        )
    )
    await tx.connection.execute(change, [{"of_key": key_id, "sent": sent} for key_id, sent in sorted(used.items())])


async def keys_by_id(tx: ReadTx, ids: Collection[str]) -> dict[str, Key]:
    """Return keys by id, revoked or not."""
    found = await tx.connection.execute(_with_agent().where(keys.c.id.in_(sorted(ids))))
    return {row.id: _read_key(row) for row in found}


async def count_living(tx: WriteTx, kind: KeyKind) -> int:
    """Return how many keys of a kind are not revoked and never end, each locked until the commit: two requests must not revoke the last two."""
    living = select(keys.c.id).where(keys.c.kind == kind, keys.c.revoked_at.is_(None), keys.c.expires_at.is_(None))
    living = living.order_by(keys.c.id)
    return len((await tx.connection.execute(living.with_for_update())).all())


def _with_agent() -> Select[tuple[object, ...]]:
    return select(keys, agents.c.name.label("agent_name")).join_from(keys, agents, isouter=True)


def _read_key(row: Row[tuple[object, ...]]) -> Key:
    return replace(KEYS.mapping.read(row), agent_name=row.agent_name)


SHARE_LINKS = Repository(
    share_links,
    ShareLink,
    noun="share link",
    prefix="shl",
    edited=("kind", "name", "customer_ids", "matchers", "shows", "expires_at"),
    newest_first=True,
)


async def page_share_links(
    tx: ReadTx, window: Window, *, kind: ShareKind | None = None, is_revoked: bool | None = None
) -> Page[ShareLink]:
    """Return share links, newest first, filtered."""
    conditions = equals(share_links, kind=kind)
    if is_revoked is not None:
        revoked_at = share_links.c.revoked_at
        conditions.append(revoked_at.is_not(None) if is_revoked else revoked_at.is_(None))
    return await SHARE_LINKS.page(tx, conditions, window)


async def insert_share_link(tx: WriteTx, link: ShareLink, token_hash: str) -> None:
    """Store a new link under the hash of its token."""
    await tx.connection.execute(insert(share_links).values(**SHARE_LINKS.mapping.write(link), hash=token_hash))


async def find_share_link(tx: ReadTx, token_hash: str) -> tuple[ShareLink, str] | None:
    """Return the link with this hash unless it is revoked, and the hash as stored, for a comparison in constant time."""
    query = select(share_links).where(share_links.c.hash == token_hash, share_links.c.revoked_at.is_(None))
    row = (await tx.connection.execute(query)).one_or_none()
    return None if row is None else (SHARE_LINKS.mapping.read(row), row.hash)


async def revoke_share_link(tx: WriteTx, link_id: str, at: datetime) -> bool:
    """Revoke a link; return whether it was not revoked before."""
    own = share_links.c
    change = update(share_links).where(own.id == link_id, own.revoked_at.is_(None))
    return (await tx.connection.execute(change.values(revoked_at=at, version=own.version + 1))).rowcount == 1


async def touch_share_links(tx: WriteTx, ids: Collection[str], at: datetime, since: datetime) -> None:
    """Store when these links were last used, except those that were already used after `since`."""
    own = share_links.c
    is_old = or_(own.last_used_at.is_(None), own.last_used_at <= since)
    await tx.connection.execute(update(share_links).where(own.id.in_(sorted(ids)), is_old).values(last_used_at=at))
