"""Renders the mail of a summary: the counts, what needs attention, then every job with its last days. Pure; it counts nothing itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo

from jinja2.runtime import Macro

from app.compose import phrases, strip
from app.compose.error_text import best_line
from app.compose.phrases import link_to
from app.compose.render import HTML_LIMIT, TEXT_LIMIT, RenderedMail, fit, html_page, text_page
from app.compose.summary_subject import headline_of, period_of, runs_of, subject_of, tone_of, verdict
from app.domain.job import JobState
from app.domain.mail_views import JobLine, SummaryView, Totals

# How many jobs are shown with all details, how many with their strip only, and how many as one line.
DETAILED, STRIPPED, BRIEF = 50, 50, 300
_URGENT, _CALM = ("failed", "missed", "overrun", "unclear"), ("ok", "new")
# title in the view: (heading, tone), in the order of the mail
_SECTIONS = {
    "failed": ("Failed", "failed"),
    "missed": ("Missed", "missed"),
    "overrun": ("Running too long", "missed"),
    "unclear": ("Unclear", "unclear"),
    "warning": ("With warnings", "warning"),
    "recovered": ("OK again", "ok"),
    "silenced": ("Silenced", "none"),
    "ok": ("OK", "ok"),
    "new": ("New, no run so far", "none"),
}


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as shown."""

    title: str
    place: str
    name: str
    link: str
    message: str
    since: str
    volume: str
    cells: tuple[tuple[strip.StripCell, ...], ...]  # rows
    letters: str


@dataclass(frozen=True, slots=True)
class JobSection:
    """One section as shown: rows in full (with their strip only if `is_calm`), rows as one line, and how many are left out."""

    heading: str
    tone: str
    count: int
    is_urgent: bool
    is_calm: bool
    rows: tuple[JobRow, ...]
    briefs: tuple[JobRow, ...]
    more: int


def render(view: SummaryView, *, base_url: str) -> RenderedMail:
    """Return the mail of a summary. Its head shows the most important facts, in the colour of the worst one, to be read at a glance."""
    where = phrases.zone(view.time_zone)
    values = {
        "headline": headline_of(view),
        "verdict": verdict(view),
        "period": period_of(view),
        "span": f"{phrases.moment(view.period_start, where, view.period_end)} to {phrases.moment(view.period_end, where, view.period_end)}",
        "schedule": phrases.one_line(view.schedule, 80),
        "number": view.number,
        "heard": _heard(view),
        "tone": tone_of(view),
        "tiles": _tiles(view),
        "notes": _notes(view, base_url),
        "advice": _advice(view),
        "totals": _totals(view.totals),
        "preview": _heard(view),
        "days": max((len(line.strip) for section in view.sections for line in section.lines), default=0),
        # Amounts are compared with those of the same jobs.
        "compared": "the newest full day, compared with the days before on which the same jobs ran"
        if view.runs is None
        else "the whole period, compared with the same jobs in the period before",
        "examples": strip.EXAMPLES,
        "legend": strip.LEGEND,
        "mail_times": "" if view.mail_times is None else phrases.mail_times(view.mail_times),
        "base_url": base_url,
        "once": _once(),
    }

    rows: dict[tuple[str, str], JobRow] = {}  # a page that is too large is rendered again, with fewer of the same rows

    def row_of(line: JobLine, title: str) -> JobRow:
        row = rows.get((title, line.job_id))
        if row is None:
            row = rows[title, line.job_id] = _row(line, title, base_url, where, view.period_end)
        return row

    def page(scale: float, *, html: bool) -> str:
        sections = _sections(view, row_of, scale)
        shown = {
            "first": [section for section in sections if section.is_urgent],
            "then": [section for section in sections if not section.is_urgent],
        }
        return html_page("summary.html", **shown, **values) if html else text_page("summary.txt", **shown, **values)

    return RenderedMail(
        subject=subject_of(view),
        text=fit(lambda scale: page(scale, html=False), TEXT_LIMIT),
        html=fit(lambda scale: page(scale, html=True), HTML_LIMIT),
        headers=(("X-Tocsin", "summary"),),
    )


