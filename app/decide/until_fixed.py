"""Ends the silences that were made "until it is fixed", once nothing of what they mute is open any more."""

from collections.abc import Sequence
from datetime import datetime

from app.core.ids import new_id
from app.domain.alert import Alert
from app.domain.follow_up import FollowUp, FollowUpKind
from app.domain.matcher import all_match
from app.domain.route import Silence
from app.store.alerts import has_open_alert
from app.store.follow_ups import insert_follow_up
from app.store.silences import end_silence
from app.store.transactions import WriteTx


async def end_fixed(
    tx: WriteTx, silences: Sequence[Silence], closed: Sequence[tuple[Alert, str, str]], now: datetime
) -> None:
    """End the silences that muted these alerts, each given with the names of its agent and job, which events closed.

    One that names a job waits for this job only, one that names an agent waits for all that is open of it. A silence stays where an
    alert is closed by hand: that fixes nothing.
    """
    waiting = [silence for silence in silences if silence.until_fixed]
    for silence in waiting:
        names_job = any(matcher.field == "job" for matcher in silence.matchers)
        for alert, agent, job in closed:
            if silence.customer_id != alert.customer_id or not all_match(
                silence.matchers, {"agent": agent, "job": job}
            ):
                continue
            if await has_open_alert(tx, alert.customer_id, alert.agent_id, alert.job_id if names_job else None):
                continue
            if await end_silence(tx, silence.id, now):
                await insert_follow_up(tx, FollowUp(new_id("fup"), FollowUpKind.MUTED, silence.id, now, ""))
            break
