"""What administrators do to share links: they are created, shown once, and revoked. Whoever has a link opens it here, by its token."""

import hmac
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.admin import editing
from app.admin.audit import note
from app.admin.editing import Editor
from app.context import AppContext
from app.core.errors import BadInput, NotFound, TocsinError
from app.core.ids import new_id
from app.core.log import log
from app.core.secret import Secret
from app.domain.matcher import Matcher
from app.domain.share_link import SharedPart, ShareKind, ShareLink
from app.store.customers import customers_by_id
from app.store.keys import SHARE_LINKS, find_share_link, insert_share_link, revoke_share_link, touch_share_links
from app.store.transactions import WriteTx

TOUCH_EVERY = timedelta(minutes=1)  # a wall asks every half minute: each of its requests must not become a write
TOKEN_LONGEST = 100


@dataclass(frozen=True, slots=True)
class NewShareLink:
    """A share link to create. `customer_ids` None means every customer."""

    kind: ShareKind
    name: str
    customer_ids: tuple[str, ...] | None
    matchers: tuple[Matcher, ...] = ()
    shows: tuple[SharedPart, ...] = ()
    expires_at: datetime | None = None


async def create_share_link(tx: WriteTx, secret: Secret, wanted: NewShareLink, by: Editor) -> tuple[ShareLink, str]:
    """Create a link; return it as people see it, and its token, which nobody can see again. Raises BadInput."""
    if wanted.customer_ids is not None:
        if not wanted.customer_ids:
            raise BadInput("choose at least one customer, or null for every customer", field="customer_ids")
        known = await customers_by_id(tx, wanted.customer_ids)
        for customer_id in wanted.customer_ids:
            if customer_id not in known:
                raise BadInput(f"there is no customer {customer_id}", code="unknown_customer", field="customer_ids")
    if wanted.expires_at is not None and wanted.expires_at <= by.at:
        raise BadInput("must be in the future", field="expires_at")
    token = secrets.token_urlsafe(32)
    link = ShareLink(
        id=new_id(SHARE_LINKS.prefix),
        kind=wanted.kind,
        name=wanted.name,
        hint=f"{token[:4]}…",
        created_by=by.who,
        created_at=by.at,
        customer_ids=None if wanted.customer_ids is None else tuple(dict.fromkeys(wanted.customer_ids)),
        matchers=wanted.matchers,
        shows=tuple(part for part in SharedPart if part in wanted.shows),
        expires_at=wanted.expires_at,
    )
    await insert_share_link(tx, link, secret.hash_key(token))
    await note(tx, by, "create", SHARE_LINKS.noun, link.id, SHARE_LINKS.edited_values(link))
    return link, token


async def revoke(tx: WriteTx, link_id: str, by: Editor, *, versions: Collection[int] | None = None) -> None:
    """Revoke a link: it shows nothing from now on, and stays listed. Raises NotFound, StaleEdit. Works on one that cannot be read."""
    row = await editing.lock_to_delete(tx, SHARE_LINKS, link_id, versions)
    if await revoke_share_link(tx, row.id, by.at):
        await note(tx, by, "revoke", SHARE_LINKS.noun, row.id, {"kind": row.values["kind"], "name": row.values["name"]})


async def open_share_link(context: AppContext, token: str, kind: ShareKind) -> ShareLink:
    """Return the link with this token, and note that it was used. Raises NotFound, in the same words for every token that opens nothing."""
    now = context.clock()
    token_hash = context.secret.hash_key(token[:TOKEN_LONGEST])
    async with context.database.read() as tx:
        found = await find_share_link(tx, token_hash)
    link = None if found is None or not hmac.compare_digest(found[1], token_hash) else found[0]
    if link is None or link.kind is not kind or not link.is_open(now):
        raise NotFound("there is nothing at this address: the link is wrong, has expired, or was revoked")
    since = now - TOUCH_EVERY
    if link.last_used_at is None or link.last_used_at <= since:
        try:
            async with context.database.write() as tx:
                await touch_share_links(tx, [link.id], now, since)
        except TocsinError as cause:  # only a date that people look at is lost
            log.warning("could not store when a share link was last used", cause=cause.detail)
    return link
