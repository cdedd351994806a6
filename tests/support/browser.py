"""A browser without pictures: keeps cookies, and sends forms with the token that their page has."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from app.admin.editing import Editor
from app.admin.people import NewPerson, add_person, make_link
from app.domain.one_time_link import PATH, LinkPurpose
from app.domain.person import Person, Role
from tests.support.api import Api

_TOKEN = re.compile(r'name="csrf" value="([0-9a-f]{64})"')


class Browser:
    """One browser at the service of a test."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, **headers: str) -> httpx.Response:
        """Open a page."""
        return await self.client.get(path, headers=headers)

    async def send(self, page: str, action: str, **fields: str) -> httpx.Response:
        """Open a page, and send one of its forms to `action`."""
        return await self.client.post(action, data={"csrf": token_in(await self.get(page)), **fields})

    async def sign_in(self, email: str, password: str, code: str = "", goes_on: str = "/account") -> httpx.Response:
        """Sign in with a password."""
        asked = f"?next={goes_on}"
        return await self.send(
            f"/sign-in{asked}", f"/sign-in/password{asked}", email=email, password=password, code=code
        )


def token_in(page: httpx.Response) -> str:
    """Return the token of the forms of a page."""
    found = _TOKEN.search(page.text)
    assert found is not None, f"{page.status_code} {page.text[:300]}"
    return found[1]


@asynccontextmanager
async def browsing(
    api: Api, base_url: str = "http://tocsin.test", address: str = "127.0.0.1"
) -> AsyncIterator[Browser]:
    """Open a browser on a host with this address."""
    transport = httpx.ASGITransport(api.app, raise_app_exceptions=False, client=(address, 1234))
    async with httpx.AsyncClient(transport=transport, base_url=base_url, timeout=60) as client:
        yield Browser(client)


async def person(api: Api, email: str, role: Role = Role.OWNER, customers: tuple[str, ...] | None = None) -> Person:
    """Add a person."""
    by = Editor("a test", api.context.clock(), api.context.wakeups.wake)
    async with api.context.database.write() as tx:
        return await add_person(tx, NewPerson(email.partition("@")[0], email, role, customers), by)


async def link_for(api: Api, of: Person | None) -> str:
    """Return the path of a link that signs somebody in; of nobody: the first link."""
    purpose = LinkPurpose.FIRST if of is None else LinkPurpose.INVITE
    by = Editor("a test", api.context.clock(), api.context.wakeups.wake)
    async with api.context.database.write() as tx:
        return PATH + await make_link(tx, api.context.secret, purpose, None if of is None else of.id, by)
