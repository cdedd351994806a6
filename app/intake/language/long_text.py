"""Choose the lines of a body that are read: all of a short one; of a long one its ends, and each line with a word of trouble."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from app.intake.language.fold import fold
from app.intake.language.lexicon import anchors, is_anchor, run_on_anchors
from app.intake.language.tokens import CJK
from app.intake.language.words_file import TermMeaning as T

MAX_TEXT = 4 * 1024 * 1024  # characters of a body that are looked at
_MAX_LINE, _MAX_LINE_OF_LONG_TEXT = 1000, 250  # a longer line is read in parts
_SHORT_LINES, _SHORT_TEXT = 40, 4000
_HEAD, _TAIL, _MAX_HITS, _MAX_VERDICTS = 5, 10, 120, 4
_MAX_KNOWN_HARMLESS = 50_000
_TROUBLE = (
    T.NOT_DONE,
    T.ABSENT,
    T.FAILED,
    T.WARNED,
    T.CANCELLED,
    T.STOPPED,
    T.TROUBLE,
    T.STALE,
    T.NOT,
    T.NONE,
    T.NOT_BACK,
    T.NOT_BOTH,
    T.EXIT_CODE,
)
_VERDICT = (T.SUCCEEDED,)
_CJK = re.compile(f"[{CJK}]")
# Characters that stand around words. Those inside of paths and host names are not among them: a file `error.log` is no trouble.
_PUNCTUATION = b'!"#$%&()*+,:;<=>?[]^`{|}~	'
_AROUND_WORDS = bytes.maketrans(_PUNCTUATION, b" " * len(_PUNCTUATION))


@dataclass(frozen=True, slots=True)
class ChosenLines:
    """The lines to read, in order. `complete` is false if lines with words of trouble were too many to read all."""

    lines: Sequence[str]
    complete: bool


def choose_lines(body: str) -> ChosenLines:
    """Return the lines of a body that are read. Lines quoted from another mail, and a signature, are left out."""
    complete = len(body) <= MAX_TEXT
    lines = _own_lines(body[:MAX_TEXT])
    if len(lines) <= _SHORT_LINES and len(body) <= _SHORT_TEXT:
        return ChosenLines(lines, complete)
    lines = _cut(lines, _MAX_LINE_OF_LONG_TEXT)
    words = _rough_words(lines)
    unique = set[bytes]().union(*words)
    trouble, verdicts = _hits(unique, _TROUBLE), _hits(unique, _VERDICT)
    numbers = [number for number, one in enumerate(words) if not trouble.isdisjoint(one)]
    if not body.isascii() and _CJK.search(body):
        pattern = run_on_anchors(_TROUBLE)
        numbers += [number for number, line in enumerate(lines) if pattern.search(line)]
    chosen = set(range(min(_HEAD, len(lines)))) | set(range(max(0, len(lines) - _TAIL), len(lines)))
    seen = {lines[number] for number in chosen}
    for number in numbers:
        if lines[number] not in seen:
            seen.add(lines[number])
            chosen.add(number)
            if len(seen) > _HEAD + _TAIL + _MAX_HITS:
                complete = False
                break
    with_verdict = (number for number in range(len(lines) - 1, -1, -1) if not verdicts.isdisjoint(words[number]))
    chosen.update(number for number, _ in zip(with_verdict, range(_MAX_VERDICTS), strict=False))
    return ChosenLines([lines[number] for number in sorted(chosen)], complete)


def _own_lines(body: str) -> list[str]:
    signature = body.rfind("\n-- \n")
    if signature >= 0 and body.count("\n", signature) < _TAIL:
        body = body[:signature]
    lines = [line for line in body.split("\n") if line and not line.isspace()]
    if ">" in body:
        lines = [line for line in lines if not line.startswith(("> ", ">>")) and line.strip() != ">"]
    return _cut(lines, _MAX_LINE)


def _cut(lines: list[str], most: int) -> list[str]:
    """Return the lines with those that are too long cut, at the end of a sentence or between words where there is one."""
    if max(map(len, lines), default=0) <= most:
        return lines
    parts: list[str] = []
    for line in lines:
        rest = line
        while len(rest) > most:
            at = max(rest.rfind(". ", most // 2, most), rest.rfind(", ", most // 2, most)) + 1
            at = at or rest.rfind(" ", most // 2, most) + 1 or most
            parts.append(rest[:at])
            rest = rest[at:]
        parts.append(rest)
    return parts


def _rough_words(lines: list[str]) -> list[list[bytes]]:
    plain = "\n".join(lines).lower().encode("utf-8", "replace").translate(_AROUND_WORDS)
    plain = plain.replace(b". ", b" ").replace(b".\n", b"\n").removesuffix(b".")
    return [line.split() for line in plain.split(b"\n")]


@cache
def _known_harmless(_meanings: tuple[T, ...]) -> set[bytes]:
    return set()


@cache
def _exact_anchors(meanings: tuple[T, ...]) -> frozenset[bytes]:
    return frozenset(anchor.encode() for anchor in anchors(meanings))


def _hits(words: set[bytes], meanings: tuple[T, ...]) -> set[bytes]:
    """Return the words that may begin or be a term of one of the meanings."""
    exact, harmless = _exact_anchors(meanings), _known_harmless(meanings)
    found = words & exact
    if len(harmless) > _MAX_KNOWN_HARMLESS:
        harmless.clear()
    for word in words - exact - harmless:
        if (word.isalpha() or not word.isascii()) and is_anchor(fold(word.decode("utf-8", "replace")), meanings):
            found.add(word)
        else:
            harmless.add(word)
    return found