def _once() -> Callable[..., str]:
    """Return what calls a macro of the template once for each row: a page that is too large is rendered up to eight times."""
    made: dict[tuple[object, ...], str] = {}

    def once(macro: Macro, row: JobRow, *options: object) -> str:
        key = macro.name, id(row), *options
        if key not in made:
            made[key] = macro(row, *options)
        return made[key]

    return once


def _heard(view: SummaryView) -> str:
    heard = f"Jobs expected: {view.expected:,}, jobs that reported: {view.heard:,}."
    if view.runs is None:
        return heard
    counts = (
        (view.runs.successes, "ok"),
        (view.runs.warnings, "with warnings"),
        (view.runs.failures, "failed"),
        (view.runs.missed, "missed"),
        (view.runs.unclear, "unclear"),
        (view.runs.cancelled, "cancelled"),
    )
    return (
        f"{heard} Runs in the period: {', '.join(f'{number:,} {word}' for number, word in counts if number) or 'none'}."
    )


def _tiles(view: SummaryView) -> tuple[tuple[int, str, str], ...]:
    """Return the main counts: (number, label, tone). A zero has no colour; those of unclear and overrun jobs are not shown."""
    tiles = (
        (view.failed, "failed", "failed"),
        (view.missed, "missed", "missed"),
        *([(view.overrun, "too long", "missed")] if view.overrun else []),
        *([(view.unclear, "unclear", "unclear")] if view.unclear else []),
        (view.warnings, "warnings", "warning"),
        (view.ok, "ok", "ok"),
    )
    return tuple((number, label, tone if number else "none") for number, label, tone in tiles)


def _notes(view: SummaryView, base_url: str) -> tuple[tuple[str, str], ...]:
    """Return what an administrator must know apart from the jobs: (text, address or ""). Nothing else would report a mail that was never sent."""
    silent = phrases.joined((phrases.one_line(agent, 60) for agent in view.silent_agents), shown=20)
    quiet = view.expected - view.heard
    first, last = view.unknown_numbers or (0, 0)
    notes = (
        (
            last,
            f"The database was put back to an older state: {phrases.summaries_from(first, last)} sent and not known here",
            "",
        ),
        (len(view.silent_agents), f"{phrases.count(len(view.silent_agents), 'agent')} silent: {silent}", ""),
        (
            view.waiting_agents,
            f"{phrases.count(view.waiting_agents, 'agent')} {'waits' if view.waiting_agents == 1 else 'wait'} for approval; until then nothing is expected of {_it(view.waiting_agents)}",
            f"{base_url}/v1/agents?state=waiting",
        ),
        (
            view.unclear_texts,
            f"{phrases.count(view.unclear_texts, 'unclear text')} {'waits' if view.unclear_texts == 1 else 'wait'} for an answer: success or failure",
            f"{base_url}/alerts?tab=unclear",
        ),
        (
            view.unclear_runs,
            f"{phrases.count(view.unclear_runs, 'run')} ended unclear in this period",
            f"{base_url}/alerts?tab=unclear",
        ),
        (quiet, f"{phrases.count(quiet, 'expected job')} without a report", ""),
        (
            view.undelivered,
            f"{phrases.count(view.undelivered, 'message')} could not be delivered",
            f"{base_url}/messages?state=dead",
        ),
        (
            view.bounced,
            f"{phrases.count(view.bounced, 'message')} came back: the mail server took {_it(view.bounced)} and could not deliver {_it(view.bounced)}",
            f"{base_url}/messages?state=bounced",
        ),
        (
            view.set_aside,
            f"{phrases.count(view.set_aside, 'event')} set aside: {_they(view.set_aside)} could not be processed",
            f"{base_url}/v1/events?state=set_aside",
        ),
    )
    return tuple((text, address) for number, text, address in notes if number > 0)


def _it(number: int) -> str:
    return "it" if number == 1 else "them"


