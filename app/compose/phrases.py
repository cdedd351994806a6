"""Formats times, durations, sizes, counts and links for people, and makes text from outside safe to show. Pure.

The English names of days and months are listed here instead of taken from strftime, so that a host's locale cannot change a subject.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo
from urllib.parse import quote
from zoneinfo import ZoneInfo

from app.core.unseen import has_unseen, without_unseen
from app.domain.canary import MailTimes

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FULL_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)

# Colours, cursor movements and character sets of terminals (ECMA-48). Removing only the escape character would leave "[31m" behind.
_TERMINAL = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]{1,3}[0-~]|[0-~])")
_DIRECTION = re.compile("[\u061c\u200e\u200f]")  # also next to Hebrew: a mail has our own words around a text
_NOT_TEXT = re.compile("[\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LINE_END = re.compile("\r\n|[\n\x0b\x0c\x85\u2028\u2029]")
_USUAL = bytes((*b"\t\n", *range(0x20, 0x7F)))  # what every text has, and what harms nobody
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def plain(text: str) -> str:
    """Remove from outside text what could harm a reader: control characters and reversed text. Its lines stay."""
    if text.isascii() and text.isprintable():
        return text  # nearly every name and error is
    # Most others need no change, either. To search only what is unusual in a page of HTML takes a tenth of the time of the page.
    unusual = text.encode("utf-8", "surrogatepass").translate(None, _USUAL).decode("utf-8", "surrogatepass")
    if not (_CONTROL.search(unusual) or _NOT_TEXT.search(unusual) or has_unseen(unusual)):
        return text
    kept = _TERMINAL.sub("", text)
    kept = _LINE_END.sub("\n", kept)
    kept = _DIRECTION.sub("", without_unseen(kept))
    return _CONTROL.sub(" ", _NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", kept))


def one_line(text: str, limit: int) -> str:
    """Return outside text as one safe line of at most `limit` characters."""
    return shorten(" ".join(plain(text[: 8 * limit]).split()), limit)


def shorten(text: str, limit: int) -> str:
    """Cut the text at `limit` characters and mark the cut with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def tail(text: str, lines: int, limit: int) -> tuple[str, ...]:
    """Return the last lines of a log, at most `limit` bytes of UTF-8. Of a line overwritten with CR, as progress bars do, the last state."""
    found: list[str] = []
    for raw in reversed(_LINE_END.sub("\n", text[-16 * limit :]).split("\n")):
        line = plain(raw.rstrip().rpartition("\r")[2]).expandtabs(4).rstrip()
        if not line:
            continue
        line = shorten(line, 240)
        limit -= len(line.encode()) + 1
        if limit < 0 or len(found) == lines:
            break
        found.append(line)
    return tuple(reversed(found))


def count(number: int, noun: str) -> str:
    """Return `1 failure` or `3 failures`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def joined(parts: Iterable[str], *, shown: int = 10) -> str:
    """Return `a, b and c`, or `a, b and 7 more`."""
    items = list(parts)
    if len(items) > shown:
        items = [*items[:shown], f"{len(items) - shown:,} more"]
    return " and ".join(items) if len(items) < 3 else ", ".join(items[:-1]) + " and " + items[-1]  # noqa: PLR2004


def duration(length: float | timedelta) -> str:
    """Return `45 s`, `41 min`, `3 h 10 min` or `2 days 4 h`. `length` is a finite number of seconds."""
    seconds = max(0, round(length.total_seconds() if isinstance(length, timedelta) else length))
    if seconds < 120:  # noqa: PLR2004
        return f"{seconds} s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if hours < 1:
        return f"{minutes} min"
    if hours < 48:  # noqa: PLR2004
        return f"{hours} h {minutes % 60} min" if minutes % 60 else f"{hours} h"
    return f"{days} days {hours % 24} h" if hours % 24 and days < 7 else f"{days} days"  # noqa: PLR2004


def mail_times(times: MailTimes) -> str:
    """Return `Your mail took 4 s on average in the last 30 days, the slowest 3 min.`, and how many test mails did not arrive."""
    lost = f"{times.lost:,} of {count(times.arrived + times.lost, 'test mail')} did not arrive"
    if not times.arrived:
        return f"{lost} in the last 30 days."
    average, slowest = (duration(it) if it >= 1 else "less than 1 s" for it in (times.average_s, times.slowest_s))
    took = (
        f"{average} in the last 30 days"
        if average == slowest
        else f"{average} on average in the last 30 days, the slowest {slowest}"
    )
    return f"Your mail took {took}." + (f" {lost}." if times.lost else "")


def summaries_from(first: int, last: int) -> str:
    """Return `summaries no. 40 to 42 were`, or `summary no. 42 was`."""
    return f"summary no. {last:,} was" if first == last else f"summaries no. {first:,} to {last:,} were"


def size(number: float) -> str:
    """Return `512 B`, `12.3 GiB`."""
    value, unit = float(max(0, number)), 0
    while value >= 999.5 and unit < len(_UNITS) - 1:  # noqa: PLR2004
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or value >= 99.95 else f"{value:.1f} {_UNITS[unit]}"  # noqa: PLR2004


def change(now: float, usual: float) -> str:
    """Compare `now` with `usual`: `+12 %`, `as usual` (within 10 %), `7 times as much`; empty without a usual value."""
    if usual <= 0:
        return ""
    ratio = now / usual
    if abs(ratio - 1) < 0.1:  # noqa: PLR2004
        return "as usual"
    if ratio >= 3:  # noqa: PLR2004
        return f"{ratio:,.0f} times as much"
    sign = "+" if ratio > 1 else "\N{MINUS SIGN}"
    return f"{sign}{abs(ratio - 1) * 100:.0f} %"


def zone(name: str) -> tzinfo:
    """Return the time zone; UTC for a name that this host does not know, because a message must not fail on it."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def day(on: date, reference: date | None = None) -> str:
    """Return `Tue 24 Nov`, with the year if it differs from that of `reference`."""
    year = "" if reference is None or on.year == reference.year else f" {on.year}"
    return f"{DAYS[on.weekday()]} {on.day} {MONTHS[on.month - 1]}{year}"


def moment(at: datetime, where: tzinfo, reference: datetime) -> str:
    """Return `Tue 24 Nov 02:10 CET`, with the year if it differs from that of `reference`."""
    local = at.astimezone(where)
    name = local.tzname() or ""
    return f"{day(local, reference.astimezone(where))} {local:%H:%M} {'UTC' + name if name[:1] in ('+', '-') else name}"


def brief_moment(at: datetime, where: tzinfo, reference: datetime) -> str:
    """Return `Tue 02:10` within six days of `reference`, `3 Nov 02:10` within its year, otherwise `3 Nov 2025`."""
    local, other = at.astimezone(where), reference.astimezone(where)
    if abs((local.date() - other.date()).days) < 7:  # noqa: PLR2004
        return f"{DAYS[local.weekday()]} {local:%H:%M}"
    date_ = f"{local.day} {MONTHS[local.month - 1]}"
    return f"{date_} {local:%H:%M}" if local.year == other.year else f"{date_} {local.year}"


def link_to(base_url: str, noun: str, id_: str) -> str:
    """Return the address of the page about something, for example an `alert`. Who is not signed in does that first, and comes to it then."""
    return f"{base_url}/{'job' if noun == 'job' else 'proof'}/{quote(id_, safe='', errors='replace')}"


def api_link_to(base_url: str, noun: str, id_: str) -> str:
    """Return the API address of a resource. Whatever the id contains, the address is on this service."""
    return f"{base_url}/v1/{noun}s/{quote(id_, safe='', errors='replace')}"
