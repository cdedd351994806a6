"""Finds the template that an English text was made from, and says the text in the reader's language.

Texts that are stored, or that other programs read too, are English: reasons, findings of the doctor, errors. The catalogs have their
templates, with the same places for values. What fits no template, such as the words of a mail server, stays and is marked as English.

The name of a place says how its value is shown: `text` and `remedy` are in the reader's language too, and `words` if it is a text of ours (people can
enter others there); `nth` is a number with its English ending, as in `3rd`; `at` and `since` are times; `habit` is when a job should run; any other name is shown as it is. A digit at the end makes a second
place of one kind.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from gettext import NullTranslations

from markupsafe import Markup, escape

from app.http.pages.habit_texts import habit_text

_ = str  # marks texts for the catalogs; they are translated when they are shown

DAY = _("%(year)s-%(month)s-%(day)s")
_PLACE = re.compile(r"%\((\w+)\)s")
_NTH = re.compile(r"(\d{1,9})(?:st|nd|rd|th)")
_TIME = re.compile(r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)(?P<time>(?: \d\d:\d\d(?::\d\d)?(?: UTC)?)?)")
_BETWEEN = "; "  # a stored text can have several parts
_PARTS_MOST, _LONGEST, _LONGEST_VALUE = 12, 1500, 600


@dataclass(frozen=True, slots=True, eq=False)
class TextPattern:
    """A template: the names of its places for values, and its own words before, between and behind them."""

    template: str
    places: tuple[str, ...]
    own: tuple[str, ...]
    remedies: tuple[str, ...]  # what can stand in a place of that name, the longest first

    def find(self, text: str) -> dict[str, str] | None:
        """Return the values in a text that was made from the template; None of any other text.

        From its end to its start, so that the first value is the longest possible, and each sign is looked at once.
        """
        begins, ends = self.own[0], self.own[-1]
        if not (text.startswith(begins) and text.endswith(ends)):
            return None
        if not self.places:
            return {} if text == begins else None
        found: dict[str, str] = {}
        end = len(text) - len(ends)
        for place, before in zip(reversed(self.places), reversed(self.own[:-1]), strict=True):
            start = self._start(text, place, before, end, is_first=place == self.places[0])
            value = text[start:end]
            shown = _value(place, value) if start >= len(begins) else None
            if shown is None:
                return None
            found[place] = shown
            end = start - len(before)
        return found

    def _start(self, text: str, place: str, before: str, end: int, *, is_first: bool) -> int:
        """Return where the value that ends at `end` starts; -1 if it is not there."""
        if place == "remedy":
            # Words of a server in front of it can have several sentences, and so can the remedy.
            known = next((one for one in self.remedies if text.endswith(before + one, 0, end)), None)
            return -1 if known is None else end - len(known)
        if is_first:
            return len(before)
        at = text.rfind(before, 0, end - 1)
        return -1 if at < 0 else at + len(before)


Patterns = tuple[TextPattern, ...]


def patterns_of(templates: Iterable[str], remedy: Iterable[str] = ()) -> Patterns:
    """Return what finds the texts that were made from these templates. The more words of its own one has, the earlier it is tried.

    `remedy`: what stands in a place of that name.
    """
    remedies = tuple(sorted(remedy, key=len, reverse=True))
    made = [
        TextPattern(one, tuple(_PLACE.findall(one)), tuple(_PLACE.sub("\0", one).split("\0")), remedies)
        for one in templates
    ]
    return tuple(sorted(made, key=lambda one: len("".join(one.own)), reverse=True))


def _value(place: str, value: str) -> str | None:
    if not 0 < len(value) <= _LONGEST_VALUE or "\n" in value:
        return None
    if place == "nth":
        number = _NTH.fullmatch(value)
        return number and number[1]
    return value


def translated(text: str, texts: NullTranslations, patterns: Patterns) -> str | Markup:
    """Return a text in a language if a template fits it; else as it is, marked as English."""
    if _is_source(texts):
        return text
    found = _whole(text, texts, patterns)
    return _marked(text) if found is None else found


def translated_parts(text: str, texts: NullTranslations, patterns: Patterns) -> str | Markup:
    """Return a text of parts that are divided by semicolons in a language. A part that fits no template stays, marked as English."""
    if _is_source(texts) or not text:
        return text
    return _parts(text, texts, patterns)


def _is_source(texts: NullTranslations) -> bool:
    return type(texts) is NullTranslations


def _whole(text: str, texts: NullTranslations, patterns: Patterns) -> str | Markup | None:
    for pattern in patterns if len(text) <= _LONGEST else ():
        if (found := pattern.find(text)) is not None:
            values = {name: _shown(name, value, texts, patterns) for name, value in found.items()}
            sentence = texts.gettext(pattern.template)
            if any(isinstance(value, Markup) for value in values.values()):
                sentence = Markup(sentence)  # noqa: S704  (a text of ours)
            return sentence % values
    return None


def _shown(name: str, value: str, texts: NullTranslations, patterns: Patterns) -> str | Markup:
    name = name.rstrip("0123456789")
    if name in ("text", "remedy"):
        return _parts(value, texts, patterns)
    if name == "words":
        return _whole(value, texts, patterns) or value
    if name == "habit":
        return habit_text(value, texts)
    if found := _TIME.fullmatch(value) if name in ("at", "since") else None:
        return f"{texts.gettext(DAY) % found.groupdict()}{found['time']}"
    return value


@lru_cache(maxsize=2048)
def _parts(text: str, texts: NullTranslations, patterns: Patterns) -> str | Markup:
    """Divide the text so that as little as possible of it stays English: a name in it can contain semicolons, too."""
    pieces = text.split(_BETWEEN, _PARTS_MOST)
    best: list[tuple[int, tuple[str | Markup, ...]]] = [(0, ())]
    for end in range(1, len(pieces) + 1):
        found: list[tuple[int, tuple[str | Markup, ...]]] = []
        for start in range(end):
            part = _BETWEEN.join(pieces[start:end])
            cost, before = best[start]
            known = _whole(part, texts, patterns)
            found.append(
                (cost + len(part) + 1, (*before, _marked(part))) if known is None else (cost, (*before, known))
            )
        best.append(min(found, key=lambda one: (one[0], -len(one[1]))))
    parts = best[-1][1]
    if any(isinstance(part, Markup) for part in parts):
        return Markup(_BETWEEN).join(parts)  # noqa: S704  (a sign of ours; the parts are escaped)
    return _BETWEEN.join(parts)


def _marked(text: str) -> Markup:
    return Markup('<span lang="en">') + escape(text) + Markup("</span>")
