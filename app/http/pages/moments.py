"""Times, days, durations, sizes and numbers as pages show them: in the reader's language and time zone, with the UTC as a title."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from babel.dates import format_date
from babel.numbers import format_decimal
from markupsafe import Markup

from app.compose import phrases
from app.http.pages.languages import locale_of, translations

_THIS_WEEK = timedelta(days=6)
_PATTERNS = {"en": ("EEE", "EEE d MMM", "d MMM"), "de": ("EEE", "EEE d. MMM", "d. MMM")}


@dataclass(frozen=True, slots=True)
class Moments:
    """Formats for one reader. `now` is the time at which the page was made."""

    language: str
    zone: ZoneInfo
    now: datetime

    def when(self, at: datetime | None) -> Markup:
        """Return `02:43` today, `Tue 02:10` in this week, else `Thu 26 Nov 02:43`, as a `time` element with the UTC as its title."""
        if at is None:
            return Markup(translations(self.language).gettext("never"))  # noqa: S704  (a text of ours)
        local, today = at.astimezone(self.zone), self.now.astimezone(self.zone)
        clock = f"{local:%H:%M}"
        if local.date() != today.date():
            near = abs(local.date() - today.date()) <= _THIS_WEEK
            day = _day(local.date(), self.language, 0 if near else 1, with_year=local.year != today.year)
            clock = f"{day} {clock}"
        return _time(
            at,
            clock,
            f"{_day(at.astimezone(UTC).date(), self.language, 1, with_year=True)} {at.astimezone(UTC):%H:%M:%S} UTC",
        )

    def clock(self, at: datetime) -> Markup:
        """Return `02:43:51.204`, with milliseconds."""
        local, utc = at.astimezone(self.zone), at.astimezone(UTC)
        shown = f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"
        return _time(at, shown, f"{utc:%Y-%m-%d %H:%M:%S}.{utc.microsecond // 1000:03d} UTC")

    def day(self, on: date) -> str:
        """Return `Thu 26 Nov`."""
        return _day(on, self.language, 1, with_year=on.year != self.now.astimezone(self.zone).year)

    def brief_day(self, on: date) -> str:
        """Return `26 Nov`."""
        return _day(on, self.language, 2, with_year=False)

    @property
    def today(self) -> date:
        """The day in the reader's time zone."""
        return self.now.astimezone(self.zone).date()

    def number(self, value: float) -> str:
        """Return `19,177`."""
        return _number(value, self.language)

    def ago(self, at: datetime) -> str:
        """Return how long ago it was: `9 h`."""
        return self.duration(self.now - at)

    def duration(self, length: float | timedelta) -> str:
        """Return `45 s`, `41 min`, `3 h 10 min` or `2 days 4 h`."""
        text = phrases.duration(length)
        days = translations(self.language).gettext("days")  # outside the f-string: older Pythons do not find it there
        return text.replace(" days", f" {days}")

    def elapsed(self, length: timedelta) -> str:
        """Return `+ 29 ms`, or `+ 1 min 5 s`: how long after the first step another one came."""
        seconds = max(0.0, length.total_seconds())
        if seconds < 1:
            return f"{seconds * 1000:.0f} ms"
        if seconds < 60:  # noqa: PLR2004
            return f"{_number(round(seconds, 1), self.language)} s"
        if seconds < 3600:  # noqa: PLR2004
            minutes, rest = divmod(round(seconds), 60)
            return f"{minutes} min {rest} s" if rest else f"{minutes} min"
        return self.duration(length)

    def size(self, number: float) -> str:
        """Return `12.3 GiB`."""
        text = phrases.size(number)
        return text if self.language == "en" else text.replace(".", ",")


def _time(at: datetime, shown: str, title: str) -> Markup:
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at.astimezone(UTC).isoformat(), title, shown)


@lru_cache(maxsize=4096)
def _day(on: date, language: str, pattern: int, *, with_year: bool) -> str:
    wanted = _PATTERNS[language][pattern] + (" y" if with_year else "")
    text: str = format_date(on, wanted, locale=locale_of(language))
    if language == "de":  # `Do. 26. Nov.` has three points, one of which says something
        text = text.replace("Mo.", "Mo").replace("Di.", "Di").replace("Mi.", "Mi").replace("Do.", "Do")
        text = text.replace("Fr.", "Fr").replace("Sa.", "Sa").replace("So.", "So").removesuffix(".")
    return text.replace("Sept", "Sep")


@lru_cache(maxsize=4096)
def _number(value: float, language: str) -> str:
    text: str = format_decimal(value, locale=locale_of(language))
    return text
