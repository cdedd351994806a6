"""GET /badge/{token}.svg: one verdict as a small picture, for whoever has the link. It shows only what its link was created with."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from markupsafe import escape

from app.admin.share_links import open_share_link
from app.domain.job_status import StatusVerdict, judge_status
from app.domain.share_link import SharedPart, ShareKind
from app.http.api.dependencies import Context
from app.http.api.status import StatusCache, status_cache
from app.http.shared_answer import answer_shared
from app.store.job_states import JobChoice

router = APIRouter(include_in_schema=False)
_COLOURS = {  # green is for what is known to be well, and for nothing else
    StatusVerdict.OK: "#1f7a3d",
    StatusVerdict.WARNING: "#8a5a00",
    StatusVerdict.CRITICAL: "#b3261e",
    StatusVerdict.UNKNOWN: "#5f6368",
}
_SHOWN_COUNTS = ("failed", "missed", "overrun", "unclear", "warning", "ok")
_LETTER, _PADDING, _LONGEST = 7, 10, 60


@router.get("/badge/{token}.svg")
async def show_badge(
    token: str,
    request: Request,
    context: Context,
    cache: Annotated[StatusCache, Depends(status_cache)],
) -> Response:
    """Return the picture."""
    link = await open_share_link(context, token, ShareKind.BADGE)
    kept = await cache.read(context, JobChoice(link.customer_ids, link.matchers), 0)
    judged = judge_status(kept.counts, kept.pipeline.stale_because(context.clock()))
    words = judged.verdict.value
    if SharedPart.COUNTS in link.shows:
        shown = [f"{number:,} {name}" for name in _SHOWN_COUNTS if (number := getattr(kept.counts, name))]
        if kept.counts.silent_agents:
            shown.append(f"{kept.counts.silent_agents:,} silent")
        words = ": ".join((words, ", ".join(shown))) if shown else words
    return answer_shared(request, draw_badge("backups", words, _COLOURS[judged.verdict]), "image/svg+xml")


def draw_badge(name: str, words: str, colour: str) -> str:
    """Return an SVG picture with a name on the left and words on the right."""
    words = words[:_LONGEST]
    left, right = (len(text) * _LETTER + 2 * _PADDING for text in (name, words))
    whole = f"{name}: {words}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="22" role="img" aria-label="{escape(whole)}">'
        f"<title>{escape(whole)}</title>"
        f'<rect width="{left}" height="22" fill="#3c4043"/><rect x="{left}" width="{right}" height="22" fill="{colour}"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="12">'
        f'<text x="{left / 2:g}" y="15" textLength="{left - 2 * _PADDING}">{escape(name)}</text>'
        f'<text x="{left + right / 2:g}" y="15" textLength="{right - 2 * _PADDING}">{escape(words)}</text></g></svg>\n'
    )
