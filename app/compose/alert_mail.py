"""Renders one mail about one or more alerts: what is down first, then what recovered. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from app.compose import phrases
from app.compose.alert_card import (
    ACKNOWLEDGED,
    CLOSED,
    OK_AGAIN,
    STATES,
    AlertCard,
    AnswerUrl,
    card_of,
    newest_moment,
    state_of,
)
from app.compose.alert_subject import subject_of
from app.compose.render import HTML_LIMIT, TEXT_LIMIT, RenderedMail, fit, html_page, text_page
from app.domain.event import Severity
from app.domain.mail_views import AlertView
from app.domain.notice import NoticeKind

DETAILED, BRIEF = 50, 300
FIRST_OF_AGENT = (
    20  # alerts of an agent in a long mail, before the rest of them: its storm must not push out those of the others
)
_KINDS = tuple(STATES)
_SEVERITIES = tuple(reversed(Severity))
_WORDS = {
    **{state: state.lower() for state in STATES.values()},
    "WARNING": "with warnings",
    "OVERRUN": "running too long",
    CLOSED: "closed",
    OK_AGAIN: "OK again",
    ACKNOWLEDGED: "acknowledged",
}


def render(views: Sequence[AlertView], *, base_url: str, answer: AnswerUrl | None = None) -> RenderedMail:
    """Return the mail about 1..n alerts. The order of `views` does not matter. `answer`: the links by which its reader can answer."""
    ordered = in_order(views)
    count = len(ordered)
    log_lines = 20 if count <= 3 else 8 if count <= 10 else 3  # noqa: PLR2004  (the more alerts, the less log of each)
    cards = _with_hints_once([card_of(view, base_url, log_lines, answer) for view in ordered[: DETAILED + BRIEF]])
    values = _frame(ordered, cards, base_url)

    def page(scale: float, *, html: bool) -> str:
        detailed, brief = (
            int(DETAILED * scale),
            int(BRIEF * scale**0.5),
        )  # many names are worth more than the details of a few
        shown = {"cards": cards[:detailed], "briefs": cards[detailed : detailed + brief]}
        more = max(0, len(ordered) - detailed - brief)
        return (
            html_page("alert.html", more=more, **shown, **values)
            if html
            else text_page("alert.txt", more=more, **shown, **values)
        )

    return RenderedMail(
        subject=subject_of(ordered),
        text=fit(lambda scale: page(scale, html=False), TEXT_LIMIT),
        html=fit(lambda scale: page(scale, html=True), HTML_LIMIT),
        headers=(("X-Tocsin", "alert; " + ", ".join(sorted({view.what.value for view in ordered}))),),
    )


def in_order(views: Sequence[AlertView]) -> list[AlertView]:
    """Return the views in the order of the mail: down before recovered, then by kind, new before repeated, the most severe first."""
    whats = (NoticeKind.OPENED, NoticeKind.REPEATED, NoticeKind.ACKNOWLEDGED, NoticeKind.RECOVERED)
    ordered = sorted(
        views,
        key=lambda view: (
            view.what is NoticeKind.RECOVERED,
            _KINDS.index(view.alert.kind),
            whats.index(view.what),
            _SEVERITIES.index(view.alert.severity),
            view.customer,
            view.agent,
            view.job or "",
            view.alert.id,
        ),
    )
    if len(ordered) <= DETAILED:
        return ordered
    of_agent: Counter[tuple[str, str]] = Counter()
    is_late: dict[str, bool] = {}
    for view in ordered:
        of_agent[view.customer, view.agent] += 1
        is_late[view.alert.id] = of_agent[view.customer, view.agent] > FIRST_OF_AGENT
    return sorted(ordered, key=lambda view: (view.what is NoticeKind.RECOVERED, is_late[view.alert.id]))


def _with_hints_once(cards: Sequence[AlertCard]) -> list[AlertCard]:
    """Show each hint once: thirty jobs with the same full disk do not need thirty hints."""
    first: dict[str, str] = {}
    shown = []
    for card in cards:
        above = first.setdefault(card.hint, card.name)
        shown.append(
            card if not card.hint or above == card.name else replace(card, hint=f"Same as for {above}, above.")
        )
    return shown


def _frame(ordered: Sequence[AlertView], cards: Sequence[AlertCard], base_url: str) -> dict[str, object]:
    """Return the template values around the cards."""
    first = cards[0]
    counts = Counter(state_of(view).removeprefix("STILL ") for view in ordered)
    headline = ", ".join(f"{counts[state]:,} {_WORDS[state]}" for state in _WORDS if counts[state])
    customers = sorted({phrases.one_line(view.customer, 60) for view in ordered})
    newest = max(ordered, key=newest_moment)
    at = phrases.moment(newest_moment(newest), phrases.zone(newest.time_zone), newest_moment(newest))
    return {
        "is_group": len(cards) > 1,
        "state": first.state if len(cards) == 1 else "",
        "tone": first.tone,
        "headline": first.title if len(cards) == 1 else headline,
        "place": first.place if len(cards) == 1 else phrases.joined(customers, shown=3),
        "at": at,
        "preview": first.error if len(cards) == 1 else phrases.joined((card.name for card in cards), shown=4),
        "base_url": base_url,
    }
