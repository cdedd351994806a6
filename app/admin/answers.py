"""What a recipient answers by the link in an alert mail: they take the alert on, or silence what it is about, in their own name."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from app.admin.alerts import acknowledge_alert, release_alert, take_over_alert, tell_others
from app.admin.editing import Editor
from app.admin.silences import create_silence, delete_silence
from app.context import AppContext
from app.core.errors import Conflict, NotFound
from app.core.ids import new_id
from app.domain.alert import Alert
from app.domain.answer_link import PURPOSE, read_answer_link, signer_of
from app.domain.customer import Customer
from app.domain.job import Job
from app.domain.matcher import Comparison, Matcher
from app.domain.recipient import Recipient
from app.domain.route import Silence
from app.store.agents import AGENTS
from app.store.alerts import ALERTS
from app.store.customers import CUSTOMERS
from app.store.jobs import JOBS
from app.store.routing import current_silences, recipients_by_id
from app.store.transactions import ReadTx, WriteTx

_MORNING = 8
UNDO_FOR = timedelta(seconds=30)  # so long the others are not notified; a phone takes longer than a desk


class AnswerKind(StrEnum):
    """What somebody answers."""

    TAKE_ON = "take-on"
    SILENCE_4H = "4h"
    SILENCE_TODAY = "today"
    SILENCE_MORNING = "morning"
    TAKE_OVER = "take-over"
    UNDO = "undo"


@dataclass(frozen=True, slots=True)
class AskedAlert:
    """The alert that a link asks about, and in whose name it is answered. `silenced` is the silence that holds for it now."""

    alert: Alert
    customer: Customer
    agent: str
    job: Job | None
    recipient: Recipient
    address: str
    until: datetime
    is_over: bool
    silenced: Silence | None

    @property
    def title(self) -> str:
        """The job's name, or the agent's."""
        return self.job.name if self.job is not None else self.agent

    @property
    def is_mine(self) -> bool:
        """Whether the one who answers has taken it on already."""
        by = self.alert.acknowledged_by or ""
        return by == self.address or by.startswith(f"{self.address} (")  # kim@example.com is not kim@example.co

    def acknowledged_just_now(self, now: datetime) -> bool:
        """Return whether the one who answers acknowledged it so short ago that it can be undone."""
        at = self.alert.acknowledged_at
        is_open = self.alert.closed_at is None
        return is_open and at is not None and self.is_mine and timedelta(0) <= now - at <= UNDO_FOR

    def silenced_just_now(self, now: datetime) -> bool:
        """Return whether the one who answers silenced it so short ago that it can be undone."""
        own = self.silenced
        return own is not None and own.created_by == self.address and timedelta(0) <= now - own.starts_at <= UNDO_FOR


async def read_question(tx: ReadTx, context: AppContext, token: str) -> AskedAlert:
    """Return what a link asks. Raises NotFound for one that we did not sign, or not for an address that its recipient has now."""
    link = read_answer_link(token)
    if link is not None:
        recipient = (await recipients_by_id(tx, [link.recipient_id])).get(link.recipient_id)
        addresses = [] if recipient is None else [one.address for one in recipient.transports]
        address = signer_of(context.secret.derive(PURPOSE), token, addresses)
        alert = None if address is None else await ALERTS.find(tx, link.alert_id)
        if recipient is not None and address is not None and alert is not None:
            customer = await CUSTOMERS.get(tx, alert.customer_id)
            agent = await AGENTS.find(tx, alert.agent_id)
            job = None if alert.job_id is None else await JOBS.find(tx, alert.job_id)
            name = "" if agent is None else agent.name
            now = context.clock()
            about = _about(name, job)
            # Another customer can have an agent and a job of the same names.
            holds = [one for one in await current_silences(tx, now) if one.customer_id in (None, customer.id)]
            silenced = next((one for one in holds if one.matchers == about), None)
            is_over = now >= link.until
            return AskedAlert(alert, customer, name, job, recipient, address, link.until, is_over, silenced)
    raise NotFound("this link is not valid, or no longer", code="link_over")


async def answer(
    tx: WriteTx, context: AppContext, asked: AskedAlert, kind: AnswerKind, comment: str | None
) -> datetime | None:
    """Do what somebody answered; return when the silence ends, or None. Raises Conflict if the alert is closed, or somebody has it."""
    by = Editor(asked.address, context.clock(), context.wakeups.wake)
    if kind is AnswerKind.UNDO:
        if asked.acknowledged_just_now(by.at):
            await release_alert(tx, asked.alert, by)
        elif asked.silenced is not None and asked.silenced_just_now(by.at):
            await delete_silence(tx, asked.silenced.id, by)
        else:
            raise Conflict("it is too late to undo that", code="too_late")
        return None
    if kind in (AnswerKind.TAKE_ON, AnswerKind.TAKE_OVER):
        if kind is AnswerKind.TAKE_OVER:
            await take_over_alert(tx, asked.alert.id, comment, by)
        elif not await acknowledge_alert(tx, asked.alert.id, None, comment, by):
            raise Conflict("somebody else acknowledged it at the same time", code="acknowledged")
        await tell_others(tx, asked.alert.id, asked.address, by, UNDO_FOR)
        return None
    ends_at = silence_end(kind, by.at, zone_of(asked.customer))
    silence = Silence(
        id=new_id("sil"),
        matchers=_about(asked.agent, asked.job),
        starts_at=by.at,
        ends_at=ends_at,
        comment=comment or "by the link in a mail",
        created_by=by.who,
        customer_id=asked.customer.id,
        created_at=by.at,
    )
    await create_silence(tx, silence, by)
    return ends_at


def silence_end(kind: AnswerKind, now: datetime, zone: ZoneInfo) -> datetime:
    """Return when a silence ends: in four hours, or today or tomorrow at 08:00 in the customer's time zone."""
    if kind is AnswerKind.SILENCE_4H:
        return now + timedelta(hours=4)
    day = now.astimezone(zone).date() + timedelta(days=0 if kind is AnswerKind.SILENCE_TODAY else 1)
    return datetime(day.year, day.month, day.day, _MORNING, tzinfo=zone)


def zone_of(customer: Customer) -> ZoneInfo:
    """Return a customer's time zone; UTC for a name that this host does not know."""
    try:
        return ZoneInfo(customer.time_zone)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def _about(agent: str, job: Job | None) -> tuple[Matcher, ...]:
    named = [("agent", agent)] + ([] if job is None else [("job", job.name)])
    return tuple(Matcher(field, Comparison.IS, name) for field, name in named)
