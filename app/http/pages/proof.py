"""/proof/...: the whole chain of one thing, from the event to what the mail server answered, on one page.

It starts from any event, run, alert, notice or message, finds the alert in the middle, and reads the chain in both directions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from email import message_from_bytes, policy
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse

from app.compose.link_tokens import without_tokens
from app.core.errors import NotFound
from app.decide.route import matching_routes
from app.domain.alert import Alert, without_rule
from app.domain.attempt import Attempt
from app.domain.event import READING, StoredEvent
from app.domain.message import Message, MessageState
from app.domain.notice import Notice, NoticeState
from app.domain.problem import NamedAlert
from app.domain.recipient import shown_address
from app.domain.run import Run
from app.http.api.dependencies import Context
from app.http.pages.frame import render
from app.http.pages.overview import facts_of
from app.http.pages.proof_times import TimeSpent, time_spent
from app.http.pages.session import SignedIn, SignedInPerson
from app.store.agents import agents_by_id
from app.store.alerts import ALERTS, alert_about, read_alerts
from app.store.customers import Scope, customers_by_id
from app.store.events import EVENTS
from app.store.jobs import JOBS
from app.store.messages import MESSAGES, bodies_of, first_of_successors
from app.store.notices import NOTICES, NoticeFilters, page_notices
from app.store.outbox import attempts_of
from app.store.repository import Window
from app.store.routing import RULES, all_routes, page_recipients, recipients_by_id
from app.store.runs import RUNS
from app.store.transactions import ReadTx

router = APIRouter(include_in_schema=False)

_NOTICES_SHOWN, _MOVES_MOST, _RECIPIENTS_SEARCHED = 50, 8, 500
# The mail has inline styles, as mail programs need them; the sandbox runs nothing and loads nothing.
_MAIL_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'"
Id = Annotated[str, Path(max_length=40, pattern=r"^[a-z]{3}_[0-9a-z]+$")]
# What a worded notice is for its recipient, by the state of its last message. Nobody is notified before a server accepted the message.
_REACHED = {
    MessageState.SENT: "notified",
    MessageState.QUEUED: "sending",
    MessageState.LEASED: "sending",
    MessageState.MOVED: "sending",
    MessageState.UNKNOWN: "unknown",
    MessageState.DEAD: "failed",
    MessageState.BOUNCED: "bounced",
}


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message of the chain with its attempts and the name of its recipient. `is_seen`: whether the reader may see its words."""

    message: Message
    recipient: str
    attempts: Sequence[Attempt]
    is_seen: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """A notice with the names of its recipient and its route; None where there is none.

    `is_only_filed`: every transport of the recipient is `file`, which writes to a folder on the host of the service.
    """

    notice: Notice
    recipient: str | None
    route: str | None
    is_only_filed: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """What is known of one thing. Each part may be missing: it was deleted, or there never was one."""

    event: StoredEvent | None = None
    run: Run | None = None
    alert: NamedAlert | None = None
    rule: str | None = None
    customer: str = ""
    agent: str = ""
    job: str | None = None
    job_id: str | None = None
    decisions: Sequence[Decision] = ()
    messages: Sequence[SentMessage] = ()
    reading: Mapping[str, str] = field(default_factory=dict)

    @property
    def alert_reason(self) -> str:
        """Why the alert opened, without the name of its rule."""
        if self.alert is None:
            return ""
        reason = self.alert.alert.reason
        return reason if self.rule is None else without_rule(reason, self.rule)

    def decision_reason(self, decision: Decision) -> str:
        """Return the reason of a notice without the names of its rule and its route."""
        reason = decision.notice.reason
        if self.alert is not None and reason.startswith(f"{self.alert.alert.reason}; "):
            reason = self.alert_reason + reason.removeprefix(self.alert.alert.reason)
        return without_route(reason, decision.route)

    def moves_of(self, message_id: str | None) -> Sequence[SentMessage]:
        """Return a message and its successors on other transports, the first one first."""
        found: list[SentMessage] = []
        own = message_id
        for sent in self.messages:
            if sent.message.id == own:
                found.append(sent)
                own = sent.message.moved_to
        return found

    def reached(self, decision: Decision) -> str:
        """Return whether a decision reached its recipient, as a word that the page has a text for."""
        if decision.notice.state is not NoticeState.WORDED:
            is_for_file = decision.notice.state is NoticeState.WAITING and decision.is_only_filed
            return "for file" if is_for_file else decision.notice.state.value
        moves = self.moves_of(decision.notice.message_id)
        if not moves:
            return "gone"
        last = moves[-1].message
        return "file" if last.transport == "file" and last.state is MessageState.SENT else _REACHED[last.state]

    def time_spent(self, asked: Message | None) -> TimeSpent | None:
        """Return where the time went for the message that was asked for, else for the first one."""
        decisions = [one for one in self.decisions if one.notice.message_id is not None]
        if asked is not None:
            decisions = [
                one
                for one in decisions
                if any(sent.message.id == asked.id for sent in self.moves_of(one.notice.message_id))
            ]
        if not decisions:
            return None
        notice = decisions[0].notice
        moves = self.moves_of(notice.message_id)
        is_opener = self.event is not None and self.alert is not None and self.event.id == self.alert.alert.event_id
        return time_spent(
            moves[0].recipient if moves else "",
            self.event if is_opener else None,
            notice,
            [(sent.message, sent.attempts) for sent in moves],
        )

    @property
    def began_at(self) -> datetime | None:
        """When we received the first of it."""
        if self.event is not None:
            return self.event.received_at
        return self.alert.alert.opened_at if self.alert is not None else None


