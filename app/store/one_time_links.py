"""Links that sign somebody in once, in the database, by the hash of their token."""

from datetime import datetime

from sqlalchemy import delete, insert, select, update

from app.domain.one_time_link import OneTimeLink
from app.store.repository import Repository
from app.store.tables_people import one_time_links
from app.store.transactions import ReadTx, WriteTx

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
