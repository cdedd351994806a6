"""/wall/{token}: how chosen customers stand, for a screen on a wall. Whoever has the address sees it; it needs no session and sets no cookie.

It shows what the share link says, and nothing else: without `customers` no name of one, without `jobs` no name of a job or agent,
without `errors` no text that a tool sent, without `counts` no number. A green that rests on old states is never shown.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from app.admin.share_links import open_share_link
from app.domain.job_status import JobCounts, StatusVerdict, judge_status, total_of
from app.domain.share_link import SharedPart, ShareKind
from app.http.api.dependencies import Context
from app.http.pages.frame import render
from app.http.pages.overview import counts_of
from app.store.customers import customers_by_id
from app.store.fleet import CustomerCounts
from app.store.job_states import (
    JobChoice,
    JobStatus,
    count_by_customer,
    count_silent,
    worst_jobs,
)
from app.store.pipeline_state import read_pipeline_state

router = APIRouter(include_in_schema=False)
JOBS_SHOWN, CUSTOMERS_SHOWN = 12, 48
REFRESH_S = 30


@dataclass(frozen=True, slots=True)
class WallState:
    """What the wall shows. `is_stale`: the states may be old, so that nothing may be called ok."""

    verdict: StatusVerdict
    is_stale: bool
    counts: JobCounts
    customers: Sequence[CustomerCounts]
    more: int
    jobs: Sequence[JobStatus]


@router.get("/wall/{token}")
async def show_wall(request: Request, context: Context, token: str) -> HTMLResponse:
    """Show the wall of a share link. Every token that opens nothing is answered alike."""
    link = await open_share_link(context, token, ShareKind.WALL)
    counted = [] if link.matchers else await counts_of(request).of(link.customer_ids)
    choice, now = JobChoice(link.customer_ids, link.matchers), context.clock()
    async with context.database.read() as tx:
        if link.matchers:
            by_id = await count_by_customer(tx, choice, now)
            named = await customers_by_id(tx, by_id)
            counted = [CustomerCounts(one.id, one.name, one.time_zone, by_id[one.id]) for one in named.values()]
        jobs = await worst_jobs(tx, choice, now, JOBS_SHOWN) if SharedPart.JOBS in link.shows else []
        is_stale = (await read_pipeline_state(tx, link.customer_ids)).stale_because(now) is not None
        silent = await count_silent(tx, choice, now)
    counts = replace(total_of(one.counts for one in counted), silent_agents=silent)
    worst_first = sorted(counted, key=_trouble_of)
    state = WallState(
        verdict=judge_status(counts, "stale" if is_stale else None).verdict,
        is_stale=is_stale,
        counts=counts,
        customers=worst_first[:CUSTOMERS_SHOWN],
        more=max(0, len(worst_first) - CUSTOMERS_SHOWN),
        jobs=jobs,
    )
    page = render(
        request,
        context,
        None,
        "wall.html",
        state=state,
        shows={part.value for part in link.shows},
        refresh=REFRESH_S,
        at=context.clock(),
        moment_of=lambda seconds: datetime.fromtimestamp(seconds, UTC),
    )
    page.headers["X-Robots-Tag"] = "noindex, nofollow"
    return page


def _trouble_of(one: CustomerCounts) -> tuple[int, ...]:
    counts = one.counts
    return (-counts.failed, -counts.missed, -counts.overrun, -counts.unclear, -counts.warning)
