"""Take the trouble of yesterday out of a line that reports a success of today: "jammed yesterday, today it went through"."""

from collections.abc import Sequence
from dataclasses import replace

from app.intake.language.negation import BAD, DONE, LIST_COMMAS, NEGATIONS
from app.intake.language.terms import Item
from app.intake.language.tokens import TokenKind
from app.intake.language.words_file import TermMeaning as T

_NEAR = 3  # words around "yesterday" in a sentence without commas: "the copy that jammed yesterday went through today"
_SENTENCE_ENDS = frozenset(".;!?–—。；！？")
_GOOD = frozenset((T.SUCCEEDED, T.WELL, T.FIXED))
_OPEN = BAD | NEGATIONS | {T.FUTURE, T.RUNNING, T.LAST, T.DOUBT}


def without_yesterday(items: Sequence[Item]) -> list[Item]:
    """Return the items of a line, without trouble of yesterday if a part that speaks of today states a success and nothing else."""
    over = _trouble_that_is_over(items)
    return [
        replace(item, meaning=T.IGNORE)
        if at in over
        else replace(item, meaning=None, rule="", common=True)
        if item.meaning in (T.YESTERDAY, T.TODAY)
        else item
        for at, item in enumerate(items)
    ]


def _trouble_that_is_over(items: Sequence[Item]) -> frozenset[int]:
    yesterday = next((at for at, item in enumerate(items) if item.meaning is T.YESTERDAY), len(items))
    today = next((at for at in range(yesterday, len(items)) if items[at].meaning is T.TODAY), None)
    if today is None:
        return frozenset()
    then, now = _part_around(items, yesterday), _part_around(items, today)
    if then == now:
        over = {
            at for at in then if items[at].meaning in BAD and abs(at - yesterday) <= min(_NEAR, abs(at - today) - 1)
        }
        after = [items[at].meaning for at in now if at > yesterday and at not in over]
    else:
        over = {at for at in then if items[at].meaning in BAD | DONE | NEGATIONS}
        after = [items[at].meaning for at in now]
    proven = not _GOOD.isdisjoint(after) and _OPEN.isdisjoint(after)
    return frozenset(over) if proven else frozenset()


def _part_around(items: Sequence[Item], at: int) -> range:
    start, end = at, at
    while start > 0 and not _separates(items[start - 1]):
        start -= 1
    while end < len(items) and not _separates(items[end]):
        end += 1
    return range(start, end)


def _separates(item: Item) -> bool:
    mark = item.kind is TokenKind.MARK and (item.text in LIST_COMMAS or item.text in _SENTENCE_ENDS)
    return item.meaning is T.ENDS_SCOPE or mark
