"""/connect: choose a tool, get its lines with a key made for them, and see the first report arrive.

The lines are those of `GET /v1/connect`. The key is shown on the answer of the POST only; the address of the page that waits for the
first report names the id of the key, so it can be read again, sent to a colleague, or left open.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from gettext import NullTranslations
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel
from starlette.datastructures import FormData

from app.admin import keys as admin_keys
from app.admin.agents import create_agent
from app.context import AppContext
from app.core.errors import BadInput, Conflict, NotFound, TocsinError
from app.core.ids import new_id
from app.core.unseen import plain_name
from app.domain.agent import Agent
from app.domain.customer import Customer
from app.domain.event import ListedEvent
from app.domain.key import Key, KeyKind
from app.domain.person import Role
from app.domain.refused_reports import RefusedReports
from app.http.api.connect import ToolLinesOut, find_tool, key_for, tool_lines
from app.http.api.dependencies import Authenticator, Context
from app.http.pages.frame import render, viewer_of
from app.http.pages.kept_forms import forget_form, kept_form, need_fresh_and_keep
from app.http.pages.languages import translations
from app.http.pages.session import PostedForm, SignedIn, need_role, text_of
from app.http.tools.setup_lines import TOOL_SETUPS, ToolSetup
from app.store.agents import AGENTS, find_agent_id
from app.store.customers import CUSTOMERS, Scope, customers_by_id, page_customers
from app.store.events import EventFilters, page_events
from app.store.excesses import refused_of_agents
from app.store.keys import KEYS, page_keys
from app.store.repository import Window
from app.store.transactions import ReadTx, WriteTx

router = APIRouter(include_in_schema=False)
PAGE = "/connect"
_CUSTOMERS, _REPORTS, _KEYS = 1_000, 5, 6
_NAME_MOST = 200
_FIELDS = ("tool", "customer", "host", "job")
_LATELY = timedelta(days=7)
Administrator = Annotated[SignedIn, Depends(need_role(Role.ADMINISTRATOR))]

_ = str  # marks texts for the catalogs; they are translated when they are shown
_TITLES = (
    _("tocsin-report: one word in front of a command"),
    _("curl, and anything else that can send an HTTP request"),
    _("Healthchecks pings (borgmatic, runitor, cron)"),
    _("Healthchecks pings by a slug, one key for a host"),
    _("PagerDuty events, where the address can be changed"),
    _("Pushover messages, where the address can be changed"),
    _("Proxmox VE and Backup Server, by a webhook"),
    _("Backrest, by its Slack or Discord hook"),
    _("restic, with what it printed"),
    _("borg, with what it printed"),
    _("resticprofile's HTTP hooks"),
    _("Alertmanager and Grafana's alerting"),
    _("Synology DSM's custom webhook"),
    _("Tools that can only send mail (Veeam, Bacula, Synology ...)"),
)


class ConnectAsked(BaseModel):
    """What is filled in, in the form and in the address. `find`: the words by which the tools are filtered."""

    tool: Annotated[str, Query(max_length=40)] = "tocsin-report"
    customer: Annotated[str, Query(max_length=40)] = ""
    host: Annotated[str, Query(max_length=_NAME_MOST)] = ""
    job: Annotated[str, Query(max_length=_NAME_MOST)] = ""
    find: Annotated[str, Query(max_length=100)] = ""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What arrived since a key was made: reports, the first one first, and what was refused."""

    reports: Sequence[ListedEvent]
    refused: RefusedReports | None


@router.get(PAGE)
async def show_connect(
    request: Request, context: Context, who: Administrator, asked: Annotated[ConnectAsked, Query()]
) -> HTMLResponse:
    """Show the tools, and a form that makes a key for one of them."""
    kept = kept_form(request, context, who)
    if kept is None:
        return await _choose(request, context, who, asked)
    page = await _choose(request, context, who, _asked_in(kept), is_kept=True)
    forget_form(page, context)
    return page


# Not at /connect itself: a POST to one word is a message to the topic of that name (ntfy).
@router.post(PAGE + "/new")
async def post_connect(
    request: Request, context: Context, who: Administrator, authenticator: Authenticator, form: PostedForm
) -> Response:
    """Make a key for a tool on a host, and show it once, in the tool's lines. A host that is not known yet is added."""
    asked = _asked_in(form)
    need_fresh_and_keep(who, context, PAGE, form, _FIELDS)
    if not who.sees(asked.customer):
        raise NotFound("there is no such customer")
    try:
        tool = find_tool(asked.tool)
        by = who.editor(context)
        async with context.database.write() as tx:
            agent = await _agent_of(tx, asked.customer, asked.host, who, context)
            wanted = key_for(tool, agent, asked.job or None)
            key, clear = await admin_keys.create_key(tx, context.secret, wanted, by)
            tx.after_commit(authenticator.forget)
    except (BadInput, Conflict, NotFound) as refused:
        return await _choose(request, context, who, asked, refused)
    lines = tool_lines(context, (tool,), clear, asked.job or None)[0]
    return await _watch(request, context, who, key, lines=lines, clear=clear)