def without_route(reason: str, route: str | None) -> str:
    """Return the reason of a notice without the part that names its route: the page shows the name next to it."""
    ending = "; not silenced"
    if route is None or not reason.endswith(named := f"; route '{route}'{ending}"):
        return reason
    return reason.removesuffix(named) + ending


@router.get("/proof/{proof_id}")
async def show_proof(
    request: Request,
    context: Context,
    who: SignedInPerson,
    proof_id: Id,
    about: Annotated[str, Query(max_length=200)] = "",
) -> HTMLResponse:
    """Show the chain of an event, run, alert, notice or message."""
    async with context.database.read() as tx:
        try:
            chain, message = await _read_chain(tx, who, proof_id)
        except NotFound as cause:  # in the same words whether it does not exist or belongs to another customer
            raise NotFound(f"there is nothing called {proof_id}") from cause
        answer = await _answer_about(tx, who, chain, about) if about else None
    return render(
        request,
        context,
        who,
        "proof.html",
        place="alerts",
        chain=chain,
        asked=proof_id,
        asked_message=message,
        about=about,
        answer=answer,
        spent=chain.time_spent(message),
    )


@router.get("/mail/{message_id}/shown")
async def show_mail(context: Context, who: SignedInPerson, message_id: Id) -> Response:
    """Return the HTML of a mail, for the frame that shows it: nothing in it runs or is loaded, and its signed links are taken out.

    By those, somebody who may only read could acknowledge and silence in the name of the recipient.
    """
    async with context.database.read() as tx:
        message = await MESSAGES.get(tx, message_id)
        if not who.sees(message.customer_id):
            raise NotFound(f"there is no message {message_id}")
        bodies = await bodies_of(tx, message_id)
    raw = None if bodies is None else bodies.mail
    body = None if raw is None else message_from_bytes(raw, policy=policy.default).get_body(("html", "plain"))
    content = without_tokens(body.get_content()) if body is not None else ""
    if body is not None and body.get_content_type() == "text/plain":
        return _framed(PlainTextResponse(content))
    return _framed(HTMLResponse(content))


@router.get("/event/{event_id}/log")
async def get_log(context: Context, who: SignedInPerson, event_id: Id) -> PlainTextResponse:
    """Return the whole log of an event as a file."""
    async with context.database.read() as tx:
        event = await EVENTS.get(tx, event_id)
    if not who.sees(event.customer_id):
        raise NotFound(f"there is no event {event_id}")
    headers = {"Content-Disposition": f'attachment; filename="{event_id}.log"', "X-Content-Type-Options": "nosniff"}
    return PlainTextResponse(event.log or "", headers=headers)


def _framed(answer: Response) -> Response:
    answer.headers["Content-Security-Policy"] = _MAIL_POLICY
    answer.headers["X-Frame-Options"] = "SAMEORIGIN"
    return answer


async def _read_chain(tx: ReadTx, who: SignedIn, asked: str) -> tuple[Chain, Message | None]:
    """Return the chain of a thing, and the message if one was asked for. Raises NotFound, also for what the person may not see."""
    event: StoredEvent | None = None
    run: Run | None = None
    alert: Alert | None = None
    message: Message | None = None
    owner: str | None = None
    match asked[:4]:
        case "evt_":
            event = await EVENTS.get(tx, asked)
            owner = event.customer_id
        case "run_":
            run = await RUNS.get(tx, asked)
            owner, event = run.customer_id, await EVENTS.find(tx, run.event_id or "")
        case "alr_":
            alert = await ALERTS.get(tx, asked)
            owner = alert.customer_id
        case "ntc_":
            notice = await NOTICES.get(tx, asked)
            owner, alert = notice.customer_id, await ALERTS.find(tx, notice.alert_id or "")
        case "msg_":
            message = await MESSAGES.get(tx, asked)
            owner = message.customer_id
            first = await first_of_successors(tx, message)
            of_message = NoticeFilters(Scope(), message_id=first.id)
            worded = (await page_notices(tx, of_message, Window(1))).items
            alert = await ALERTS.find(tx, worded[0].alert_id or "") if worded else None
        case _:
            raise NotFound(f"there is nothing called {asked}")
    if not who.sees(owner):
        raise NotFound(f"there is nothing called {asked}")
    if alert is None and event is not None:
        alert = await alert_about(tx, event)
    if event is None and alert is not None and alert.event_id is not None:
        event = await EVENTS.find(tx, alert.event_id)
    if run is None and event is not None and event.run_id is not None:
        run = await RUNS.find(tx, event.run_id)
    return await _named(tx, who, event, run, alert, message), message


