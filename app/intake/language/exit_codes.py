"""Read the exit code of a process: 0 is good, anything else bad, unless the tool's manual says otherwise."""

from collections.abc import Iterator, Mapping, Sequence

from app.intake.language.counts import is_exit_code_before
from app.intake.language.findings import Finding
from app.intake.language.negation import STRONG
from app.intake.language.terms import VALUE_SIGNS, Item
from app.intake.language.tokens import TokenKind
from app.intake.language.words_file import TermMeaning as T

# Microsoft's page on robocopy: 1 files were copied, 2 extra files, 4 mismatched ones; sums of these; "8 or greater" is a failure.
_ROBOCOPY: Mapping[float, Finding] = {
    1: Finding.EXIT_ZERO,
    2: Finding.EXIT_ZERO,
    3: Finding.EXIT_ZERO,
    4: Finding.WARNED,
    5: Finding.WARNED,
    6: Finding.WARNED,
    7: Finding.WARNED,
}
_REACH = {T.EXIT_CODE: 4, T.STATUS_KEY: 2}  # words from the name of the code to its value


def names_robocopy(lines: Sequence[Sequence[Item]]) -> bool:
    """Return whether a text is about robocopy, whose exit code 1 is a success."""
    return any(item.text.startswith("robocopy") for line in lines for item in line)


def read_exit_codes(items: Sequence[Item], *, robocopy: bool) -> Iterator[tuple[Finding, str]]:
    """Yield what each exit code of a clause says."""
    for at, item in enumerate(items):
        if item.meaning in _REACH and at and is_exit_code_before(items, at - 1):
            value = items[at - 1]
            yield _judge(value.numbers[0], robocopy=robocopy), f"exit code: {value.text} {item.text}"
            continue
        reach = _REACH.get(item.meaning) if item.meaning is not None else None
        for there in range(at + 1, min(at + 1 + (reach or 0), len(items))):
            value = items[there]
            if value.kind is TokenKind.NUMBER and not value.unit:
                if at and items[at - 1].text in ("http", "https"):
                    break
                yield _judge(value.numbers[0], robocopy=robocopy), f"exit code: {item.text} {value.text}"[:51]
                break
            if value.meaning in STRONG or (value.kind is TokenKind.MARK and value.text not in VALUE_SIGNS):
                break


def _judge(code: float, *, robocopy: bool) -> Finding:
    if code == 0:
        return Finding.EXIT_ZERO
    return _ROBOCOPY.get(code, Finding.FAILED) if robocopy else Finding.FAILED
