"""/: is anything wrong, and has somebody got it? What was here before, the answer that the service runs, is at /healthz and /readyz."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import BaseModel

from app.context import AppContext
from app.domain.job_status import JobCounts, total_of
from app.domain.message import Message
from app.domain.problem import NamedAlert
from app.domain.recipient import shown_address
from app.domain.relay import Relay, is_awaited
from app.http.api.dependencies import Context
from app.http.pages.done import SHOWN_FOR
from app.http.pages.frame import render, viewer_of
from app.http.pages.kept_pages import KeptPages
from app.http.pages.live_state import streams_of
from app.http.pages.overview import KeptReads, Overview, counts_of, overview_of
from app.http.pages.reach import Reach, reach_of_alerts
from app.http.pages.session import SignedIn, SignedInPerson
from app.store.alerts import read_closed_alerts, texts_of_events
from app.store.fleet import CustomerCounts, CustomerDay, customer_days
from app.store.messages_in_trouble import newest_in_trouble
from app.store.monitoring import count_alerts_to_nobody
from app.store.relays import all_relays
from app.store.routing import recipients_by_id
from app.store.transactions import ReadTx

router = APIRouter(include_in_schema=False)

CUSTOMERS_SHOWN, PROBLEMS_SHOWN, UNCLEAR_SHOWN, MESSAGES_SHOWN = 25, 25, 4, 5
_TROUBLE_FOR = timedelta(days=7)  # a message that was not sent is shown so long, unless it is tried again
_ENDED_WITHIN = timedelta(days=30)  # the problem that ended last is named for so long
_TEXT_MOST = 400
_WORST_FIRST = ("failed", "missed", "overrun", "warning")


class NowFilters(BaseModel):
    """What the address of the page asks for."""

    q: Annotated[str, Query(max_length=100)] = ""
    state: Annotated[str, Query(max_length=20)] = ""
    customer: Annotated[str, Query(max_length=200)] = ""
    agent: Annotated[str, Query(max_length=200)] = ""
    label: Annotated[str, Query(max_length=200)] = ""
    tool: Annotated[str, Query(max_length=200)] = ""
    days: Annotated[int, Query()] = 30
    page: Annotated[int, Query(ge=1, le=100_000)] = 1

    @property
    def names_jobs(self) -> bool:
        """Whether something is asked for that customers do not have, only jobs."""
        return bool(self.agent or self.label or self.tool)

    @property
    def is_any(self) -> bool:
        """Whether anything is filtered."""
        return bool(self.q or self.state or self.customer or self.names_jobs)

    def fits(self, one: NamedAlert) -> bool:
        """Return whether an alert is asked for."""
        names = " ".join((one.customer, one.agent, one.job or "", one.alert.message or "")).casefold()
        name, _, value = self.label.partition("=")
        return (
            self.q.casefold() in names
            and (not self.state or one.alert.kind.value == self.state)
            and (not self.customer or one.customer == self.customer)
            and (not self.agent or one.agent == self.agent)
            and (not self.label or (name in one.labels and value in ("", one.labels[name])))
            and (not self.tool or one.labels.get("tool") == self.tool)
        )


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """A customer in the list: its counts, and its days."""

    id: str
    name: str
    counts: JobCounts
    days: tuple[CustomerDay, ...]

    @property
    def worst(self) -> str:
        """The worst state of its jobs."""
        for word in _WORST_FIRST:
            if getattr(self.counts, word):
                return word
        return "ok" if self.counts.ok else "new"


@dataclass(frozen=True, slots=True)
class UnclearQuote:
    """An unclear text with its words."""

    about: NamedAlert
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class StuckMessage:
    """A message in trouble with the name of its recipient."""

    message: Message
    recipient: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The first line of the page: `colour` is that of the head; counts are of jobs."""

    colour: str  # fail | warn | ok | none
    counts: JobCounts


@router.get("/")
async def show_now(
    request: Request, context: Context, who: SignedInPerson, filters: Annotated[NowFilters, Query()]
) -> HTMLResponse:
    """Show what is wrong now, who has it, and how each customer is. Who sees the same gets the same rendering."""
    if any(name in request.query_params for name in SHOWN_FOR):  # what this person just did
        return await _show(request, context, who, filters)
    viewer, seen = viewer_of(request, context, who), None if who.customers is None else frozenset(who.customers)
    stamp = await streams_of(request, context).stamp(who.customers)
    key = (seen, who.role, viewer, request.url.query, stamp)
    return await kept_pages(request).page(key, who, lambda marked: _show(request, context, marked, filters, stamp))


def forget_kept(request: Request) -> None:
    """Read and render again at the next request: somebody changed something and looks at what became of it."""
    streams_of(request, request.app.state.context).forget_counts()
    counts_of(request).forget()
    kept_states(request).forget()
    kept_pages(request).forget()


def kept_states(request: Request) -> "KeptReads[_State]":
    """Return what this process keeps of the reads of this page."""
    state = request.app.state
    found: KeptReads[_State] | None = getattr(state, "kept_states", None)
    if found is None:
        found = state.kept_states = KeptReads()
    return found


def kept_pages(request: Request) -> KeptPages:
    """Return the renderings that this process keeps."""
    state = request.app.state
    found: KeptPages | None = getattr(state, "kept_pages", None)
    if found is None:
        found = state.kept_pages = KeptPages()
    return found


@dataclass(frozen=True, slots=True)
class _State:
    """What else the page knows of the customers that somebody sees, whatever is filtered."""

    stuck: Sequence[StuckMessage]
    relays: Sequence[Relay]
    reach: Reach
    to_nobody: int  # open alerts


