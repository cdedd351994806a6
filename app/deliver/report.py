"""Reports in log and metrics what happened to messages, so that none is given up unnoticed. Called after the commit, never before."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from app.core import metrics
from app.core.log import log
from app.domain.message import Message, MessageState, takes_summaries
from app.domain.notice import URGENCY_CANARY
from app.store.outbox_at_once import SettledAsSent


def report_sent(sent: Sequence[Message | SettledAsSent], now: datetime) -> None:
    """Report messages that were sent normally. Logged at debug level: it is one line per message."""
    for transport, count in Counter(message.transport for message in sent).items():
        metrics.ATTEMPTS.labels(transport, "sent").inc(count)
    waited = metrics.STAGE_SECONDS.labels("worded_to_sent")
    for message in sent:
        waited.observe(max(0.0, (now - message.created_at).total_seconds()))
    log.debug("sent", messages=[f"{message.id} by {message.transport}, attempt {message.attempts}" for message in sent])


def report_attempt(after: Message, outcome: str, now: datetime) -> None:
    """Report an attempt that ended, and what happened to its message."""
    metrics.ATTEMPTS.labels(after.transport, outcome).inc()
    fields = {"message": after.id, "transport": after.transport, "attempt": after.attempts, "why": after.why}
    if after.state is MessageState.SENT:
        metrics.STAGE_SECONDS.labels("worded_to_sent").observe(max(0.0, (now - after.created_at).total_seconds()))
        log.info("sent", **fields)
        return
    if outcome != "sent":
        log.warning("attempt failed", outcome=outcome, **fields)
    report_given_up(after)


def report_given_up(after: Message) -> None:
    """Report a message that its transport will not send any more: dead, or moved to the next transport. An alert reports a canary."""
    if after.urgency == URGENCY_CANARY:
        return
    if after.state is MessageState.DEAD:
        is_refresh = not after.is_alert and not takes_summaries(
            after.transport
        )  # compose/refresh.py makes the next one
        metrics.DEAD.labels(after.transport).inc()
        log.error(
            "open alerts could not be sent again" if is_refresh else "message is dead: its recipient was not notified",
            message=after.id,
            transport=after.transport,
            recipient=after.recipient_id,
            subject=after.subject,
            why=after.why,
        )
    elif after.state is MessageState.MOVED:
        metrics.MOVED.labels(after.transport).inc()
        log.warning("message moved to the next transport", message=after.id, to=after.moved_to, why=after.why)


def report_bounced(after: Message) -> None:
    """Report a message that was sent and came back. Without a successor, its recipient does not know of it. An alert reports a canary."""
    if after.urgency == URGENCY_CANARY:
        return
    metrics.BOUNCED.labels(after.transport, "no" if after.moved_to is None else "yes").inc()
    fields = {"message": after.id, "transport": after.transport, "recipient": after.recipient_id, "why": after.why}
    if after.moved_to is None:
        log.error("message came back: its recipient was not notified", subject=after.subject, **fields)
    else:
        log.warning("message came back and goes by the next transport", to=after.moved_to, **fields)
