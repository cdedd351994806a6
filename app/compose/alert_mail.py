"""Words one mail about one or many alerts: what is down first, then what recovered. Pure; it must not decide who is told."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from app.compose import pages, phrases
from app.compose.alert_card import CLOSED, OK_AGAIN, STATES, Card, card_of, newest_moment, state_of
from app.compose.alert_subject import subject_of
from app.compose.letter import Letter
from app.domain.event import Severity
from app.domain.mail_views import AlertView
from app.domain.notice import NoticeKind

DETAILED, BRIEF = 50, 300
_KINDS = tuple(STATES)
_SEVERITIES = tuple(reversed(Severity))
_WORDS = {
    **{state: state.lower() for state in STATES.values()},
    "WARNING": "with warnings",
    "OVERRUN": "running too long",
    CLOSED: "closed",
    OK_AGAIN: "OK again",
}


def word(stories: Sequence[AlertView], *, base_url: str) -> Letter:
    """Word the mail that tells of 1..n alerts. The same stories in any order give the same letter."""
    ordered = in_order(stories)
    cards = _without_repetition(
        [card_of(story, base_url, _log_lines(len(ordered))) for story in ordered[: DETAILED + BRIEF]]
    )
    told = _told(ordered, cards, base_url)

    def page(scale: float, *, html: bool) -> str:
        detailed, brief = int(DETAILED * scale), int(BRIEF * scale**0.5)  # names are worth more than details of a few
        shown = {"cards": cards[:detailed], "briefs": cards[detailed : detailed + brief]}
        more = max(0, len(ordered) - detailed - brief)
        return (
            pages.html_page("alert.html", more=more, **shown, **told)
            if html
            else pages.text_page("alert.txt", more=more, **shown, **told)
        )

    return Letter(
        subject=subject_of(ordered),
        text=pages.fit(lambda scale: page(scale, html=False), pages.TEXT_LIMIT),
        html=pages.fit(lambda scale: page(scale, html=True), pages.HTML_LIMIT),
        headers=(("X-Tocsin", "alert; " + ", ".join(sorted({story.what.value for story in ordered}))),),
    )


def in_order(stories: Sequence[AlertView]) -> list[AlertView]:
    """Give the stories as they are told: what is down first, then what recovered."""
    return sorted(stories, key=_place)


def _place(story: AlertView) -> tuple[object, ...]:
    """Down before recovered, new before told again, then by what is worst; the id settles ties."""
    whats = (NoticeKind.OPENED, NoticeKind.REPEATED, NoticeKind.RECOVERED)
    return (
        story.what is NoticeKind.RECOVERED,
        _KINDS.index(story.alert.kind),
        whats.index(story.what),
        _SEVERITIES.index(story.alert.severity),
        story.customer,
        story.agent,
        story.job or "",
        story.alert.id,
    )


def _without_repetition(cards: Sequence[Card]) -> list[Card]:
    """Give a hint once; thirty jobs that met the same full disk need no thirty hints."""
    first: dict[str, str] = {}
    told = []
    for card in cards:
        above = first.setdefault(card.hint, card.name)
        told.append(card if not card.hint or above == card.name else replace(card, hint=f"As for {above}, above."))
    return told


def _log_lines(alerts: int) -> int:
    """The more alerts a mail tells of, the less of each log."""
    return 20 if alerts <= 3 else 8 if alerts <= 10 else 3  # noqa: PLR2004


def _told(ordered: Sequence[AlertView], cards: Sequence[Card], base_url: str) -> dict[str, object]:
    """What stands around the cards."""
    first = cards[0]
    counts = Counter(state_of(story).removeprefix("STILL ") for story in ordered)
    headline = ", ".join(f"{counts[state]:,} {_WORDS[state]}" for state in _WORDS if counts[state])
    customers = sorted({phrases.one_line(story.customer, 60) for story in ordered})
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
