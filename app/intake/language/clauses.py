"""Read a line clause by clause, by the published NegEx and ConText method: terms, the scope of negations, and what ends a scope.

Sources: Chapman et al. 2001, "A simple algorithm for identifying negated findings and diseases in discharge summaries" (NegEx);
Harkema et al. 2009, "ConText: an algorithm for determining negation, experiencer, and temporal status from clinical reports".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.intake.language.counts import Count, attach_counts, join_ratios, total_counts
from app.intake.language.findings import Finding, Statement
from app.intake.language.terms import Item
from app.intake.language.tokens import TokenKind
from app.intake.language.words_file import TermMeaning as T

MAX_WORDS = 200
_SCOPE = 9  # words that a negation reaches
_HARD = frozenset(".;|•·()[]{}。；！!?？¿¡—–")
_QUESTION = frozenset("?？")
_SENTENCE_END = frozenset(".!?。！？")
_VALUE = frozenset((":", "=", "："))
_COMMA = frozenset(",、，/+&")
_LIST_COMMA = frozenset(",，、&")
_BAD = frozenset((T.FAILED, T.NOT_DONE, T.WARNED, T.CANCELLED, T.STOPPED, T.TROUBLE, T.EXCEPT, T.STALE))
_DONE = frozenset((T.OTHER_WORK, T.SUCCEEDED, T.ENDED, T.RUNNING, T.FIXED, T.EXPECTED))
_STRONG = _BAD | _DONE
_NEGATIONS = frozenset((T.NOT, T.NONE, T.NOT_BACK, T.NOT_BOTH, T.ABSENT))


@dataclass(slots=True)
class _Clause:
    items: list[Item]
    words: str
    question: bool = False
    contrast: str = ""  # the word before it that ended the scope of the clause before: "but"


def read_line(items: Sequence[Item], text: str, line: int) -> list[Statement]:
    """Return what the clauses of a line state."""
    statements: list[Statement] = []
    for number, clause in enumerate(_clauses(items, text)):
        found = [Statement(finding, clause.words, rule, line, number) for finding, rule in _read_clause(clause)]
        if clause.contrast and len(clause.items) > 1 and not any(one.finding in _CALMING for one in found):
            found.append(Statement(Finding.DOUBT, clause.words, f"{clause.contrast} + an unknown clause", line, number))
        statements += found
    return statements


# What may stand behind "but" without a doubt of the success before it.
_CALMING = frozenset((Finding.SUCCEEDED, Finding.EXIT_ZERO, Finding.FIXED, Finding.COMPLETE, Finding.STARTED))


def _clauses(items: Sequence[Item], text: str) -> list[_Clause]:
    clauses: list[_Clause] = []
    current: list[Item] = []
    joined = join_ratios(items)
    first_of_sentence = 0
    contrast = ""
    for at, item in enumerate(joined):
        if not _ends_clause(joined, at):
            current.append(item)
            continue
        if current:
            clauses.append(_clause(current, text, item.start, contrast))
            current = []
        contrast = item.rule if item.meaning is T.ENDS_SCOPE and clauses else ""
        if item.text in _QUESTION:
            for clause in clauses[first_of_sentence:]:
                clause.question = True
        if item.text in _SENTENCE_END:
            first_of_sentence = len(clauses)
    if current:
        clauses.append(_clause(current, text, len(text), contrast))
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
        return item.spaced or at + 1 == len(items)
    if item.text == "-":
        return item.spaced and at > 0 and items[at - 1].spaced
    return item.text in _HARD


def _read_clause(clause: _Clause) -> Iterator[tuple[Finding, str]]:
    items = clause.items
    if not any(item.meaning is not None for item in items) and not any(item.kind is TokenKind.COUNTS for item in items):
        return
    if clause.question:
        yield Finding.DOUBT, "a question"
        return
    counts = attach_counts(items)
    negations = _negations(items, counts)
    context = _Context.of(items)
    yield from _read_marks_of_context(items, context)
    yield from _read_exit_codes(items)
    totals = total_counts(items, counts)
    if totals is not None and totals[1] < totals[0]:
        yield Finding.FAILED, f"count: {totals[1]:g} of {totals[0]:g}"
    for at, item in enumerate(items):
        if item.meaning is None or item.meaning in _CONTEXT_ONLY:
            continue
        found = _read_term(items, at, counts.get(at), negations.get(at), context)
        if found is not None:
            yield found
    yield from _read_bare_negations(items, negations, context)
    for item in items:
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


@dataclass(frozen=True, slots=True)
class _Context:
    """What holds for a whole clause."""

    meanings: frozenset[T]
    first_future: int
    first_last: int
    past: frozenset[int]  # positions of trouble that is over
    something_else: Mapping[int, Finding]  # positions next to a start or other work, in the same part between commas

    @classmethod
    def of(cls, items: Sequence[Item]) -> "_Context":
        meanings = frozenset(item.meaning for item in items if item.meaning is not None)
        future = next((at for at, item in enumerate(items) if item.meaning is T.FUTURE), len(items))
        last = next((at for at, item in enumerate(items) if item.meaning is T.LAST), len(items))
        past: set[int] = set()
        for at, item in enumerate(items):
            if item.meaning is T.PAST:
                for there in range(at + 1, len(items)):
                    if items[there].meaning in _DONE or items[there].text in _COMMA:
                        break
                    past.add(there)
        return cls(meanings, future, last, frozenset(past), _next_to_something_else(items))


def _next_to_something_else(items: Sequence[Item]) -> dict[int, Finding]:
    """Return where a word of success is about a start or other work: "Backup started successfully", "restore completed"."""
    found: dict[int, Finding] = {}
    part: list[int] = []
    for at in range(len(items) + 1):
        if at < len(items) and items[at].text not in _LIST_COMMA:
            part.append(at)
            continue
        other = next((_SOMETHING_ELSE[m] for one in part if (m := items[one].meaning) in _SOMETHING_ELSE), None)
        if other is not None:
            found.update(dict.fromkeys(part, other))
        part = []
    return found


_SOMETHING_ELSE: Mapping[T | None, Finding] = {T.RUNNING: Finding.STARTED, T.OTHER_WORK: Finding.OTHER_WORK}


def _read_marks_of_context(items: Sequence[Item], context: _Context) -> Iterator[tuple[Finding, str]]:
    for meaning, finding in (
        (T.NO_RUN, Finding.NOT_A_RUN),
        (T.OTHER_WORK, Finding.OTHER_WORK),
        (T.DOUBT, Finding.DOUBT),
        (T.ALL, Finding.ALL),
    ):
        if meaning in context.meanings:
            yield finding, next(item.rule for item in items if item.meaning is meaning)
    if items[-1].text == "cut":
        yield Finding.DOUBT, "the text is cut"


def _read_exit_codes(items: Sequence[Item]) -> Iterator[tuple[Finding, str]]:
    for at, item in enumerate(items):
        if item.meaning not in (T.EXIT_CODE, T.STATUS_KEY):
            continue
        reach = 4 if item.meaning is T.EXIT_CODE else 2
        for there in range(at + 1, min(at + 1 + reach, len(items))):
            value = items[there]
            if value.kind is TokenKind.NUMBER and not value.unit:
                if at and items[at - 1].text in ("http", "https"):
                    break
                code = f"{item.text} {value.text}"[:40]
                yield (Finding.EXIT_ZERO if value.numbers[0] == 0 else Finding.FAILED), f"exit code: {code}"
                break
            if value.meaning in _STRONG or (value.kind is TokenKind.MARK and value.text not in _VALUE):
                break


@dataclass(frozen=True, slots=True)
class _Negation:
    count: int
    rule: str


def _negations(items: Sequence[Item], counts: Mapping[int, Count]) -> dict[int, _Negation]:
    """Return which negation covers a position; for a negation that covers nothing, its own position with a count of 0."""
    covered: dict[int, _Negation] = {}
    values = {count.place for count in counts.values()}
    for at, item in enumerate(items):
        if item.meaning not in _NEGATIONS or at in values or _is_value(items, at):
            continue
        targets = _targets(items, at)
        for target in targets:
            # Two negations are one, as in most languages ("no hay ningún error"): they never cancel each other out.
            if items[target].meaning is not T.STALE or _denies_staleness(items, at, target):
                covered.setdefault(target, _Negation(1, item.rule))
        if not targets:
            covered[at] = _Negation(0, item.rule)
    return {at: negation for at, negation in covered.items() if at not in counts or counts[at].number > 0}


def _denies_staleness(items: Sequence[Item], at: int, target: int) -> bool:
    """Return whether a negation says that nothing is stale: "not overdue" does, "no copy for two weeks" does not."""
    if items[at].meaning is T.NONE:
        return True
    return items[at].meaning is T.NOT and not any(item.meaning is T.GOOD for item in items[at:target])


def _targets(items: Sequence[Item], at: int) -> list[int]:
    """Return what a negation covers. Where verbs stand last (Japanese, Turkish) one that looks both ways looks back only."""
    item = items[at]
    if item.meaning in (T.NOT, T.NONE):
        return _forward(items, at)
    language = item.rule[:2]
    backward = _backward(items, at)
    if item.meaning is T.NOT_BACK or language in _VERB_LAST:
        return backward
    if language == _VERB_BEFORE and item.meaning is T.ABSENT:
        return _forward(items, at) or backward
    if item.meaning is T.ABSENT and backward:
        # "no faults found", but "broken and not readable": a verb is denied only by what stands right behind it.
        near = 1 if items[backward[0]].meaning is T.FAILED else _NEAR
        if items[backward[0]].meaning in _BAD and at - backward[0] <= near:
            return backward
        if items[backward[0]].meaning in _BAD:
            return _forward(items, at)
    forward = _forward(items, at)
    return forward if any(items[one].meaning in _STRONG for one in forward) else backward or forward


_COUNTED = _STRONG | {T.GOOD}
_VERB_LAST = frozenset(("ja", "tr"))
_VERB_BEFORE = "zh"
_NEAR = 2


def _is_value(items: Sequence[Item], at: int) -> bool:
    """Return whether a negation is the value of a field (`Errors: none`, `error=no`), or half of `none of 7`."""
    after = at + 1 == len(items) or items[at + 1].text in _COMMA or items[at + 1].kind is TokenKind.MARK
    if not after or at == 0 or items[at - 1].text not in _VALUE:
        return False
    # "Personnel: absent" is a verdict, "errors: absent" a count.
    return items[at].meaning is not T.ABSENT or any(item.meaning in _COUNTED for item in items[: at - 1])


def _forward(items: Sequence[Item], at: int) -> list[int]:
    """Return the terms that a negation covers: nouns up to the first verdict, and verdicts of the same kind joined to it."""
    targets: list[int] = []
    strong: T | None = None
    between = 0
    for there in range(at + 1, min(at + 1 + _SCOPE, len(items))):
        item = items[there]
        if item.text in _VALUE:
            break
        if item.text in _COMMA:
            if strong is None and item.text in _LIST_COMMA:
                break
            continue
        if item.meaning in _STRONG:
            if strong is not None and ((item.meaning in _BAD) != (strong in _BAD) or between > 1):
                break
            targets.append(there)
            strong, between = item.meaning, 0
        elif item.meaning is T.GOOD and strong is None:
            targets.append(there)
        else:
            between += 1
    return targets


def _backward(items: Sequence[Item], at: int) -> list[int]:
    for there in range(at - 1, max(-1, at - 1 - _SCOPE), -1):
        if items[there].text in _VALUE or (items[there].text in _COMMA and items[there].text != "/"):
            return []
        if items[there].meaning in _STRONG or items[there].meaning is T.GOOD:
            return [there]
    return []


def _read_term(
    items: Sequence[Item], at: int, count: Count | None, negation: _Negation | None, context: _Context
) -> tuple[Finding, str] | None:
    item = items[at]
    negated = negation is not None and item.meaning is not T.NOT_DONE
    rule = item.rule if negation is None or not negated else f"{negation.rule} + {item.rule}"
    if count is not None and item.meaning is not T.RUNNING:
        rule = f"count: {count.text} {item.text}"
    term = _Term(item.meaning, at, count, negated=negated)
    if item.meaning in _BAD and item.meaning is not T.STALE:
        finding = _read_bad(term, context)
    elif item.meaning in (T.SUCCEEDED, T.GOOD):
        finding = _read_good(term, context)
    elif negated:
        finding = _NEGATED.get(item.meaning) if item.meaning is not None else None
        if at > context.first_future:
            finding = None
    elif item.meaning is T.ENDED and count is not None and not count.percent and count.number < (count.total or 1):
        finding = Finding.FAILED if count.total else Finding.NOTHING_DONE
    else:
        finding = _PLAIN.get(item.meaning) if item.meaning is not None else None
        if finding is Finding.FIXED and at > context.first_future:
            finding = None
    return None if finding is None else (finding, rule)


_PLAIN = {T.ENDED: Finding.ENDED, T.RUNNING: Finding.STARTED, T.FIXED: Finding.FIXED, T.STALE: Finding.STALE}
_NEGATED = {T.OTHER_WORK: Finding.FAILED, T.ENDED: Finding.FAILED, T.RUNNING: Finding.FAILED, T.FIXED: Finding.FAILED}
_ASSERTED = {
    T.FAILED: Finding.FAILED,
    T.NOT_DONE: Finding.FAILED,
    T.WARNED: Finding.WARNED,
    T.CANCELLED: Finding.CANCELLED,
    T.EXCEPT: Finding.PARTIAL,
}


@dataclass(frozen=True, slots=True)
class _Term:
    meaning: T | None
    at: int
    count: Count | None
    negated: bool


def _read_bad(term: _Term, context: _Context) -> Finding | None:
    if term.at in context.past:
        return None
    if term.negated or (term.count is not None and term.count.number == 0):
        return Finding.DENIED
    if term.at > context.first_future:
        return Finding.DOUBT
    if term.meaning is T.TROUBLE:
        return Finding.NAMED_TROUBLE if term.count is None else Finding.FAILED
    if term.meaning is T.STOPPED:
        return Finding.CANCELLED if T.PERSON in context.meanings else Finding.FAILED
    return _ASSERTED[term.meaning] if term.meaning is not None else None


def _read_good(term: _Term, context: _Context) -> Finding | None:
    counted = _read_good_count(term, term.count, context) if term.count is not None else None
    if counted is not None:
        return counted
    if term.negated:
        if term.at > context.first_future:
            return Finding.DOUBT
        return (
            None if term.meaning is T.GOOD else Finding.FAILED
        )  # a noun is read as a bare negation, unless a verdict follows
    if term.meaning is T.GOOD:
        return Finding.MADE
    if term.at > min(context.first_future, context.first_last):
        return Finding.DOUBT
    return context.something_else.get(term.at, Finding.SUCCEEDED)


def _read_good_count(term: _Term, count: Count, context: _Context) -> Finding | None:
    is_noun = term.meaning is T.GOOD
    if count.percent and (count.number > 0 or is_noun):
        done = Finding.SUCCEEDED if count.number >= 100 else Finding.STARTED  # noqa: PLR2004  (per cent)
        return Finding.MADE if is_noun else done
    is_part = count.total is not None and count.number < count.total
    if is_part and (count.ordinal or (T.RUNNING in context.meanings and count.number > 0)):
        return Finding.STARTED
    if count.number == 0 and not term.negated:
        nothing = Finding.NOTHING_MADE if is_noun else Finding.NOTHING_DONE
        return Finding.FAILED if is_part else nothing
    if is_part:
        return Finding.MADE if is_noun else Finding.FAILED
    return None


def _read_bare_negations(
    items: Sequence[Item], negations: Mapping[int, _Negation], context: _Context
) -> Iterator[tuple[Finding, str]]:
    """Yield a failure for `no copy`, where no verdict is negated, and a doubt for a negation of an unknown word."""
    strong = any(items[at].meaning in _STRONG for at in negations)
    for at, negation in negations.items():
        if items[at].meaning is T.GOOD and not strong and negation.count:
            yield (
                (Finding.DOUBT if T.FUTURE in context.meanings else Finding.FAILED),
                f"{negation.rule} + {items[at].rule}",
            )
            return
        if negation.count == 0 and items[at].meaning in _NEGATIONS:
            finding = (
                Finding.FAILED if items[at].meaning is T.ABSENT and T.FUTURE not in context.meanings else Finding.DOUBT
            )
            yield finding, f"{negation.rule} + an unknown word"
