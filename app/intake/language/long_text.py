"""Choose the lines of a body that are read: all of a short one; of a long one its ends, and each line with a word of trouble."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from app.intake.language.fold import fold
from app.intake.language.lexicon import anchors, is_anchor, run_on_anchors
from app.intake.language.tokens import CJK
from app.intake.language.words_file import TermMeaning as T

MAX_TEXT = 4 * 1024 * 1024  # characters of a body that are looked at
_MAX_LINE = 1000  # a longer line is read in parts
_SHORT_LINES, _SHORT_TEXT = 40, 4000
_HEAD, _TAIL, _MAX_HITS, _MAX_VERDICTS = 6, 12, 150, 5
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
    lines = list(_own_lines(body[:MAX_TEXT]))
    complete = len(body) <= MAX_TEXT
    if len(lines) <= _SHORT_LINES and len(body) <= _SHORT_TEXT:
        return ChosenLines(lines, complete)
    tokens = [_rough_tokens(line) for line in lines]
    unique = set[bytes]().union(*tokens)
    trouble = _hits(unique, _TROUBLE)
    numbers = [number for number, words in enumerate(tokens) if not trouble.isdisjoint(words)]
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
    verdicts = _hits(unique, _VERDICT)
    with_verdict = (number for number in range(len(lines) - 1, -1, -1) if not verdicts.isdisjoint(tokens[number]))
    chosen.update(number for number, _ in zip(with_verdict, range(_MAX_VERDICTS), strict=False))
    return ChosenLines([lines[number] for number in sorted(chosen)], complete)


def _own_lines(body: str) -> Iterator[str]:
    lines = body.split("\n")
    for number, line in enumerate(lines):
        if line[:1] in {">", "|"} and line[1:2] in {" ", ">", ""}:
            continue
        if line.rstrip("\r") == "-- " and len(lines) - number < _TAIL:
            return
        if len(line) <= _MAX_LINE:
            if line and not line.isspace():
                yield line
            continue
        for start in range(0, len(line), _MAX_LINE):
            yield line[start : start + _MAX_LINE]


def _rough_tokens(line: str) -> list[bytes]:
    plain = line.lower().encode("utf-8", "replace").translate(_AROUND_WORDS)
    words = plain.split()
    if b". " in plain or (words and words[-1][-1:] == b"."):
        words += [word.rstrip(b".") for word in words if word[-1:] == b"."]
    return words


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
