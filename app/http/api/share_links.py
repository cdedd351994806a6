"""Share links over HTTP: created and shown once, listed, revoked."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, AwareDatetime, Field
from starlette.status import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from app.admin import share_links as admin_share_links
from app.domain.share_link import SharedPart, ShareKind
from app.http.api.dependencies import Admin, Context, Reader, editor_of, problems
from app.http.api.fields import (
    CreatedAt,
    Id,
    Matchers,
    Name,
    OutId,
    OutMatchers,
    OutModel,
    PathId,
    StrictModel,
    Version,
    example,
    once_each,
    to_matchers,
)
from app.http.etag import IfMatch, put_etag
from app.http.paging import Paged, PageOut
from app.store.keys import SHARE_LINKS, page_share_links

router = APIRouter(prefix="/v1/share-links", tags=["share-links"])

_KIND = (
    "badge: a small picture at `/badge/{token}.svg`; calendar: expected and missed runs at `/v1/calendar/{token}.ics`; "
    "wall: a page for a large screen at `/wall/{token}`."
)
_NAME = "What it is for; the audit log shows this name."
_CUSTOMERS = "The customers that it shows; null: every customer."
_SHOWS = (
    "What it shows in addition to the verdict. counts: how many jobs are in each state; customers: names of customers; "
    "jobs: names of jobs and their agents; errors: texts of errors."
)
_EXPIRES = "When it stops working; null: never."
PATHS = {
    ShareKind.BADGE: "/badge/{token}.svg",
    ShareKind.CALENDAR: "/v1/calendar/{token}.ics",
    ShareKind.WALL: "/wall/{token}",
}


class ShareLinkCreate(
    StrictModel, json_schema_extra=example(kind="wall", name="Office", customer_ids=None, shows=["counts", "customers"])
):
    """A share link to create."""

    kind: Annotated[ShareKind, Field(description=_KIND)]
    name: Annotated[Name, Field(description=_NAME, examples=["Office, second floor"])]
    # Without a default: whoever forgets it must not publish every customer.
    customer_ids: Annotated[
        Annotated[list[Id], Field(min_length=1, max_length=1000), AfterValidator(once_each)] | None,
        Field(description=_CUSTOMERS),
    ]
    matchers: Matchers = Field(default_factory=list)
    shows: Annotated[list[SharedPart], Field(max_length=10, description=_SHOWS)] = Field(default_factory=list)
    expires_at: Annotated[AwareDatetime | None, Field(description=_EXPIRES)] = None


class ShareLinkOut(OutModel):
    """A share link, without its token."""

    id: OutId
    version: Version
    kind: ShareKind = Field(description=_KIND)
    name: str = Field(description=_NAME)
    hint: str = Field(description="The beginning of its token, to tell links apart.")
    customer_ids: list[str] | None = Field(description=_CUSTOMERS)
    matchers: OutMatchers
    shows: list[SharedPart] = Field(description=_SHOWS)
    created_by: str = Field(description="Who created it.")
    created_at: CreatedAt
    expires_at: datetime | None = Field(description=_EXPIRES)
    revoked_at: datetime | None = Field(description="When it was revoked; null: it is in force.")
    last_used_at: datetime | None = Field(description="When it was last used, to the minute; null: never.")


class ShareLinkPage(PageOut[ShareLinkOut]):
    """A page of share links."""


class ShareLinkCreated(ShareLinkOut):
    """A share link that was just created."""

    token: str = Field(description="The secret part of its address. Nobody can see it again.")
    url: str = Field(description="Its address, which contains the token.")


class ShareLinksQuery(Paged):
    """Filters of the list of share links."""

    kind: Annotated[ShareKind | None, Field(description="Only links of this kind.")] = None
    revoked: Annotated[bool | None, Field(description="Only revoked links, or only the others.")] = None


@router.get("", operation_id="list_share_links", summary="List share links", responses=problems())
async def list_share_links(
    query: Annotated[ShareLinksQuery, Query()], context: Context, _caller: Reader
) -> ShareLinkPage:
    """Return share links newest first, revoked ones too."""
    async with context.database.read() as tx:
        page = await page_share_links(tx, query.window(SHARE_LINKS.prefix), kind=query.kind, is_revoked=query.revoked)
    return ShareLinkPage.of(page)


@router.get("/{share_link_id}", operation_id="get_share_link", summary="Get a share link", responses=problems(404, 409))
async def get_share_link(share_link_id: PathId, response: Response, context: Context, _caller: Reader) -> ShareLinkOut:
    """Return one share link, without its token."""
    async with context.database.read() as tx:
        link = await SHARE_LINKS.get(tx, share_link_id)
    put_etag(response, link.version)
    return ShareLinkOut.of(link)


@router.post(
    "",
    operation_id="create_share_link",
    summary="Create a share link",
    status_code=HTTP_201_CREATED,
    responses=problems(),
)
async def create_share_link(
    body: ShareLinkCreate, response: Response, context: Context, caller: Admin
) -> ShareLinkCreated:
    """Create a share link. The answer shows its token and its address, once."""
    wanted = admin_share_links.NewShareLink(
        kind=body.kind,
        name=body.name,
        customer_ids=None if body.customer_ids is None else tuple(body.customer_ids),
        matchers=to_matchers(body.matchers),
        shows=tuple(body.shows),
        expires_at=body.expires_at,
    )
    async with context.database.write() as tx:
        link, token = await admin_share_links.create_share_link(tx, context.secret, wanted, editor_of(context, caller))
    response.headers["Location"] = f"/v1/share-links/{link.id}"
    put_etag(response, link.version)
    url = f"{context.settings.public_url}{PATHS[link.kind].format(token=token)}"
    return ShareLinkCreated(**ShareLinkOut.of(link).model_dump(), token=token, url=url)


@router.delete(
    "/{share_link_id}",
    operation_id="revoke_share_link",
    summary="Revoke a share link",
    status_code=HTTP_204_NO_CONTENT,
    responses=problems(404, 412),
)
async def revoke_share_link(share_link_id: PathId, context: Context, caller: Admin, versions: IfMatch) -> None:
    """Revoke a share link: it shows nothing from now on, and stays listed."""
    async with context.database.write() as tx:
        await admin_share_links.revoke(tx, share_link_id, editor_of(context, caller), versions=versions)