async def _named(
    tx: ReadTx,
    who: SignedIn,
    event: StoredEvent | None,
    run: Run | None,
    alert: Alert | None,
    message: Message | None,
) -> Chain:
    decisions = await _decisions(tx, alert, message)
    known = {message.id} if message is not None else set()
    ids = [one.notice.message_id for one in decisions if one.notice.message_id is not None]
    started = ([] if alert is not None or message is None else [message.id]) + ids
    messages = [sent for own in dict.fromkeys(started) for sent in await _moves(tx, who, own)]
    if message is not None and not known & {one.message.id for one in messages}:
        messages += await _moves(tx, who, message.id)
    source = event or alert or run
    customer_id = source.customer_id if source is not None else None
    agent_id = event.agent_id if event is not None else alert.agent_id if alert is not None else None
    named = (await read_alerts(tx, [alert.id], who.customers)) if alert is not None else []
    rule = await RULES.find(tx, alert.rule_id) if alert is not None and alert.rule_id is not None else None
    job_id = run.job_id if run is not None else alert.job_id if alert is not None else None
    job = await JOBS.find(tx, job_id) if job_id is not None else None
    customers = await customers_by_id(tx, [customer_id] if customer_id else [])
    agents = await agents_by_id(tx, [agent_id] if agent_id else [])
    reading = (event.extra or {}).get(READING) if event is not None else None
    return Chain(
        event=event,
        run=run,
        alert=named[0] if named else None,
        rule=None if rule is None else rule.name,
        customer=customers[customer_id].name if customer_id in customers else "",
        agent=agents[agent_id].name if agent_id in agents else "",
        job=job.name if job is not None else (event.job if event is not None else None),
        job_id=None if job is None else job.id,
        decisions=decisions,
        messages=messages,
        reading={str(name): str(text) for name, text in reading.items()} if isinstance(reading, Mapping) else {},
    )


async def _decisions(tx: ReadTx, alert: Alert | None, message: Message | None) -> list[Decision]:
    if alert is None and message is None:
        return []
    filters = NoticeFilters(
        Scope(),
        alert_id=None if alert is None else alert.id,
        message_id=message.id if alert is None and message is not None else None,
    )
    found = (await page_notices(tx, filters, Window(_NOTICES_SHOWN))).items
    names = await recipients_by_id(tx, [one.recipient_id for one in found if one.recipient_id])
    routes = {route.id: route.name for route in await all_routes(tx)}
    return [
        Decision(
            one,
            names[one.recipient_id].name if one.recipient_id in names else None,
            routes.get(one.route_id or ""),
            one.recipient_id in names and names[one.recipient_id].is_only_filed,
        )
        for one in reversed(found)
    ]


async def _moves(tx: ReadTx, who: SignedIn, message_id: str) -> list[SentMessage]:
    """Return a message and its successors on other transports, with their attempts.

    One message can report alerts of several customers. Who sees only one of them gets it without the words about the others.
    """
    found: list[SentMessage] = []
    own: str | None = message_id
    while own is not None and len(found) < _MOVES_MOST:
        message = await MESSAGES.find(tx, own)
        if message is None:
            break
        names = await recipients_by_id(tx, [message.recipient_id])
        name = names[message.recipient_id].name if message.recipient_id in names else shown_address(message.address)
        is_seen = who.sees(message.customer_id)
        shown = message if is_seen else replace(message, subject="")
        found.append(SentMessage(shown, name, await attempts_of(tx, message.id), is_seen))
        own = message.moved_to
    return found


@dataclass(frozen=True, slots=True)
class AboutSomebody:
    """Why somebody was notified of an alert, or was not. `decided`: the notices to them; `reached`: the routes that match now and lead to them."""

    name: str
    is_known: bool
    decided: Sequence[Decision] = ()
    matched: Sequence[str] = ()
    theirs: Sequence[str] = ()


async def _answer_about(tx: ReadTx, who: SignedIn, chain: Chain, name: str) -> AboutSomebody:
    """Answer why somebody was notified, or was not. Who sees some customers learns nothing of recipients and routes of others."""
    everybody = (await page_recipients(tx, Window(_RECIPIENTS_SEARCHED))).items
    wanted = name.casefold().strip()
    found = [
        one
        for one in everybody
        if one.name.casefold() == wanted or wanted in (to.address.casefold() for to in one.transports)
    ]
    if not found or chain.alert is None:
        return AboutSomebody(name, is_known=False)
    one = found[0]
    routes = await all_routes(tx)
    matched = matching_routes(chain.alert.alert.customer_id, facts_of(chain.alert), routes)
    decided = [decision for decision in chain.decisions if decision.notice.recipient_id == one.id]
    if who.customers is not None:
        routes = matched
        if not decided and not any(one.id in route.recipients for route in matched):
            return AboutSomebody(name, is_known=False)
    return AboutSomebody(
        one.name,
        is_known=True,
        decided=decided,
        matched=[route.name for route in matched],
        theirs=[route.name for route in routes if one.id in route.recipients],
    )
