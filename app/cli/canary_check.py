"""What `tocsin doctor` says about canary mails, about how long mail takes, and about a database that was put back to an older state."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from app.compose import phrases
from app.core.settings import Settings
from app.domain.canary import TIMES_OVER
from app.store.canaries import mail_times, reported_canaries
from app.store.summaries import gaps_since
from app.store.transactions import ReadTx

_SHOWN_FOR = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class CanaryLines:
    """Lines about what is wrong, and lines that are only good to know."""

    wrong: tuple[str, ...]
    notes: tuple[str, ...]


async def check_canaries(tx: ReadTx, settings: Settings, now: datetime) -> CanaryLines:
    """Return the lines about canaries and about summaries that the database lacks."""
    lost = {canary.name: canary for canary in await reported_canaries(tx)}
    wrong = [
        f"The canary mail of {it.sent_at:%Y-%m-%d %H:%M} UTC by {it.name} was lost: {it.why}. Mails sent this way may not arrive. See GET /v1/canaries."
        for it in lost.values()
    ]
    notes = [
        f"The database was put back to an older state, noticed {gap.noticed_at:%Y-%m-%d %H:%M} UTC: of the schedule '{gap.schedule}', "
        f"{phrases.summaries_from(gap.first, gap.last)} sent and not known here."
        for gap in await gaps_since(tx, now - _SHOWN_FOR)
    ]
    if not settings.sends_canaries and settings.canary:
        notes.append(
            "Whether mail arrives is not known: if you set TOCSIN_BOUNCE_ADDRESS, and TOCSIN_MAIL_IN_PORT or TOCSIN_MAILBOX_URL, a small test mail a day "
            "tests each transport, and an alert goes by another transport if it does not arrive. See docs/mail-bounces.md."
        )
    elif (times := (await mail_times(tx, now - TIMES_OVER)).get("")) is not None:
        notes.append(phrases.mail_times(times))
    return CanaryLines(tuple(wrong), tuple(notes))
