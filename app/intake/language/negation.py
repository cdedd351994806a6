"""Find what the negations of a clause cover: the scope of NegEx, with the word order of each language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.intake.language.counts import Count
from app.intake.language.terms import VALUE_SIGNS, Item
from app.intake.language.tokens import TokenKind
from app.intake.language.words_file import TermMeaning as T

_SCOPE = 9  # words that a negation reaches
_COMMAS = frozenset(",、，/+&")
LIST_COMMAS = frozenset(",，、&")
BAD = frozenset((T.FAILED, T.NOT_DONE, T.WARNED, T.CANCELLED, T.STOPPED, T.TROUBLE, T.EXCEPT, T.STALE))
DONE = frozenset((T.OTHER_WORK, T.SUCCEEDED, T.WELL, T.ENDED, T.RUNNING, T.FIXED, T.EXPECTED))
STRONG = BAD | DONE
NEGATIONS = frozenset((T.NOT, T.NONE, T.NOT_BACK, T.NOT_BOTH, T.ABSENT))


@dataclass(frozen=True, slots=True)
class Negation:
    """What negates a term; `count` is 0 for a negation that covers nothing, at its own position."""

    count: int
    rule: str


def find_negations(items: Sequence[Item], counts: Mapping[int, Count]) -> dict[int, Negation]:
    """Return the negation of each covered position; for a negation that covers nothing, its own position with a count of 0."""
    covered: dict[int, Negation] = {}
    values = {count.place for count in counts.values()}
    for at, item in enumerate(items):
        if item.meaning not in NEGATIONS or at in values or _is_value(items, at):
            continue
        targets = _targets(items, at)
        for target in targets:
            # Two negations are one, as in most languages ("no hay ningún error"): they never cancel each other out.
            if items[target].meaning is not T.STALE or _denies_staleness(items, at, target):
                covered.setdefault(target, Negation(1, item.rule))
        if not targets:
            covered[at] = Negation(0, item.rule)
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
    far = item.meaning is T.ABSENT and bool(backward) and _is_too_far(items, at, backward[0])
    if item.meaning is T.NOT_BACK or language in _VERB_LAST:
        return [] if far else backward
    forward = _forward(items, at)
    if language == _VERB_BEFORE and item.meaning is T.ABSENT:
        return forward or backward
    if item.meaning is T.ABSENT and backward and items[backward[0]].meaning in BAD:
        return forward if far else backward
    return forward if any(items[one].meaning in STRONG for one in forward) else backward or forward


def _is_too_far(items: Sequence[Item], at: int, target: int) -> bool:
    """Return whether trouble is too far before an absence to be denied: it is in "no faults found", not in "broken and not readable"."""
    meaning = items[target].meaning
    return meaning in BAD and at - target > _NEAR.get(meaning, 1)


_COUNTED = STRONG | {T.GOOD}
_VERB_LAST = frozenset(("ja", "tr"))
_VERB_BEFORE = "zh"
_NEAR = {T.TROUBLE: _SCOPE, T.WARNED: 2}


def _is_value(items: Sequence[Item], at: int) -> bool:
    """Return whether a negation is the value of a field (`Errors: none`, `error=no`), or half of `none of 7`."""
    after = at + 1 == len(items) or items[at + 1].text in _COMMAS or items[at + 1].kind is TokenKind.MARK
    if not after or at == 0 or items[at - 1].text not in VALUE_SIGNS:
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
        if item.text in VALUE_SIGNS:
            break
        if item.text in _COMMAS:
            if strong is None and item.text in LIST_COMMAS:
                break
            continue
        if item.meaning in STRONG and item.meaning is not T.EXCEPT:
            if strong is not None and ((item.meaning in BAD) != (strong in BAD) or between > 1):
                break
            targets.append(there)
            strong, between = item.meaning, 0
        elif item.meaning is T.EXCEPT or (item.meaning is T.GOOD and strong is None):
            targets.append(there)
        else:
            between += 1
    return targets


def _backward(items: Sequence[Item], at: int) -> list[int]:
    for there in range(at - 1, max(-1, at - 1 - _SCOPE), -1):
        if items[there].text in VALUE_SIGNS or (items[there].text in _COMMAS and items[there].text != "/"):
            return []
        if items[there].meaning in STRONG or items[there].meaning is T.GOOD:
            return [there]
    return []
