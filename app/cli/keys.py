"""`tocsin keys`: creates, lists and revokes keys directly in the database, for an administrator who has lost the last admin key."""

import asyncio
import contextlib
import getpass
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.admin import keys
from app.admin.editing import Editor
from app.cli.named_customer import find_customer
from app.cli.open_context import open_context
from app.context import AppContext
from app.core.errors import BadInput, Conflict
from app.core.settings import load_settings
from app.core.unseen import plain_name
from app.domain.budget import BUDGET_MOST, BYTES_MOST, Budget
from app.domain.key import Key, KeyKind
from app.store.engine import only_process
from app.store.keys import page_keys
from app.store.repository import Window

cli = typer.Typer(help="Create, list and revoke keys.", no_args_is_help=True, add_completion=False)
_PAGE = 200
_NAME_MOST = 200

Customer = Annotated[
    str | None, typer.Option(help="For enrol: name or id of the customer; not needed if there is only one.")
]
Agent = Annotated[str | None, typer.Option(help="For agent: id of the agent.")]
Names = Annotated[
    list[str] | None, typer.Option(help="For enrol: send events only of agents with such names (* and ?); repeatable.")
]
From = Annotated[
    list[str] | None, typer.Option("--from", help="For enrol: accept it from this network or address only; repeatable.")
]
Most = Annotated[int | None, typer.Option(min=1, help="For enrol: how many agents it lets in.")]
Until = Annotated[datetime | None, typer.Option(help="For enrol: until when (UTC) it lets in agents that are unknown.")]
Approve = Annotated[bool, typer.Option("--approve", help="For enrol: the agents that it lets in wait for approval.")]
Events = Annotated[
    int | None, typer.Option(min=1, max=BUDGET_MOST, help="Its events in a minute, instead of the setting's.")
]
Agents = Annotated[int | None, typer.Option(min=1, max=BUDGET_MOST, help="Its new agents in an hour.")]
Jobs = Annotated[int | None, typer.Option(min=1, max=BUDGET_MOST, help="Its new jobs in an hour.")]
Bytes = Annotated[int | None, typer.Option(min=1, max=BYTES_MOST, help="Its bytes of reports in a day (UTC).")]
Called = Annotated[str, typer.Option(help="Name of its holder, as the audit log shows it.")]


@cli.command("create")
def create(
    kind: KeyKind,
    name: Called = "created on the command line",
    customer: Customer = None,
    agent: Agent = None,
    names: Names = None,
    from_addresses: From = None,
    most: Most = None,
    until: Until = None,
    approve: Approve = False,  # noqa: FBT002
    events_a_minute: Events = None,
    new_agents_an_hour: Agents = None,
    new_jobs_an_hour: Jobs = None,
    bytes_a_day: Bytes = None,
) -> None:
    """Create a key and print it, once."""
    name = plain_name(name)
    if not 0 < len(name) <= _NAME_MOST:
        raise BadInput(f"--name: between 1 and {_NAME_MOST} characters")
    budgets = {
        Budget.EVENTS: events_a_minute,
        Budget.AGENTS: new_agents_an_hour,
        Budget.JOBS: new_jobs_an_hour,
        Budget.BYTES: bytes_a_day,
    }
    wanted = keys.NewKey(
        kind,
        name,
        agent_id=agent,
        names=tuple(filter(None, map(plain_name, names or ()))),
        from_addresses=tuple(from_addresses or ()),
        agents_most=most,
        agents_until=until.replace(tzinfo=UTC) if until is not None else None,
        approve=approve,
        budgets={budget: limit for budget, limit in budgets.items() if limit is not None},
    )
    typer.echo(asyncio.run(_create(wanted, customer)))


@cli.command("list")
def list_keys() -> None:
    """List all keys; the keys themselves cannot be seen again."""
    for key in asyncio.run(_list()):
        used = f"last used {key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never used"
        state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else used
        typer.echo(f"{key.id}  {key.kind:<6}  {key.hint:<6}  {state:<28}  {key.name}")


@cli.command("revoke")
def revoke(key_id: str) -> None:
    """Revoke a key; the service refuses it within five seconds."""
    asyncio.run(_revoke(key_id))
    typer.echo("revoked")


async def _create(wanted: keys.NewKey, customer: str | None) -> str:
    async with _writing() as context, context.database.write() as tx:
        if customer is not None or wanted.kind is KeyKind.ENROL:
            wanted = replace(wanted, customer_id=await find_customer(tx, customer))
        _, clear = await keys.create_key(tx, context.secret, wanted, _editor(context))
    return clear


async def _list() -> list[Key]:
    found: list[Key] = []
    async with open_context(load_settings()) as context, context.database.read() as tx:
        after: str | None = None
        while True:
            page = await page_keys(tx, Window(_PAGE, after))
            found += page.items
            after = page.next
            if after is None:
                return found


async def _revoke(key_id: str) -> None:
    async with _writing() as context, context.database.write() as tx:
        await keys.revoke_key(tx, key_id, _editor(context))


@contextlib.asynccontextmanager
async def _writing() -> AsyncIterator[AppContext]:
    """Open the AppContext to change data. SQLite must never have two writing processes, so the service must not run meanwhile."""
    settings = load_settings()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(only_process(settings))
        except Conflict as running:
            raise Conflict(
                f"the service runs, and only it may use the embedded database: use its API ({settings.public_url}/docs, /v1/keys), or stop it first",
                code="already_running",
            ) from running
        async with open_context(settings) as context:
            yield context


def _editor(context: AppContext) -> Editor:
    return Editor(f"command line ({getpass.getuser()})", context.clock(), context.wakeups.wake)
