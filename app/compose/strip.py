"""A job's last days as a strip of cells with a letter and a colour each, and the newest day's volume compared with earlier days. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from app.compose import phrases
from app.domain.mail_views import DayCell

# word: (letter in HTML, letter in text, cell's colour, letter's colour). The letter says the same as the colour, for readers who cannot see it.
_LOOKS = {
    "ok": ("✓", "o", "#cdebd6", ""),
    "warning": ("W", "W", "#ffe08a", ""),
    "failed": ("F", "F", "#b3261e", "#ffffff"),
    "unclear": ("?", "?", "#d9c8f0", ""),
    "missed": ("M", "M", "#f0a35e", ""),
    "late": ("L", "L", "#f7d9b8", ""),
    "cancelled": ("C", "C", "#d5d9de", ""),
    "none": ("·", ".", "#eceff2", ""),
}
_MEANINGS = {
    "unclear": "unclear (neither success nor failure is proven)",
    "warning": "with warnings, or some of its runs failed",
    "late": "late (missed, then it ran)",
    "none": "no report",
}


@dataclass(frozen=True, slots=True)
class StripCell:
    """One day as shown. `title` is shown when the pointer rests on it."""

    letter: str
    colour: str
    ink: str
    title: str


_MOST_IN_ROW = 16
_EMPTY = StripCell("", "#ffffff", "", "")
# For the legend of the HTML part, in the order of how bad.
EXAMPLES = tuple((StripCell(look[0], look[2], look[3], ""), _MEANINGS.get(word, word)) for word, look in _LOOKS.items())


# For the text part: (letter, meaning).
LEGEND = tuple((look[1], _MEANINGS.get(word, word)) for word, look in _LOOKS.items())


def rows_of(days: Sequence[DayCell]) -> tuple[tuple[StripCell, ...], ...]:
    """Return a strip's cells, oldest first, in rows that fit on a telephone; the first row begins with empty cells to be as long."""
    cells = [
        _cell(day.day, day.word, day.successes, day.warnings, day.failures, day.missed, day.unclear, day.cancelled)
        for day in days
    ]
    rows = -(-len(cells) // _MOST_IN_ROW) or 1
    length = -(-len(cells) // rows)
    cells = [_EMPTY] * (length * rows - len(cells)) + cells
    return tuple(tuple(cells[row * length : (row + 1) * length]) for row in range(rows))


def letters_of(days: Sequence[DayCell]) -> str:
    """Return the strip as letters for the text part, oldest first; LEGEND explains them."""
    return "".join(_LOOKS[day.word][1] for day in days)


def volume_of(days: Sequence[DayCell]) -> str:
    """Return the volume of the newest day with data, compared with the mean of the earlier days: `12.3 GiB in 41 min, +12 %`.

    The means of a run are compared, not of a day: a summary is made in the morning, when an hourly job's day has just begun.
    Size and time get one comparison if it is the same for both, otherwise one each.
    """
    with_data = [day for day in days if day.bytes_processed > 0 or day.bytes_stored > 0 or day.duration_s > 0]
    if not with_data:
        return ""
    newest, before = with_data[-1], with_data[:-1]
    volume = newest.bytes_processed or newest.bytes_stored
    by_bytes = phrases.change(_bytes_a_run(newest), _mean([_bytes_a_run(day) for day in before]))
    by_time = phrases.change(newest.duration_s / _runs(newest), _mean([day.duration_s / _runs(day) for day in before]))
    size = phrases.size(volume) if volume else ""
    time = phrases.duration(newest.duration_s) if newest.duration_s > 0 else ""
    if size and time and by_bytes == by_time:
        text = f"{size} in {time}" + (f", {by_bytes}" if by_bytes else "")
    else:
        parts = [(size, by_bytes), (time, by_time)]
        text = " in ".join(f"{amount} ({change})" if change else amount for amount, change in parts if amount)
    return text if newest is days[-1] else f"{phrases.day(newest.day)}: {text}"


def _runs(day: DayCell) -> int:
    return max(1, day.successes + day.warnings + day.failures + day.cancelled + day.unclear)


def _bytes_a_run(day: DayCell) -> float:
    return (day.bytes_processed or day.bytes_stored) / _runs(day)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value > 0]
    return sum(known) / len(known) if known else 0.0


@lru_cache(maxsize=500)  # a day looks the same for most jobs; its amounts, which differ, are not shown here
def _cell(
    on: date, word: str, successes: int, warnings: int, failures: int, missed: int, unclear: int, cancelled: int
) -> StripCell:
    """Return a day's cell, with a title as `Tue 24 Nov: failed`, or with the counts for a day of several runs."""
    counts = {
        "ok": successes,
        "with warnings": warnings,
        "failed": failures,
        "missed": missed,
        "unclear": unclear,
        "cancelled": cancelled,
    }
    counted = [f"{number} {what}" for what, number in counts.items() if number]
    text = ", ".join(counted) if sum(counts.values()) > 1 else _MEANINGS.get(word, word)
    letter, _, colour, ink = _LOOKS[word]
    return StripCell(letter, colour, ink, f"{phrases.day(on)}: {text}")
