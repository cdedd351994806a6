"""`tocsin people`: list people, and print links for those who cannot sign in. It does not write to the database, so the service can keep running."""

import asyncio
import secrets
from datetime import timedelta
from typing import Annotated

import typer

from app.admin.people import read_email, read_name
from app.cli.named_customer import find_customer
from app.cli.open_context import open_context
from app.core.errors import BadInput, Conflict, NotFound
from app.core.settings import load_settings
from app.core.unseen import plain_name
from app.domain.console_link import PURPOSE, ConsoleLink, sign_console_link
from app.domain.one_time_link import PATH as LINK
from app.domain.person import Person, Role
from app.store.people import find_by_email, list_people

cli = typer.Typer(
    help="Add people, list them, and print a sign-in link for a person who is locked out.",
    no_args_is_help=True,
    add_completion=False,
)
_LASTS = timedelta(hours=1)

Customers = Annotated[
    list[str] | None,
    typer.Option(
        "--customer", help="Name or id of a customer that the person may see; can be repeated. Default: every customer."
    ),
]


@cli.command("add")
def add(
    email: str,
    role: Annotated[
        Role, typer.Option(help="What the person may do: see, act on alerts, change schedules, or also manage people.")
    ] = Role.READER,
    name: Annotated[str, typer.Option(help="Name of the person. Default: the e-mail address.")] = "",
    customer: Customers = None,
) -> None:
    """Print a link that adds a person and signs them in. It works once, within an hour. The service can keep running."""
    typer.echo(asyncio.run(_add(read_email(email), read_name(plain_name(name) or email), role, customer)))


@cli.command("link")
def link(email: str) -> None:
    """Print a link that signs in a person who is locked out. It works once, within an hour. The service can keep running."""
    typer.echo(asyncio.run(_link(read_email(email))))


@cli.command("list")
def list_all() -> None:
    """List all people, with role, customers and last sign-in."""
    for person in asyncio.run(_list()):
        seen = (
            f"last signed in {person.last_sign_in_at:%Y-%m-%d %H:%M}" if person.last_sign_in_at else "never signed in"
        )
        state = "may not sign in" if person.disabled_at else seen
        sees = "every customer" if person.customers is None else f"{len(person.customers)} customer(s)"
        typer.echo(f"{person.role:<13}  {sees:<16}  {state:<31}  {person.email}  {person.name}")


async def _add(email: str, name: str, role: Role, named: list[str] | None) -> str:
    async with open_context(load_settings()) as context:
        async with context.database.read() as tx:
            if await find_by_email(tx, email) is not None:
                raise Conflict(
                    f"{email} already exists: `tocsin people link {email}` prints a sign-in link", code="email_taken"
                )
            customers = None if not named else tuple([await find_customer(tx, one) for one in named])
        if role is Role.OWNER and customers is not None:
            raise BadInput("--customer: cannot be used for an owner, who sees every customer")
        until = context.clock() + _LASTS
        made = ConsoleLink(email, until, secrets.token_urlsafe(16), role, name, customers)
        return f"{context.settings.public_url}{LINK}{sign_console_link(context.secret.derive(PURPOSE), made)}"


async def _link(email: str) -> str:
    async with open_context(load_settings()) as context:
        async with context.database.read() as tx:
            person = await find_by_email(tx, email)
        if person is None:
            raise NotFound(f"there is no person {email}: `tocsin people add {email}` prints a link that adds one")
        if person.disabled_at is not None:
            raise Conflict(f"{email} may not sign in: an owner can change that at /people", code="disabled")
        made = ConsoleLink(email, context.clock() + _LASTS, secrets.token_urlsafe(16))
        return f"{context.settings.public_url}{LINK}{sign_console_link(context.secret.derive(PURPOSE), made)}"


async def _list() -> list[Person]:
    async with open_context(load_settings()) as context, context.database.read() as tx:
        return await list_people(tx)
