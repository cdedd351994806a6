"""Find the rows of a list of verdicts that were not understood: "till: saved / office: saved / cameras: disk went up in smoke"."""

from collections.abc import Iterator, Sequence

from app.intake.language.findings import Finding, Statement
from app.intake.language.terms import VALUE_SIGNS, Item
from app.intake.language.tokens import TokenKind
from app.intake.language.words_file import TermMeaning as T

_LONGEST_LABEL, _LONGEST_VALUE = 4, 6
_FEWEST_VERDICTS = 2  # one line "Result: ok" between other fields is no list
_GOOD = frozenset((T.SUCCEEDED, T.WELL))
_WORDS = frozenset((TokenKind.WORD, TokenKind.MARK))


def find_unread_rows(lines: Sequence[Sequence[Item]]) -> Iterator[Statement]:
    """Yield a statement for each row that is pending or has no known word, in a list whose other rows report a success of something named."""
    start = 0
    values = [_value(line) for line in lines]
    for end in range(len(lines) + 1):
        if end < len(lines) and values[end]:
            continue
        verdicts = sum(_is_good_row(lines[at], values[at]) for at in range(start, end))
        if verdicts:
            for at in range(start, end):
                if _is_pending(values[at]) or (verdicts >= _FEWEST_VERDICTS and _is_unread(values[at])):
                    words = " ".join(item.text for item in lines[at])[:200]
                    yield Statement(Finding.UNREAD_ROW, words, "a row of the list with unknown words", at)
        start = end + 1


def _value(line: Sequence[Item]) -> Sequence[Item]:
    """Return what stands behind the label of a row, or nothing if the line is no row."""
    for at, item in enumerate(line[: _LONGEST_LABEL + 1]):
        if item.text in VALUE_SIGNS and item.meaning is None:
            value = line[at + 1 :]
            return value if at and len(value) <= _LONGEST_VALUE else ()
    return ()


def _is_good_row(line: Sequence[Item], value: Sequence[Item]) -> bool:
    label = line[: len(line) - len(value) - 1]
    named = all(item.meaning is None or item.thing for item in label)
    return named and bool(value) and value[0].meaning in _GOOD


def _is_pending(value: Sequence[Item]) -> bool:
    """Return whether a row says that a run has not ended: "srv2: pending" next to "srv1: success"."""
    return len(value) == 1 and value[0].meaning is T.RUNNING


def _is_unread(value: Sequence[Item]) -> bool:
    """Return whether a value is made of words only, none of them known and not all of them names."""
    plain = all(item.meaning is None or item.thing for item in value) and all(item.kind in _WORDS for item in value)
    return plain and any(item.kind is TokenKind.WORD and not item.capital for item in value)


def find_unmet_totals(lines: Sequence[Sequence[Item]]) -> Iterator[Statement]:
    """Yield a statement for an expected number that no number of what was done reaches: "Stored: 9. Expected: 11."."""
    done = [count for line in lines for count in _counts_behind(line, _GOOD)]
    succeeded = [count for line in lines for count in _counts_behind(line, _GOOD, _VERDICTS)]
    for at, line in enumerate(lines):
        for expected in _counts_behind(line, frozenset((T.EXPECTED,))):
            if done and max(done) < expected:
                rule = f"count: {max(done):g} of {expected:g} expected"
                yield Statement(Finding.MISSING, " ".join(item.text for item in line)[:200], rule, at)
        for total in _counts_behind(line, frozenset((T.EXPECTED,)), _TOTAL):
            if succeeded and max(succeeded) < total:
                rule = f"count: {max(succeeded):g} of a total of {total:g}"
                yield Statement(Finding.MISSING, " ".join(item.text for item in line)[:200], rule, at)


# Of a total of files an incremental run copies few, but of a total of jobs all must succeed.
_TOTAL = frozenset(("en: total",))
_VERDICTS = frozenset(("en: succeeded", "en: successful", "en: success", "en: ok"))


def _counts_behind(
    line: Sequence[Item], meanings: frozenset[T], rules: frozenset[str] | None = None
) -> Iterator[float]:
    """Yield the numbers that stand behind a term and a colon: "stored: 9"; with `rules`, only behind these terms."""
    for label, sign, value in zip(line, line[1:], line[2:], strict=False):
        is_wanted = label.rule not in _TOTAL if rules is None else label.rule in rules
        is_count = value.kind is TokenKind.NUMBER and not value.unit
        if label.meaning in meanings and is_wanted and sign.text in VALUE_SIGNS and is_count:
            yield value.numbers[0]
