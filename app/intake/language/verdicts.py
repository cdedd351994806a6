"""Read one term in its clause: what it states together with its count, its negation, and whether it is past or future."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.intake.language.counts import Count
from app.intake.language.findings import Finding
from app.intake.language.negation import BAD, DONE, LIST_COMMAS, Negation
from app.intake.language.terms import VALUE_SIGNS, Item
from app.intake.language.tokens import TokenKind
from app.intake.language.words_file import TermMeaning as T


@dataclass(frozen=True, slots=True)
class Context:
    """What holds for a whole clause."""

    meanings: frozenset[T]
    first_future: int
    first_last: int
    modal_behind: bool  # a clause without a colon in which something may happen: "failure to comply may lead to ..."
    past: frozenset[int]  # positions of trouble that is over
    something_else: Mapping[int, Finding]  # positions next to a start or other work, in the same part between commas

    @classmethod
    def of(cls, items: Sequence[Item]) -> "Context":
        """Return the context of a clause."""
        meanings = frozenset(item.meaning for item in items if item.meaning is not None)
        future = next((at for at, item in enumerate(items) if item.meaning is T.FUTURE), len(items))
        last = next((at for at, item in enumerate(items) if item.meaning is T.LAST), len(items))
        past: set[int] = set()
        for at, item in enumerate(items):
            if item.meaning is T.PAST and not _is_reported(items, at):
                for there in range(at + 1, len(items)):
                    if items[there].meaning in DONE or items[there].text in LIST_COMMAS:
                        break
                    past.add(there)
        modal = future < len(items) and not any(item.text in VALUE_SIGNS for item in items)
        return cls(meanings, future, last, modal, frozenset(past), _next_to_something_else(items))


def _is_reported(items: Sequence[Item], at: int) -> bool:
    """Return whether the trouble of yesterday is the message itself: "Report saved: yesterday's backup failed"."""
    reported = at > 0 and items[at - 1].text in VALUE_SIGNS
    return reported and not any(item.meaning in DONE for item in items[at + 1 :])


def _next_to_something_else(items: Sequence[Item]) -> dict[int, Finding]:
    """Return the positions at which a word of success is about a start or other work: "Backup started successfully", "restore completed"."""
    found: dict[int, Finding] = {}
    part: list[int] = []
    for at in range(len(items) + 1):
        if at < len(items) and items[at].text not in LIST_COMMAS:
            part.append(at)
            continue
        other = next((_SOMETHING_ELSE[m] for one in part if (m := items[one].meaning) in _SOMETHING_ELSE), None)
        if other is not None:
            found.update(dict.fromkeys(part, other))
        part = []
    return found


_SOMETHING_ELSE: Mapping[T | None, Finding] = {T.RUNNING: Finding.STARTED, T.OTHER_WORK: Finding.OTHER_WORK}


def read_term(
    items: Sequence[Item], at: int, count: Count | None, negation: Negation | None, context: Context
) -> tuple[Finding, str] | None:
    """Return what a term states, and the rule; None where it states nothing."""
    item = items[at]
    negated = negation is not None and item.meaning is not T.NOT_DONE
    rule = item.rule if negation is None or not negated else f"{negation.rule} + {item.rule}"
    if count is not None and item.meaning is not T.RUNNING:
        rule = f"count: {count.text} {item.text}"
    term = _Term(item.meaning, at, count, negated=negated)
    if item.meaning in BAD and item.meaning is not T.STALE:
        finding = _read_bad(term, context)
    elif item.meaning in (T.SUCCEEDED, T.WELL, T.GOOD):
        finding = _read_good(term, context)
        if finding is Finding.SUCCEEDED and count is None:
            finding = _weigh_success(items, at, context)
        if finding is Finding.MADE and item.thing:
            finding = Finding.THING
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


def _weigh_success(items: Sequence[Item], at: int, context: Context) -> Finding:
    """Return what a word of success proves: no success if it only describes a noun or an unknown verb."""
    item = items[at]
    if item.guessed:
        return Finding.GUESSED
    if _is_attribute(items, at):
        return Finding.ENDED
    if item.meaning is not T.WELL or _is_value(items, at):
        return Finding.SUCCEEDED
    next_to = [items[one] for one in (at - 1, at + 1) if 0 <= one < len(items)]
    adverb = item.rule.startswith("en:") and item.text.endswith("ly")
    if adverb and any(map(_is_lower_word, next_to)) and context.meanings.isdisjoint((T.SUCCEEDED, T.ENDED)):
        return Finding.ENDED  # "successfully subscribed to backup alerts"
    return Finding.WENT_WELL


def _is_value(items: Sequence[Item], at: int) -> bool:
    """Return whether a word is the whole value of a label: "hall: ok"."""
    labelled = 0 < at <= _LONGEST_LABEL and items[at - 1].text in VALUE_SIGNS
    return labelled and (at + 1 == len(items) or items[at + 1].text in LIST_COMMAS)


_LONGEST_LABEL = 4


def _is_attribute(items: Sequence[Item], at: int) -> bool:
    """Return whether a word of success belongs to a noun, as in "ten steps to a successful backup" or "success message"."""
    item, behind = items[at], items[at + 1] if at + 1 < len(items) else None
    if item.rule[:2] not in _ATTRIBUTE_FIRST or " " in item.rule[4:] or behind is None:
        return False
    if item.text == "success" and _is_lower_word(behind):
        return True
    if behind.meaning is not T.GOOD:
        return False
    if at and items[at - 1].kind is TokenKind.WORD and items[at - 1].meaning is None and not items[at - 1].capital:
        return True
    after = items[at + 2] if at + 2 < len(items) else None
    return after is not None and _is_lower_word(after)


def _is_lower_word(item: Item) -> bool:
    return item.kind is TokenKind.WORD and item.meaning is None and not item.common and not item.capital


_ATTRIBUTE_FIRST = frozenset(("en", "de", "nl", "sv"))
_PLAIN = {T.ENDED: Finding.ENDED, T.RUNNING: Finding.STARTED, T.FIXED: Finding.FIXED, T.STALE: Finding.STALE}
_NEGATED = {T.OTHER_WORK: Finding.FAILED, T.ENDED: Finding.FAILED, T.RUNNING: Finding.FAILED, T.FIXED: Finding.FAILED}
_ASSERTED = {
    T.FAILED: Finding.FAILED,
    T.TROUBLE: Finding.FAILED,
    T.STOPPED: Finding.FAILED,
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


def _read_bad(term: _Term, context: Context) -> Finding | None:
    if term.at in context.past:
        return None
    zero = term.count is not None and term.count.number == 0
    # "ni odno iz 4 ne ..." (none of 4 was not done) has two negations that are one.
    one_negation = zero and term.count is not None and term.count.worded and term.meaning is T.NOT_DONE
    if (term.negated or zero) and not one_negation:
        return None if term.meaning is T.EXCEPT else Finding.DENIED
    if term.at > context.first_future or (term.meaning is T.TROUBLE and term.count is None and context.modal_behind):
        return Finding.CONDITIONAL
    if term.meaning is T.TROUBLE and term.count is None:
        return Finding.NAMED_TROUBLE
    if term.meaning is T.STOPPED and T.PERSON in context.meanings:
        return Finding.CANCELLED
    return _ASSERTED[term.meaning] if term.meaning is not None else None


def _read_good(term: _Term, context: Context) -> Finding | None:
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


def _read_good_count(term: _Term, count: Count, context: Context) -> Finding | None:
    is_noun = term.meaning is T.GOOD
    if count.percent and (count.number > 0 or is_noun):
        done = Finding.SUCCEEDED if count.number >= 100 else Finding.STARTED  # noqa: PLR2004  (per cent)
        return Finding.MADE if is_noun else done
    is_part = count.total is not None and count.number < count.total
    if is_part and (count.ordinal or (T.RUNNING in context.meanings and count.number > 0)):
        return Finding.STARTED
    if count.number == 0 and is_noun and T.OTHER_WORK in context.meanings:
        return Finding.OTHER_WORK  # "deleted files: 0"
    if count.number == 0 and not term.negated:
        nothing = Finding.NOTHING_MADE if is_noun else Finding.NOTHING_DONE
        return Finding.FAILED if is_part else nothing
    if is_part:
        return Finding.MADE if is_noun else Finding.FAILED
    return None
