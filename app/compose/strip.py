"""A job's last days as a strip of cells: letter and colour each, and what the newest day moved against the days before. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.compose import phrases
from app.domain.mail_views import DayCell

# word: (letter in HTML, letter in text, cell's colour, letter's colour). The letter tells what the colour does, to all eyes.
_LOOKS = {
    "ok": ("✓", "o", "#cdebd6", ""),
    "warning": ("W", "W", "#ffe08a", ""),
    "failed": ("F", "F", "#b3261e", "#ffffff"),
    "missed": ("M", "M", "#f0a35e", ""),
    "late": ("L", "L", "#f7d9b8", ""),
    "cancelled": ("C", "C", "#d5d9de", ""),
    "none": ("·", ".", "#eceff2", ""),
}
_SAID = {
    "warning": "with warnings, or some of its runs failed",
    "late": "late (missed, then came)",
    "none": "nothing heard",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One day as shown. `title` is what a pointer resting on it reads."""

    letter: str
    colour: str
    ink: str
    title: str


# For the legend of the HTML part, in the order of how bad.
EXAMPLES = tuple((Cell(look[0], look[2], look[3], ""), _SAID.get(word, word)) for word, look in _LOOKS.items())


# For the text part: (letter, meaning).
LEGEND = tuple((look[1], _SAID.get(word, word)) for word, look in _LOOKS.items())


def cells_of(days: Sequence[DayCell]) -> tuple[Cell, ...]:
    """Give a strip's cells, oldest first."""
    return tuple(Cell(*_LOOKS[day.word][:1], *_LOOKS[day.word][2:], _title(day)) for day in days)


def letters_of(days: Sequence[DayCell]) -> str:
    """Give the strip as letters for the text part, oldest first; LEGEND explains them."""
    return "".join(_LOOKS[day.word][1] for day in days)


def moved(days: Sequence[DayCell]) -> str:
    """Say what the newest day with data moved, against the mean of the earlier ones: `12.3 GiB in 41 min, +12 %`.

    Compared is the mean of a run, not of a day: a summary is made in the morning, when an hourly job's day has just begun.
    """
    told = [day for day in days if day.bytes_processed > 0 or day.bytes_stored > 0 or day.duration_s > 0]
    if not told:
        return ""
    newest, before = told[-1], told[:-1]
    volume = newest.bytes_processed or newest.bytes_stored
    by_bytes = phrases.change(_bytes_a_run(newest), _mean([_bytes_a_run(day) for day in before]))
    by_time = phrases.change(newest.duration_s / _runs(newest), _mean([day.duration_s / _runs(day) for day in before]))
    return _worded(
        volume, newest.duration_s, by_bytes, by_time, "" if newest is days[-1] else f"{phrases.day(newest.day)}: "
    )


def _worded(volume: int, seconds: float, by_bytes: str, by_time: str, front: str) -> str:
    """Say a change once where size and time agree, and each with its own where they do not."""
    size, time = phrases.size(volume) if volume else "", phrases.duration(seconds) if seconds > 0 else ""
    if size and time and by_bytes == by_time:
        said = f"{size} in {time}" + (f", {by_bytes}" if by_bytes else "")
    else:
        parts = [(size, by_bytes), (time, by_time)]
        said = " in ".join(f"{what} ({how})" if how else what for what, how in parts if what)
    return front + said


def _runs(day: DayCell) -> int:
    return max(1, day.successes + day.warnings + day.failures + day.cancelled)


def _bytes_a_run(day: DayCell) -> float:
    return (day.bytes_processed or day.bytes_stored) / _runs(day)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value > 0]
    return sum(known) / len(known) if known else 0.0


def _title(day: DayCell) -> str:
    """Say `Tue 24 Nov: failed`; a day of several runs is counted out."""
    counts = {
        "ok": day.successes,
        "with warnings": day.warnings,
        "failed": day.failures,
        "missed": day.missed,
        "cancelled": day.cancelled,
    }
    several = [f"{number} {what}" for what, number in counts.items() if number]
    said = ", ".join(several) if sum(counts.values()) > 1 else _SAID.get(day.word, day.word)
    return f"{phrases.day(day.day)}: {said}"
