"""Writes docs/rights.md from the dependencies of all routes: `.venv/bin/python -m tests.support.rights_page`."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from app.domain.person import Role
from app.http import routes
from app.http.auth import NeedRole
from app.http.pages.session import NeedPerson, need_person, require_csrf

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "rights.md"
# What needs no key and no sign-in, and what stands for them.
OPEN = {
    "GET /downloads/{name}": "nothing: programs for other hosts",
    "GET /metrics": "nothing: numbers of the service alone",
    "POST /v1/events": "a key of kind enrol or agent",
    "GET /answer/{token}": "a signed link of a mail",
    "POST /answer/{token}": "a signed link of a mail",
    "GET /assets/{name}": "nothing: styles, scripts and pictures of the pages",
    "GET /badge/{token}.svg": "the secret address of a share link",
    "GET /v1/calendar/{token}.ics": "the secret address of a share link",
    "GET /wall/{token}": "the secret address of a share link",
    "GET /link/{token}": "a link that signs in once",
    "POST /link/{token}": "a link that signs in once",
    "POST /reading/choice": "nothing: theme, language and time zone of a browser",
    "GET /sign-in": "nothing: here people sign in",
    "POST /sign-in/password": "nothing: here people sign in",
    "GET /sign-in/provider": "nothing: here people sign in",
    "GET /sign-in/provider/callback": "nothing: here people sign in",
    "GET /unsubscribe/{token}": "a signed link of a mail",
    "POST /unsubscribe/{token}": "a signed link of a mail",
    "POST /v1/acknowledgements/opsgenie/{recipient}": "the secret of a recipient's address",
    "POST /v1/acknowledgements/pagerduty/{recipient}": "a signature with the secret of a recipient's address",
    "POST /v1/relay/set-up": "a one-time code",
}
OPENING = """# Who may do what

<!-- Written from the routes; do not edit. To write it again: .venv/bin/python -m tests.support.rights_page -->

Keys of kind `access` have a role, as people do. Each role may do what those before it may: reader, operator, administrator, owner. The kinds `viewer` and `admin` are the roles reader and
owner for every customer. A key or a person of chosen customers gets the answer *not found* for what belongs to another customer, as if it did not exist; operations
marked *every customer* refuse a key of chosen customers with 403.

Recipients, routes, rules and summaries are among these, even for reading: they belong to the whole installation. Routes and rules are tried one after the other over
the alerts of all customers, so an earlier one decides for the later ones, and they and the recipients name people and addresses of other customers. The same applies
to customers, transports and the audit log. A person of chosen customers gets *not found* for the page Routing.

"""


@dataclass(frozen=True, slots=True)
class Right:
    """What one route needs. `role` None: no key and no sign-in, or a right of its own, which `needs` names."""

    method: str
    path: str
    name: str
    role: Role | None
    needs: str
    is_page: bool
    is_scoped: bool
    has_token: bool


def rights() -> list[Right]:
    """Return what each route of the API and each page needs, by path."""
    api = FastAPI()
    routes.install(api)
    found = [_right(route, method) for route in api.routes if isinstance(route, APIRoute) for method in route.methods]
    return sorted(found, key=lambda right: (right.is_page, right.path, right.method))


def page() -> str:
    """Return the whole page."""
    everything = rights()
    return (
        OPENING
        + "## The API\n\n| operation | needs | customers |\n|---|---|---|\n"
        + "".join(_line(right) for right in everything if not right.is_page)
        + "\n## Pages\n\n| page or act | needs |\n|---|---|\n"
        + "".join(f"| `{right.method} {right.path}` | {right.needs} |\n" for right in everything if right.is_page)
    )


def _line(right: Right) -> str:
    scope = "" if right.role is None else "the key's" if right.is_scoped else "every customer"
    return f"| `{right.method} {right.path}` | {right.needs} | {scope} |\n"


def _right(route: APIRoute, method: str) -> Right:
    calls = [one.call for one in _all(route.dependant)]
    keys = [call for call in calls if isinstance(call, NeedRole)]
    people = [call for call in calls if isinstance(call, NeedPerson)]
    role, needs, is_scoped = None, OPEN.get(f"{method} {route.path}", "nothing"), False
    if keys:
        role, is_scoped = keys[0].least, keys[0].is_scoped
        needs = " or ".join([f"{role}", *(f"a key of kind {kind}" for kind in sorted(keys[0].also))])
    elif people:
        role, needs = max((one.least for one in people), key=list(Role).index), ""
        needs = f"{role} of every customer" if any(one.for_everything for one in people) else f"{role}"
    elif need_person in calls:
        role, needs = Role.READER, "any person"
    elif any(getattr(call, "__qualname__", "") == "need.<locals>.dependency" for call in calls):
        needs = "a key of its own kind"
    return Right(
        method, route.path, route.name, role, needs, not route.include_in_schema, is_scoped, require_csrf in calls
    )


def _all(dependant: Dependant) -> Iterator[Dependant]:
    yield dependant
    for one in dependant.dependencies:
        yield from _all(one)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
