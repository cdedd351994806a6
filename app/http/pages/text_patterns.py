"""Finds the template that an English text was made from, and says the text in the reader's language.

Texts that are stored, or that other programs read too, are English: reasons, findings of the doctor, errors. The catalogs have their
templates, with the same places for values. What fits no template, such as the words of a mail server, stays and is marked as English.

The name of a place says how its value is shown: `text` and `remedy` are in the reader's language too, and `words` if it is a text of ours (people can
enter others there); `nth` is a number with its English ending, as in `3rd`; `at` and `since` are times; any other name is shown as it is. A digit at the end makes a second
place of one kind.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from gettext import NullTranslations

from markupsafe import Markup, escape

_ = str  # marks texts for the catalogs; they are translated when they are shown

DAY = _("%(year)s-%(month)s-%(day)s")
_PLAIN_PLACE = re.compile(r"%\(\w+\)s")
_PLACE = re.compile(r"%\\\((\w+)\\\)s")  # in a template that was escaped for an expression
_VALUES = {"nth": r"(?P<nth>\d{1,9})(?:st|nd|rd|th)"}
_TIME = re.compile(r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)(?P<time>(?: \d\d:\d\d(?::\d\d)?(?: UTC)?)?)")
_BETWEEN = "; "  # a stored text can have several parts
_PARTS_MOST, _LONGEST = 12, 1500


@dataclass(frozen=True, slots=True, eq=False)
class TextPattern:
    """A template, with its own words at both ends: comparing these first is a hundred times as fast as the expression."""

    template: str
    begins: str
    ends: str
    whole: re.Pattern[str]

    def find(self, text: str) -> dict[str, str] | None:
        """Return the values in a text that was made from the template; None of any other text."""
        if not (text.startswith(self.begins) and text.endswith(self.ends)):
            return None
        found = self.whole.fullmatch(text)
        return None if found is None else found.groupdict()


Patterns = tuple[TextPattern, ...]


def patterns_of(templates: Iterable[str], remedy: Iterable[str] = ()) -> Patterns:
    """Return what finds the texts that were made from these templates. The more words of its own one has, the earlier it is tried.

    `remedy`: what stands in a place of that name. Words of a server in front of it can have several sentences.
    """
    remedies = "|".join(re.escape(one) for one in remedy)
    ordered = sorted(templates, key=lambda one: len("".join(_PLAIN_PLACE.split(one))), reverse=True)
    return tuple(_pattern(template, remedies) for template in ordered)


def _pattern(template: str, remedies: str) -> TextPattern:
    own = _PLAIN_PLACE.split(template)
    values = {**_VALUES, "remedy": f"(?P<remedy>{remedies})"}
    return TextPattern(
        template,
        own[0],
        own[-1],
        re.compile(_PLACE.sub(lambda found: values.get(found[1], f"(?P<{found[1]}>.{{1,600}})"), re.escape(template))),
    )


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
    return _joined(best[-1][1])


def _joined(parts: tuple[str | Markup, ...]) -> str | Markup:
    if any(isinstance(part, Markup) for part in parts):
        return Markup(_BETWEEN).join(parts)  # noqa: S704  (a sign of ours; the parts are escaped)
    return _BETWEEN.join(parts)


def _marked(text: str) -> Markup:
    return Markup('<span lang="en">') + escape(text) + Markup("</span>")