def _advice(view: SummaryView) -> str:
    """Return which jobs could stop running unnoticed."""
    parts = []
    if number := view.without_expectation:
        parts.append(
            f"{phrases.count(number, 'job')} {_have(number)} no expectation: if {_they(number)} stopped running, there would be no alert. Set one."
        )
    if number := view.unconfirmed:
        parts.append(
            f"{phrases.count(number, 'job')} {_have(number)} an expectation that was learned and is not confirmed. Confirm it."
        )
    return " ".join(parts)


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


def _they(number: int) -> str:
    return "it" if number == 1 else "they"


def _totals(totals: Totals) -> tuple[tuple[str, str, str], ...]:
    """Return (what, how much, compared with the days before) for each total."""
    rows = (
        ("Read", totals.bytes_processed, totals.usual_bytes_processed, phrases.size),
        ("Stored", totals.bytes_stored, totals.usual_bytes_stored, phrases.size),
        ("Time taken", totals.duration_s, totals.usual_duration_s, phrases.duration),
    )
    return tuple(
        (what, shown(now), phrases.change(now, usual)) for what, now, usual, shown in rows if now > 0 or usual > 0
    )


def _sections(view: SummaryView, row_of: Callable[[JobLine, str], JobRow], scale: float) -> list[JobSection]:
    """Return the sections as shown. Jobs with problems get the space first."""
    detailed, stripped, brief = int(DETAILED * scale), int(STRIPPED * scale), int(BRIEF * scale**0.5)
    order = list(_SECTIONS)
    shown = []
    for section in sorted(view.sections, key=lambda section: order.index(section.title)):
        count = len(section.lines) + section.more
        if not count:
            continue
        is_calm = section.title in _CALM
        full = min(len(section.lines), stripped if is_calm else detailed)
        short = min(len(section.lines) - full, brief)
        stripped, detailed = (stripped - full, detailed) if is_calm else (stripped, detailed - full)
        brief -= short
        rows = tuple(row_of(line, section.title) for line in section.lines[: full + short])
        shown.append(
            JobSection(
                *_SECTIONS[section.title],
                count,
                section.title in _URGENT,
                is_calm,
                rows[:full],
                rows[full:],
                count - full - short,
            )
        )
    return shown


def _row(line: JobLine, title: str, base_url: str, where: tzinfo, reference: datetime) -> JobRow:
    job, agent, customer = (phrases.one_line(text, 60) for text in (line.job, line.agent, line.customer))
    if line.activity not in ("backup", line.job.casefold()):
        job = f"{job} {phrases.one_line(line.activity, 20)}"
    is_wrong = line.state in (JobState.FAILED, JobState.WARNING, JobState.MISSED) or title == "unclear"
    return JobRow(
        title=job,
        place=f"{agent} · {customer}",
        name=f"{job} on {agent} ({customer})",
        link=link_to(base_url, "job", line.job_id),
        message=phrases.shorten(best_line(line.last_message or ""), 200) if is_wrong else "",
        since=_since(line, title, where, reference),
        volume=strip.volume_of(line.strip),
        cells=strip.rows_of(line.strip),
        letters=strip.letters_of(line.strip),
    )


def _since(line: JobLine, title: str, where: tzinfo, reference: datetime) -> str:
    """Return since when the job is failing, when it last succeeded, and until when it is silenced."""
    parts = []
    if line.failing_since is not None and title != "recovered":
        parts.append(
            f"{'missed' if line.state is JobState.MISSED else 'failing'} since {phrases.brief_moment(line.failing_since, where, reference)}"
        )
    if title not in _CALM:
        last = line.last_success_at
        parts.append(
            "no success so far" if last is None else f"last success {phrases.brief_moment(last, where, reference)}"
        )
    if wrong := runs_of(line.failures, line.missed):
        parts.append(wrong)
    if line.silenced_until is not None:
        parts.append(f"silenced until {phrases.moment(line.silenced_until, where, reference)}")
    return ", ".join(parts)
