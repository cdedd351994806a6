"""Read a line clause by clause, by the published NegEx and ConText method: terms, the scope of negations, and what ends a scope.

Sources: Chapman et al. 2001, "A simple algorithm for identifying negated findings and diseases in discharge summaries" (NegEx);
Harkema et al. 2009, "ConText: an algorithm for determining negation, experiencer, and temporal status from clinical reports".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.intake.language.counts import Count, attach_counts, join_ratios, total_counts
from app.intake.language.exit_codes import read_exit_codes
from app.intake.language.findings import Finding, Statement
from app.intake.language.negation import LIST_COMMAS, NEGATIONS, STRONG, Negation, find_negations
from app.intake.language.terms import VALUE_SIGNS, Item
from app.intake.language.tokens import NAME_SIGN, TokenKind
from app.intake.language.verdicts import Context, read_term
from app.intake.language.words_file import TermMeaning as T

MAX_WORDS = 200
_HARD = frozenset(".;|•·()[]{}。；！!?？¿¡—–")
_LABEL = 2  # words before a dash, or with capitals behind one, are a name
_DASHES = frozenset("-–—")
_BRACKETS = frozenset("()[]{}")
_QUESTION = frozenset("?？")
_SENTENCE_END = frozenset(".!?。！？")


@dataclass(slots=True)
class _Clause:
    items: list[Item]
    words: str
    question: bool = False
    in_brackets: bool = False  # in or before brackets: a name or an addition, as a rule
    behind_dash: bool = False
    contrast: str = ""  # the word before it that ended the scope of the clause before: "but"


def read_line(items: Sequence[Item], text: str, line: int, *, robocopy: bool = False) -> list[Statement]:
    """Return the statements of the clauses of a line."""
    statements: list[Statement] = []
    for number, clause in enumerate(_clauses(items, text)):
        found = [
            Statement(finding, clause.words, rule, line, number)
            for finding, rule in _read_clause(clause, robocopy=robocopy)
        ]
        if clause.contrast and len(clause.items) > 1 and not any(one.finding in _CALMING for one in found):
            found.append(Statement(Finding.DOUBT, clause.words, f"{clause.contrast} + an unknown clause", line, number))
        found += [
            Statement(Finding.UNKNOWN_PART, clause.words, f"unknown words: {words}", line, number)
            for words in (() if clause.in_brackets or _is_name(clause) else _unknown_parts(clause.items))
        ]
        statements += found
    return statements


def _is_name(clause: _Clause) -> bool:
    """Return whether a clause is one word behind a dash: "backup ok - hamburg"."""
    words = clause.items
    return clause.behind_dash and (len(words) == 1 or (len(words) <= _LABEL and all(word.capital for word in words)))


def _unknown_parts(items: Sequence[Item]) -> Iterator[str]:
    """Yield the unknown words of each part between commas that states nothing that is known: "tape chewed up"."""
    part: list[Item] = []
    first = True
    for item in [*items, None]:
        if item is not None and (item.text not in LIST_COMMAS or item.meaning is not None):
            part.append(item)
            continue
        unknown = [one.text for at, one in enumerate(part) if _is_unknown(part, at, first=first)]
        first = False
        measured = len(unknown) < _TELLING and any(one.kind in _MEASURES for one in part)
        if unknown and not measured and not any(one.meaning in _STATING for one in part):
            yield " ".join(unknown)[:60]
        part = []


def _is_unknown(part: Sequence[Item], at: int, *, first: bool) -> bool:
    """Return whether an unknown word may matter: short and frequent words, names with a capital letter and labels do not."""
    item = part[at]
    if item.kind is TokenKind.CJK and item.meaning is None and len(item.text) > _SHORT:
        return not first  # the first part is the person addressed, or what the sentence is about
    if item.kind is not TokenKind.WORD or item.meaning is not None or item.common or len(item.text) <= _SHORT:
        return False
    is_label = at + 1 < len(part) and part[at + 1].text in VALUE_SIGNS
    return not is_label and not (item.capital and at > 0)


_SHORT = 2
_TELLING = 2  # unknown words that say something next to a number: "checksum of part 3 deviates"
_MEASURES = frozenset((TokenKind.NUMBER, TokenKind.COUNTS, TokenKind.TIME))
_STATING = frozenset(T) - {T.GOOD, T.OF, T.ALL, T.PERSON, T.STATUS_KEY, T.COMMON}
_SAYING = frozenset((TokenKind.COUNTS, TokenKind.DOTS))
# What may follow "but" without making the success before it uncertain.
_CALMING = frozenset(
    (Finding.SUCCEEDED, Finding.WENT_WELL, Finding.EXIT_ZERO, Finding.FIXED, Finding.COMPLETE, Finding.STARTED)
)


def _clauses(items: Sequence[Item], text: str) -> list[_Clause]:
    clauses: list[_Clause] = []
    current: list[Item] = []
    joined = join_ratios(items)
    first_of_sentence = 0
    contrast, dash = "", False
    for at, item in enumerate(joined):
        if not _ends_clause(joined, at):
            current.append(item)
            continue
        if current:
            clauses.append(_clause(current, text, item.start, contrast))
            label = item.text in _DASHES and len(clauses[-1].items) <= _LABEL
            clauses[-1].in_brackets = item.text in _BRACKETS or label
            clauses[-1].behind_dash = dash
            current = []
        contrast = item.rule if item.meaning is T.ENDS_SCOPE and clauses else ""
        dash = item.text in _DASHES
        if item.text in _QUESTION:
            for clause in clauses[first_of_sentence:]:
                clause.question = True
        if item.text in _SENTENCE_END:
            first_of_sentence = len(clauses)
    if current:
        clauses.append(_clause(current, text, len(text), contrast))
        clauses[-1].behind_dash = dash
    return clauses


def _clause(items: list[Item], text: str, end: int, contrast: str) -> _Clause:
    return _Clause(items, text[items[0].start : end].strip()[:MAX_WORDS], contrast=contrast)


def _ends_clause(items: Sequence[Item], at: int) -> bool:
    item = items[at]
    if item.meaning is T.ENDS_SCOPE:
        return True
    if item.meaning is not None or item.kind is not TokenKind.MARK:
        return False
    if item.text == ".":
        abbreviated = at > 0 and items[at - 1].kind is TokenKind.WORD and len(items[at - 1].text) <= _SHORT + 1
        if abbreviated and at + 1 < len(items) and items[at + 1].kind is TokenKind.NUMBER:
            return False  # "kl. 0", "no. 5"
        return item.spaced or at + 1 == len(items)
    if item.text == "-":
        return item.spaced and at > 0 and items[at - 1].spaced
    return item.text in _HARD


def _read_clause(clause: _Clause, *, robocopy: bool) -> Iterator[tuple[Finding, str]]:
    items = clause.items
    if clause.question:
        yield Finding.DOUBT, "a question"
        return
    counts = attach_counts(items)
    negations = find_negations(items, counts)
    context = Context.of(items)
    yield from _read_marks_of_context(items, context)
    yield from read_exit_codes(items, robocopy=robocopy)
    totals = total_counts(items, counts)
    if totals is not None and totals[1] < totals[0]:
        # An incremental run copies few of the total files, but must copy all of the expected ones.
        is_total = any(item.rule == "en: total" for item in items)
        yield (Finding.DOUBT if is_total else Finding.FAILED), f"count: {totals[1]:g} of {totals[0]:g}"
    for at, item in enumerate(items):
        if item.meaning is None or item.meaning in _CONTEXT_ONLY:
            continue
        found = read_term(items, at, counts.get(at), negations.get(at), context)
        if found is not None:
            yield found
    yield from _read_bare_negations(items, negations, context)
    yield from _read_shares(items, counts)


def _read_shares(items: Sequence[Item], counts: Mapping[int, Count]) -> Iterator[tuple[Finding, str]]:
    size = next((at for at, item in enumerate(items) if item.text == "size"), len(items))
    zero = next((item for item in items[size + 1 : size + 3] if item.kind is TokenKind.NUMBER), None)
    if zero is not None and not any(zero.numbers):
        yield Finding.NOTHING_MADE, f"count: size {zero.text}"
    for before, item in zip([None, *items], items, strict=False):
        if before is not None and before.meaning is T.OF and item.kind is TokenKind.NUMBER:
            yield Finding.MADE, before.rule  # "none (of 9)" tells that there was a run
        if before is not None and before.kind is TokenKind.NUMBER and item.meaning is T.OF and item is items[-1]:
            yield Finding.MADE, item.rule  # なし（9件中）
        if item.kind is TokenKind.COUNTS and len(item.numbers) == 2:  # noqa: PLR2004  (n of m)
            counted = any(count.text == item.text for count in counts.values())
            if item.numbers[0] == item.numbers[1]:
                yield Finding.COMPLETE, f"count: {item.text}"
            elif not counted:
                yield Finding.DOUBT, f"count: {item.text} of something unknown"


_CONTEXT_ONLY = frozenset(
    (
        T.NOT,
        T.NONE,
        T.NOT_BACK,
        T.NOT_BOTH,
        T.ABSENT,
        T.OF,
        T.IGNORE,
        T.COMMON,
        T.GATEWAY,
        T.EXIT_CODE,
        T.STATUS_KEY,
        T.PERSON,
        T.EXPECTED,
        T.FUTURE,
        T.PAST,
        T.LAST,
    )
)


_NOWHERE = "/dev/null"  # a copy that is written there is none


def _read_marks_of_context(items: Sequence[Item], context: Context) -> Iterator[tuple[Finding, str]]:
    for meaning, finding in (
        (T.NO_RUN, Finding.NOT_A_RUN),
        (T.OTHER_WORK, Finding.OTHER_WORK),
        (T.DOUBT, Finding.DOUBT),
        (T.ALL, Finding.ALL),
        (T.STATUS_KEY, Finding.ABOUT_RUN),
    ):
        if meaning in context.meanings:
            yield finding, next(item.rule for item in items if item.meaning is meaning)
    if any(item.kind is TokenKind.NAME and item.text.startswith(NAME_SIGN) for item in items):
        yield Finding.ABOUT_RUN, "a known name"
    for before, item in pairwise(items):
        if item.text == _NOWHERE and (before.kind is TokenKind.WORD or before.text in VALUE_SIGNS):
            yield Finding.DOUBT, "written to /dev/null"
    if items[-1].text == "cut":
        yield Finding.DOUBT, "the text is cut"


def _read_bare_negations(
    items: Sequence[Item], negations: Mapping[int, Negation], context: Context
) -> Iterator[tuple[Finding, str]]:
    """Yield a failure for `no copy`, where no verdict is negated, and a doubt for a negation of an unknown word."""
    strong = any(items[at].meaning in STRONG for at in negations)
    for at, negation in negations.items():
        if items[at].meaning is T.GOOD and not strong and negation.count:
            yield (
                (Finding.DOUBT if T.FUTURE in context.meanings else Finding.FAILED),
                f"{negation.rule} + {items[at].rule}",
            )
            return
        if negation.count == 0 and items[at].meaning in NEGATIONS:
            absent = items[at].meaning is T.ABSENT and T.FUTURE not in context.meanings
            finding = Finding.MISSING if absent else Finding.DOUBT
            if finding is Finding.DOUBT and not context.meanings.isdisjoint((T.GOOD, T.TROUBLE)):
                finding = Finding.UNKNOWN_DENIED
            yield finding, f"{negation.rule} + an unknown word"
