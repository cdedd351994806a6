"""Words a summary: the counts, what needs a person, then every job with its last days. Pure; it must not count anew."""

from dataclasses import dataclass
from datetime import datetime, tzinfo

from app.compose import error_line, pages, phrases, strip
from app.compose.letter import Letter
from app.compose.links import link_to
from app.compose.summary_subject import headline_of, period_of, subject_of, tone_of, verdict
from app.domain.job import JobState
from app.domain.mail_views import JobLine, SummaryView, Totals

# How many jobs are told with all their words, how many with their strip only, and how many as one line.
DETAILED, STRIPPED, BRIEF = 50, 50, 300
_URGENT, _CALM = ("failed", "missed"), ("ok", "new")
# title in the story: (heading, tone), in the order of telling
_SECTIONS = {
    "failed": ("Failed", "failed"),
    "missed": ("Missed", "missed"),
    "warning": ("With warnings", "warning"),
    "recovered": ("OK again", "ok"),
    "silenced": ("Silenced", "none"),
    "ok": ("OK", "ok"),
    "new": ("New, no run so far", "none"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One job as shown."""

    title: str
    place: str
    name: str
    link: str
    said: str
    since: str
    moved: str
    cells: tuple[strip.Cell, ...]
    letters: str


@dataclass(frozen=True, slots=True)
class Part:
    """One section as shown: rows in full (or with their strip only, if `is_calm`), rows as one line, and how many are left out."""

    heading: str
    tone: str
    count: int
    is_urgent: bool
    is_calm: bool
    rows: tuple[Row, ...]
    briefs: tuple[Row, ...]
    more: int


def word(story: SummaryView, *, base_url: str) -> Letter:
    """Word the summary. It must be readable at a glance, so the head says all that counts, in the worst one's colour."""
    where = phrases.zone(story.time_zone)
    told = {
        "headline": headline_of(story),
        "verdict": verdict(story),
        "period": period_of(story),
        "span": f"{phrases.moment(story.period_start, where, story.period_end)} to {phrases.moment(story.period_end, where, story.period_end)}",
        "schedule": phrases.one_line(story.schedule, 80),
        "number": story.number,
        "heard": _heard(story),
        "tone": tone_of(story),
        "tiles": _tiles(story),
        "notes": _notes(story, base_url),
        "advice": _advice(story),
        "totals": _totals(story.totals),
        "preview": _heard(story),
        "examples": strip.EXAMPLES,
        "legend": strip.LEGEND,
        "base_url": base_url,
    }

    def page(scale: float, *, html: bool) -> str:
        parts = _parts(story, base_url, where, scale)
        shown = {
            "first": [part for part in parts if part.is_urgent],
            "then": [part for part in parts if not part.is_urgent],
        }
        return (
            pages.html_page("summary.html", **shown, **told)
            if html
            else pages.text_page("summary.txt", **shown, **told)
        )

    return Letter(
        subject=subject_of(story),
        text=pages.fit(lambda scale: page(scale, html=False), pages.TEXT_LIMIT),
        html=pages.fit(lambda scale: page(scale, html=True), pages.HTML_LIMIT),
        headers=(("X-Tocsin", "summary"),),
    )


def _heard(story: SummaryView) -> str:
    return f"Expected {story.expected:,}, heard from {story.heard:,}."


def _tiles(story: SummaryView) -> tuple[tuple[int, str, str], ...]:
    """The four counts that everybody looks for: (number, label, tone); a zero is calm."""
    tiles = (
        (story.failed, "failed", "failed"),
        (story.missed, "missed", "missed"),
        (story.warnings, "warnings", "warning"),
        (story.ok, "ok", "ok"),
    )
    return tuple((number, label, tone if number else "none") for number, label, tone in tiles)


def _notes(story: SummaryView, base_url: str) -> tuple[tuple[str, str], ...]:
    """What a person must know beyond the jobs: (words, address or nothing). Nobody else would tell of a mail that never left."""
    silent = phrases.joined((phrases.one_line(agent, 60) for agent in story.silent_agents), shown=20)
    quiet = story.expected - story.heard
    notes = (
        (len(story.silent_agents), f"{phrases.count(len(story.silent_agents), 'agent')} silent: {silent}", ""),
        (quiet, f"{phrases.count(quiet, 'expected job')} not heard from", ""),
        (
            story.undelivered,
            f"{phrases.count(story.undelivered, 'message')} could not be delivered",
            f"{base_url}/v1/messages?state=dead",
        ),
        (
            story.set_aside,
            f"{phrases.count(story.set_aside, 'event')} set aside: {_they(story.set_aside)} could not be processed",
            f"{base_url}/v1/events?state=set_aside",
        ),
    )
    return tuple((said, address) for number, said, address in notes if number > 0)


def _advice(story: SummaryView) -> str:
    """Say what could go wrong unseen."""
    parts = []
    if number := story.without_expectation:
        parts.append(
            f"{phrases.count(number, 'job')} {_have(number)} no expectation: if {_they(number)} never ran again, nobody would be told. Set one."
        )
    if number := story.unconfirmed:
        parts.append(
            f"{phrases.count(number, 'job')} {_have(number)} an expectation that was learned and that nobody confirmed. Confirm it."
        )
    return " ".join(parts)


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


def _they(number: int) -> str:
    return "it" if number == 1 else "they"


def _totals(totals: Totals) -> tuple[tuple[str, str, str], ...]:
    """(what, how much, against the days before)."""
    rows = (
        ("Read", totals.bytes_processed, totals.usual_bytes_processed, phrases.size),
        ("Stored", totals.bytes_stored, totals.usual_bytes_stored, phrases.size),
        ("Time taken", totals.duration_s, totals.usual_duration_s, phrases.duration),
    )
    return tuple(
        (what, said(now), phrases.change(now, usual)) for what, now, usual, said in rows if now > 0 or usual > 0
    )


def _parts(story: SummaryView, base_url: str, where: tzinfo, scale: float) -> list[Part]:
    """Share the room out: what is wrong gets it first."""
    detailed, stripped, brief = int(DETAILED * scale), int(STRIPPED * scale), int(BRIEF * scale**0.5)
    order = list(_SECTIONS)
    parts = []
    for section in sorted(story.sections, key=lambda section: order.index(section.title)):
        count = len(section.lines) + section.more
        if not count:
            continue
        is_calm = section.title in _CALM
        full = min(len(section.lines), stripped if is_calm else detailed)
        short = min(len(section.lines) - full, brief)
        stripped, detailed = (stripped - full, detailed) if is_calm else (stripped, detailed - full)
        brief -= short
        rows = tuple(
            _row(line, section.title, base_url, where, story.period_end) for line in section.lines[: full + short]
        )
        parts.append(
            Part(
                *_SECTIONS[section.title],
                count,
                section.title in _URGENT,
                is_calm,
                rows[:full],
                rows[full:],
                count - full - short,
            )
        )
    return parts


def _row(line: JobLine, title: str, base_url: str, where: tzinfo, beside: datetime) -> Row:
    job, agent, customer = (phrases.one_line(text, 60) for text in (line.job, line.agent, line.customer))
    if line.activity not in ("backup", line.job.casefold()):
        job = f"{job} {phrases.one_line(line.activity, 20)}"
    is_wrong = line.state in (JobState.FAILED, JobState.WARNING, JobState.MISSED)
    return Row(
        title=job,
        place=f"{agent} · {customer}",
        name=f"{job} on {agent} ({customer})",
        link=link_to(base_url, "job", line.job_id),
        said=phrases.shorten(error_line.best_line(line.last_message or ""), 200) if is_wrong else "",
        since=_since(line, title, where, beside),
        moved=strip.moved(line.strip),
        cells=strip.cells_of(line.strip),
        letters=strip.letters_of(line.strip),
    )


def _since(line: JobLine, title: str, where: tzinfo, beside: datetime) -> str:
    """Say since when it is wrong, when it last was right, and how long nobody is told."""
    parts = []
    if line.failing_since is not None and title != "recovered":
        parts.append(
            f"{'missed' if line.state is JobState.MISSED else 'failing'} since {phrases.brief_moment(line.failing_since, where, beside)}"
        )
    if title not in _CALM:
        last = line.last_success_at
        parts.append(
            "no success so far" if last is None else f"last success {phrases.brief_moment(last, where, beside)}"
        )
    if line.silenced_until is not None:
        parts.append(f"silenced until {phrases.moment(line.silenced_until, where, beside)}")
    return ", ".join(parts)