@router.get(PAGE + "/{key_id}")
async def show_watch(request: Request, context: Context, who: Administrator, key_id: str) -> Response:
    """Show what arrived from the host since its key was made."""
    async with context.database.read() as tx:
        key = await KEYS.find(tx, key_id)
    if key is None or key.kind is not KeyKind.AGENT or not who.sees(key.customer_id):
        raise NotFound("there is nothing at this address")
    if key.revoked_at is not None:
        return RedirectResponse(PAGE, 303)
    return await _watch(request, context, who, key)


def _asked_in(form: FormData) -> ConnectAsked:
    return ConnectAsked(
        tool=text_of(form, "tool")[:40],
        customer=text_of(form, "customer")[:40],
        host=plain_name(text_of(form, "host"))[:_NAME_MOST],
        job=plain_name(text_of(form, "job"))[:_NAME_MOST],
    )


def tools_found(find: str, texts: NullTranslations) -> list[ToolSetup]:
    """Return the tools with all of these words in their name or title, in the reader's language or in English."""
    words = find.casefold().split()
    return [
        tool
        for tool in TOOL_SETUPS
        if all(word in f"{tool.tool} {tool.title} {texts.gettext(tool.title)}".casefold() for word in words)
    ]


async def _agent_of(tx: WriteTx, customer_id: str, host: str, who: SignedIn, context: AppContext) -> Agent:
    """Return the agent of a customer with this name, and add it where there is none. Raises BadInput."""
    if not host:
        raise BadInput("enter the name of the host", field="host")
    found = await find_agent_id(tx, customer_id, host)
    if found is not None:
        return await AGENTS.get(tx, found)
    by = who.editor(context)
    return await create_agent(tx, Agent(new_id("agt"), customer_id, host, by.at), by)


async def _choose(
    request: Request,
    context: Context,
    who: SignedIn,
    asked: ConnectAsked,
    refused: TocsinError | None = None,
    *,
    is_kept: bool = False,
) -> HTMLResponse:
    texts = translations(viewer_of(request, context, who).language)
    found = [tool.tool for tool in tools_found(asked.find, texts)]
    async with context.database.read() as tx:
        customers = await customers_of(tx, who)
        since = context.clock() - _LATELY
        lately = await page_keys(tx, Window(_CUSTOMERS, since=since), kind=KeyKind.AGENT, is_revoked=False)
    return render(
        request,
        context,
        who,
        "connect.html",
        status=200 if refused is None else refused.status,
        place="connect",
        tools=TOOL_SETUPS,
        found=found,
        # With a filter, the first of what it found, unless the tool that was asked for is among them.
        chosen=asked.tool if not found or asked.tool in found else found[0],
        customers=customers,
        asked=asked,
        is_kept=is_kept,
        refused=refused,
        keys=[key for key in reversed(lately.items) if who.sees(key.customer_id)][:_KEYS],
    )


async def customers_of(tx: ReadTx, who: SignedIn) -> Sequence[Customer]:
    """Return the customers that the person sees, by name."""
    if who.customers is None:
        found = list((await page_customers(tx, Window(_CUSTOMERS))).items)
    else:
        found = list((await customers_by_id(tx, who.customers)).values())
    return sorted(found, key=lambda one: one.name.casefold())


async def _watch(
    request: Request,
    context: AppContext,
    who: SignedIn,
    key: Key,
    *,
    lines: ToolLinesOut | None = None,
    clear: str | None = None,
) -> HTMLResponse:
    agent_id = key.agent_id or ""
    async with context.database.read() as tx:
        agent = await AGENTS.get(tx, agent_id)
        customer = await CUSTOMERS.get(tx, agent.customer_id)
        page = await page_events(tx, EventFilters(Scope(agent_id=agent.id)), Window(_REPORTS, since=key.created_at))
        refused = (await refused_of_agents(tx, [agent.id])).get(agent.id)
    if refused is not None and refused.last_at < key.created_at:
        refused = None
    return render(
        request,
        context,
        who,
        "connect_watch.html",
        place="connect",
        key=key,
        agent=agent,
        customer=customer,
        arrival=Arrival(tuple(reversed(page.items)), refused),
        lines=lines,
        clear=clear,
    )