async def _show(
    request: Request, context: AppContext, who: SignedIn, filters: NowFilters, stamp: str = ""
) -> HTMLResponse:
    counted, every, state = await asyncio.gather(
        counts_of(request).of(who.customers, stamp),
        streams_of(request, context).overview(who.customers, stamp),
        kept_states(request).of(who.customers, stamp, lambda: _read_state(context, who)),
    )
    stuck = state.stuck
    viewer = viewer_of(request, context, who)
    shown = filtered(every, filters)
    customers = _customers(counted, every, filters)
    start = (filters.page - 1) * CUSTOMERS_SHOWN
    on_page = customers[start : start + CUSTOMERS_SHOWN]
    today = context.clock().astimezone(viewer.zone).date()
    days = filters.days if filters.days in (14, 30, 90) else 30
    async with context.database.read() as tx:
        strips = await customer_days(tx, [one.id for one in on_page], today, days)
        quotes = await read_quotes(tx, shown.unclear[:UNCLEAR_SHOWN])
        since = context.clock() - _ENDED_WITHIN
        ended = [] if every.problems else await read_closed_alerts(tx, who.customers, since, 1)
    return render(
        request,
        context,
        who,
        "now.html",
        place="now",
        live="now",
        stamp=stamp,
        hot=len(every.nobody),
        verdict=verdict_of(every, total_of(one.counts for one in counted), len(stuck)),
        every=every,
        nobody=shown.nobody[:PROBLEMS_SHOWN],
        somebody=shown.somebody[:PROBLEMS_SHOWN],
        shown=shown,
        quotes=quotes,
        silent_agents=every.silent_agents,
        stuck=stuck,
        reach=state.reach,
        to_nobody=state.to_nobody,
        last_ended=ended[0] if ended else None,
        relays=[(relay, _word_of_relay(relay, context.clock())) for relay in state.relays],
        rows=[CustomerRow(one.id, one.name, one.counts, strips[one.id]) for one in on_page],
        customers=len(counted),
        matching=len(customers),
        rest=max(0, len(customers) - start - CUSTOMERS_SHOWN),
        filters=filters,
    )


async def _read_state(context: AppContext, who: SignedIn) -> _State:
    async with context.database.read() as tx:
        stuck = await _stuck(tx, who, context.clock())
        relays = [relay for relay in await all_relays(tx) if who.sees(relay.customer_id)]
        reach, to_nobody = await reach_of_alerts(tx, who.customers), await count_alerts_to_nobody(tx, who.customers)
        return _State(stuck, relays, reach, to_nobody)


def verdict_of(every: Overview, counts: JobCounts, stuck: int) -> Verdict:
    """Return the verdict. It is good only where something reported and nothing is wrong: no report proves nothing."""
    if counts.failed or counts.missed or counts.overrun:
        colour = "fail"
    elif counts.warning or every.problems or counts.unclear or stuck:
        colour = "warn"
    else:
        colour = "ok" if counts.ok else "none"
    return Verdict(colour, counts)


def filtered(every: Overview, filters: NowFilters) -> Overview:
    """Return the problems that are asked for; each is shown whole."""
    if not filters.is_any:
        return every
    kept = [
        one
        for problem in (*every.problems, *every.silenced)
        if any(filters.fits(one) for one in problem.alerts)
        for one in problem.alerts
    ]
    return overview_of([*kept, *(one for one in every.unclear if filters.fits(one))])


def _customers(counted: Sequence[CustomerCounts], every: Overview, filters: NowFilters) -> list[CustomerCounts]:
    """Return the customers that are asked for, worst first."""
    with_problem = set()
    if filters.q or filters.names_jobs:  # else no alert decides which customers are shown
        alerts = [one for problem in (*every.problems, *every.silenced) for one in problem.alerts]
        with_problem = {one.alert.customer_id for one in [*alerts, *every.unclear] if filters.fits(one)}
    wanted = filters.q.casefold()
    found = [
        one
        for one in counted
        if (not filters.customer or one.name == filters.customer)
        and (not filters.state or getattr(one.counts, filters.state, 0) > 0)
        and (wanted in one.name.casefold() or one.id in with_problem)
        and (not filters.names_jobs or one.id in with_problem)
    ]
    worst = lambda one: (-one.counts.failed, -one.counts.missed, -one.counts.overrun, -one.counts.warning)  # noqa: E731
    return sorted(found, key=worst)


async def read_quotes(tx: ReadTx, unclear: Sequence[NamedAlert]) -> list[UnclearQuote]:
    """Return unclear texts with the beginning of what was sent."""
    texts = await texts_of_events(tx, [one.alert.event_id for one in unclear if one.alert.event_id], _TEXT_MOST)
    return [UnclearQuote(one, *texts.get(one.alert.event_id or "", ("", ""))) for one in unclear]


async def _stuck(tx: ReadTx, who: SignedIn, now: datetime) -> list[StuckMessage]:
    """Return the newest messages that could not be sent, or came back, with the names of their recipients."""
    newest = await newest_in_trouble(tx, who.customers, now - _TROUBLE_FOR, MESSAGES_SHOWN)
    if not newest:
        return []
    names = await recipients_by_id(tx, [message.recipient_id for message in newest])
    return [
        StuckMessage(one, names[one.recipient_id].name if one.recipient_id in names else shown_address(one.address))
        for one in newest
    ]


def _word_of_relay(relay: Relay, now: datetime) -> str:
    """Return `ok`, `failed`, or `waiting` for one that was just added and has not reported."""
    if is_awaited(relay, now):
        return "waiting"
    is_heard = relay.seen_at is not None and now - relay.seen_at <= relay.silent_after
    is_well = is_heard and relay.trouble is None and relay.paused_at is None and relay.broken_at is None
    return "ok" if is_well else "failed"
