"""Says aloud what became of messages, in log and metrics, so that no dead one is silent. Called after the commit, never before."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from app.core import metrics
from app.core.log import log
from app.domain.lease import Leased
from app.domain.message import Message, MessageState


def tell_sent(sent: Sequence[Leased], now: datetime) -> None:
    """Tell of messages that went as they should; that is too much for the log as it is usually kept."""
    if not sent:
        return
    for transport, count in Counter(one.transport for one in sent).items():
        metrics.ATTEMPTS.labels(transport, "sent").inc(count)
    waited = metrics.STAGE_SECONDS.labels("worded_to_sent")
    for one in sent:
        waited.observe(max(0.0, (now - one.created_at).total_seconds()))
    log.debug("sent", messages=[f"{one.parcel.id} by {one.transport}, attempt {one.attempts + 1}" for one in sent])


def tell(after: Message, outcome: str, now: datetime) -> None:
    """Tell of an attempt that ended, and of what its message became."""
    metrics.ATTEMPTS.labels(after.transport, outcome).inc()
    told = {"message": after.id, "transport": after.transport, "attempt": after.attempts, "why": after.why}
    if after.state is MessageState.SENT:
        metrics.STAGE_SECONDS.labels("worded_to_sent").observe(max(0.0, (now - after.created_at).total_seconds()))
        log.info("sent", **told)
        return
    if outcome != "sent":
        log.warning("attempt failed", outcome=outcome, **told)
    tell_end(after)


def tell_end(after: Message) -> None:
    """Tell of a message that its transport will not send any more."""
    if after.state is MessageState.DEAD:
        metrics.DEAD.labels(after.transport).inc()
        log.error(
            "message is dead: its recipient was not told",
            message=after.id,
            transport=after.transport,
            recipient=after.recipient_id,
            subject=after.subject,
            why=after.why,
        )
    elif after.state is MessageState.MOVED:
        metrics.MOVED.labels(after.transport).inc()
        log.warning("message moved to the next transport", message=after.id, to=after.moved_to, why=after.why)
