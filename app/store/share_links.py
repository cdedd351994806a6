"""Share links in the database, by the hash of their token. The token itself is never stored."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import insert, or_, select, update

from app.domain.share_link import ShareKind, ShareLink
from app.store.repository import Page, Repository, Window, equals
from app.store.tables_managed import share_links
from app.store.transactions import ReadTx, WriteTx

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
