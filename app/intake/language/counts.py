"""Attach numbers to the terms that they count: `Failed: 0`, `97 ok, 3 failed`, `2 of 5 jobs`, `ok/warn/crit = 20/0/0`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from app.intake.language.terms import Item
from app.intake.language.tokens import TokenKind
from app.intake.language.words_file import TermMeaning as T

_REACH = 4
_WORDED = "none"  # the unit of a zero that was a word
_ENGLISH_OF = "en: of"
_TIME_WORDS = frozenset(
    [
        *(
            "seconds",
            "second",
            "secs",
            "minutes",
            "minute",
            "mins",
            "hours",
            "hour",
            "days",
            "day",
            "weeks",
            "week",
            "months",
        ),
        *(
            "uhr",
            "stunden",
            "stunde",
            "tage",
            "tagen",
            "tag",
            "minuten",
            "sekunden",
            "wochen",
            "uur",
            "uren",
            "dagen",
            "dag",
        ),
        *(
            "weken",
            "heures",
            "heure",
            "jours",
            "jour",
            "semaines",
            "secondes",
            "horas",
            "hora",
            "dias",
            "dia",
            "minutos",
        ),
        *(
            "segundos",
            "ore",
            "ora",
            "giorni",
            "minuti",
            "secondi",
            "godzin",
            "godziny",
            "dni",
            "minut",
            "sekund",
            "hodin",
        ),
        *("hodiny", "dnu", "timmar", "timme", "dagar", "minuter", "saat", "gun", "dakika", "hafta", "saniye", "часов"),
        *("часа", "час", "днеи", "дня", "день", "минут", "минуты", "секунд", "недель", "недели"),
    ]
)
_TIME_SIGNS = (*"年月日時时点分秒週周天号", "小时", "ヶ月", "个月")
_COUNTED_FIRST = frozenset((T.TROUBLE, T.WARNED, T.FAILED, T.STOPPED, T.CANCELLED))
_WITH_NUMBER = frozenset((T.GOOD, T.OF, T.ALL))
_TOTAL_FIRST = frozenset(("ja", "zh", "tr"))  # 7個中3個, 5 işten 3'ü: three of five
STRONG = frozenset(
    (
        T.FAILED,
        T.NOT_DONE,
        T.WARNED,
        T.CANCELLED,
        T.STOPPED,
        T.TROUBLE,
        T.SUCCEEDED,
        T.WELL,
        T.ENDED,
        T.RUNNING,
        T.EXPECTED,
    )
)
_NOUNS = frozenset((T.GOOD, T.EXCEPT))
_NUMBERS = frozenset((TokenKind.NUMBER, TokenKind.COUNTS))
_ZERO = frozenset((T.NONE, T.NOT, T.NOT_BOTH, T.ABSENT))
_VALUE = frozenset((":", "="))
_TIME_UNITS = frozenset(["s", "sec", "min", "h", "hr", "hrs", "d", "ms", "st", "nd", "rd", "th", "x"])
_SIZE_UNITS = frozenset(
    ["b", "kb", "mb", "gb", "tb", "pb", "kib", "mib", "gib", "tib", "pib", "k", "m", "g", "t", "bytes", "byte"]
)


@dataclass(frozen=True, slots=True)
class Count:
    """How many, of how many if that is stated, and how it is written. `percent` if the number is a share."""

    number: float
    total: float | None
    text: str
    percent: bool = False
    ordinal: bool = False  # "tape 1 of 3": the first, not one
    worded: bool = False  # "none of 7", which is a negation too
    place: int = -1  # of the number among the items


def join_ratios(items: Sequence[Item]) -> list[Item]:
    """Return the items with `2 of 5` and `none of 7` made one item of counts, and `(3)` a plain number."""
    if not any(item.kind is TokenKind.NUMBER or item.text == "[" or item.meaning is T.OF for item in items):
        return list(items)
    joined: list[Item] = []
    at = 0
    while at < len(items):
        item = items[at]
        ratio = _ratio_at(items, at)
        if ratio is not None:
            counts, between, at = ratio
            joined += [counts, *between]
            continue
        if item.text == "(" and _is_number_in_brackets(items, at):
            joined.append(items[at + 1])
            at += 3
            continue
        if (
            item.text == "["
            and at + 1 < len(items)
            and items[at + 1].text == "]"
            and joined
            and joined[-1].text in _VALUE
        ):
            joined.append(
                Item(TokenKind.NUMBER, "[]", None, "", (0,), "", item.start, items[at + 1].spaced)
            )  # JSON's empty list
            at += 2
            continue
        joined.append(item)
        at += 1
    return joined


def _ratio_at(items: Sequence[Item], at: int) -> tuple[Item, Sequence[Item], int] | None:
    """Return the counts that begin at a number, the items within them (`2 folders of 30`), and the position behind."""
    number = _number_at(items, at)
    if (
        number is not None
        and items[at].text.endswith(_TURKISH_IN)
        and at + 1 < len(items)
        and _ends_value(items, at + 1)
    ):
        fewer = items[at + 1]
        if fewer.kind is TokenKind.NUMBER and fewer.numbers[0] <= number:
            text = f"{fewer.numbers[0]:g} of {number:g}"
            return (
                Item(TokenKind.COUNTS, text, None, "", (fewer.numbers[0], number), "", items[at].start, fewer.spaced),
                (),
                at + 2,
            )
    of = None if number is None else _of_position(items, at)
    if number is None or of is None:
        return None
    there = of + 1
    while there < min(of + 3, len(items)) and _may_stand_before_total(items, of, there):
        there += 1
    total = items[there] if there < len(items) else None
    if total is None or total.kind is not TokenKind.NUMBER or (total.unit != items[at].unit and items[at].unit):
        return None
    behind = items[there + 1] if there + 1 < len(items) else None
    if of > at + 1 and items[of].rule == _ENGLISH_OF and behind is not None and behind.meaning is T.GOOD:
        return None  # "2 snapshots of 5 machines" is no share
    part, whole = number, total.numbers[0]
    if part > whole and (items[of].rule[:2] in _TOTAL_FIRST or items[of].meaning is not T.OF):
        part, whole = whole, part
    unit = "" if items[at].numbers else _WORDED
    text = f"{part:g} of {whole:g}"
    counts = Item(TokenKind.COUNTS, text, None, "", (part, whole), unit, items[at].start, total.spaced)
    return counts, [*items[at + 1 : of], *(one for one in items[of + 1 : there] if one.meaning in STRONG)], there + 1


def _may_stand_before_total(items: Sequence[Item], of: int, at: int) -> bool:
    item = items[at]
    if item.kind is TokenKind.CJK:
        return items[of].rule[:2] in _TOTAL_FIRST  # 8 台工作站中备份了 3 台
    return item.kind is TokenKind.WORD and item.meaning in (None, T.ALL)


def _of_position(items: Sequence[Item], at: int) -> int | None:
    """Return where the `of` behind a number stands; a counter or a noun may be between (7 個 中 3 個, "2 cartelle su 30")."""
    for there in range(at + 1, min(at + 4, len(items) - 1)):
        item = items[there]
        if item.meaning is T.OF or _is_turkish_share(items, there):
            return there
        if item.kind is TokenKind.CJK and item.meaning not in STRONG:
            continue
        if item.kind is not TokenKind.WORD or item.meaning not in (None, T.GOOD, T.SUCCEEDED):
            return None
    return None


def _is_turkish_share(items: Sequence[Item], at: int) -> bool:
    """Return whether a noun and the number behind it are a share: 5 yedekten 2'si, 5 yedeğin 2'si, 5 yedekten 2 tanesi."""
    if items[at].text.endswith(_TURKISH_FROM) and at + 2 < len(items) and items[at + 2].text.startswith("tane"):
        return True
    return items[at].text.endswith((*_TURKISH_FROM, "in", "un")) and "'" in items[at + 1].text.replace("’", "'")


_TURKISH_IN = ("'te", "'ta", "'de", "'da")  # 4'te 3: three in four
_TURKISH_FROM = ("den", "dan", "ten", "tan")


def _is_number_in_brackets(items: Sequence[Item], at: int) -> bool:
    return (
        at + 2 < len(items) and items[at + 1].kind in (TokenKind.NUMBER, TokenKind.COUNTS) and items[at + 2].text == ")"
    )


def _number_at(items: Sequence[Item], at: int) -> float | None:
    item = items[at]
    if item.kind is TokenKind.NUMBER:
        return item.numbers[0]
    return (
        0
        if item.meaning in (T.NONE, T.NOT, T.NOT_BOTH) and at + 1 < len(items) and items[at + 1].meaning is T.OF
        else None
    )


def attach_counts(items: Sequence[Item]) -> dict[int, Count]:
    """Return the count of each term that has one, by the term's position."""
    if not any(item.kind in _NUMBERS or item.meaning in _ZERO for item in items):
        return {}
    counts = _listed_counts(items)
    numbers_first = _numbers_first(items)
    taken: set[int] = set()
    # A noun of what is made leaves its number to a verdict: in "0 files failed" the verdict is counted.
    for meanings in (STRONG, _NOUNS):
        for at, item in enumerate(items):
            if item.meaning not in meanings or at in counts:
                continue
            place = _place(items, at, taken, numbers_first=numbers_first)
            if place is not None:
                taken.add(place)
                counts[at] = _count(items, place)
    return counts


def _place(items: Sequence[Item], at: int, taken: Collection[int], *, numbers_first: bool) -> int | None:
    before, after = _before(items, at), _after(items, at)
    if after in taken:
        after = None
    if before in taken:
        before = None
    valued = after is not None and any(one.text in _VALUE for one in items[at + 1 : after])
    return before if before is not None and (after is None or (numbers_first and not valued)) else after


def _numbers_first(items: Sequence[Item]) -> bool:
    """Return whether numbers stand before what they count: the first does, or stands before trouble as in "done: 0 errors 0 warnings"."""
    first = next((at for at, item in enumerate(items) if item.kind is TokenKind.NUMBER), None)
    if first is not None and first + 1 < len(items) and items[first + 1].meaning in _COUNTED_FIRST:
        return items[-1].kind is not TokenKind.NUMBER or items[-2].meaning is T.OF  # "0 failed of 9"
    for item in items:
        if item.kind in (TokenKind.NUMBER, TokenKind.COUNTS):
            return True
        if item.meaning in STRONG:
            return False
    return False


def _before(items: Sequence[Item], at: int) -> int | None:
    denied = False
    for there in range(at - 1, max(-1, at - 2 - _REACH), -1):
        item = items[there]
        if item.meaning in (T.NOT, T.NONE) and item.kind is not TokenKind.COUNTS:
            denied = True  # "none of 7 did not fail" counts, "7 did not fail" does not
            continue
        if _is_count(items, there):
            if any(one.meaning is T.EXIT_CODE for one in items[max(0, there - 2) : there]):
                return None  # a process's code
            if denied and item.unit != _WORDED:
                return None
            return None if item.numbers[0] == 0 and _counts_nothing(items, there, at) else there
        if item.text == "%":
            continue
        if item.meaning in STRONG or item.meaning is T.EXIT_CODE or item.kind is TokenKind.MARK:
            return None
    return None


def _counts_nothing(items: Sequence[Item], place: int, at: int) -> bool:
    """Return whether a zero before a verdict is a number or a time: "drive 0 failed", "the run at 0 o'clock failed"."""
    if items[at].meaning not in (T.FAILED, T.STOPPED, T.CANCELLED) or items[place].kind is TokenKind.COUNTS:
        return False
    between = items[place + 1 : at]
    if any(one.meaning not in _WITH_NUMBER and one.text != "%" and one.kind is not TokenKind.CJK for one in between):
        return True
    before = items[place - 1] if place else None
    if before is not None and before.text == ".":
        return True
    is_noun = before is not None and before.meaning in (None, T.GOOD) and not before.common
    return is_noun and before is not None and before.kind in (TokenKind.WORD, TokenKind.NAME)


def _after(items: Sequence[Item], at: int) -> int | None:
    value = False
    for there in range(at + 1, min(len(items), at + 2 + _REACH)):
        item = items[there]
        if _is_count(items, there):
            return there if _counts_backward(items, at, there, value=value) else None
        if item.text in _VALUE:
            value = True
        elif (
            item.meaning is T.NONE
            and items[at].meaning in (T.TROUBLE, T.FAILED, T.WARNED)
            and _ends_value(items, there)
        ):
            return there  # "error count zero"
        elif value:
            return there if item.meaning in _ZERO and _ends_value(items, there) else None
        elif item.meaning in STRONG or item.meaning is T.EXIT_CODE or item.kind is TokenKind.MARK:
            return None
    return None


def _counts_backward(items: Sequence[Item], at: int, place: int, *, value: bool) -> bool:
    """Return whether a number counts a term before it: not in "Files: 0 new", "successfully: 0 errors", "went to node 2"."""
    behind = items[place + 1] if place + 1 < len(items) else None
    if behind is not None and items[at].meaning is T.GOOD and behind.kind is TokenKind.WORD:
        return False
    if behind is not None and behind.meaning in _COUNTED_FIRST and items[at].meaning not in _COUNTED_FIRST:
        return _labels_first(items, place)
    last = behind is None or behind.kind is not TokenKind.WORD or items[place].kind is TokenKind.COUNTS
    before = items[place - 1]
    named = before.kind is TokenKind.WORD and before.meaning is None and not before.common
    return value or place == at + 1 or (last and not named)


def _labels_first(items: Sequence[Item], place: int) -> bool:
    """Return whether each number stands behind what it counts: "Success 0 Warning 0 Error 0", but not "done: 0 errors 0 warnings"."""
    two = items[place + 2] if place + 2 < len(items) else None
    return two is not None and (two.text in _VALUE or (two.kind in _NUMBERS and items[-1].kind in _NUMBERS))


def _ends_value(items: Sequence[Item], at: int) -> bool:
    """Return whether a word is a whole value: "Errors: none" is a count, "check of the copy: without errors" is not."""
    return at + 1 == len(items) or items[at + 1].kind is TokenKind.MARK or items[at + 1].text in _VALUE


def _is_count(items: Sequence[Item], at: int) -> bool:
    item = items[at]
    if item.kind not in _NUMBERS or item.unit in _TIME_UNITS or is_exit_code_before(items, at):
        return False
    if at and items[at - 1].meaning is T.EXIT_CODE:
        return False
    behind = items[at + 1].text if at + 1 < len(items) else ""
    return behind not in _TIME_WORDS and not behind.startswith(_TIME_SIGNS)


def is_exit_code_before(items: Sequence[Item], at: int) -> bool:
    """Return whether a number is a process's code with its noun or verb behind it: 2 koduyla çıktı, 2 を返しました."""
    behind = items[at + 1] if at + 1 < len(items) else None
    return (
        items[at].kind is TokenKind.NUMBER
        and behind is not None
        and behind.meaning is T.EXIT_CODE
        and behind.rule[:2] in _TOTAL_FIRST
        and (at + 2 == len(items) or items[at + 2].kind is not TokenKind.NUMBER)
    )


def _count(items: Sequence[Item], place: int) -> Count:
    item = items[place]
    if not item.numbers:
        return Count(0, None, item.text, place=place)
    percent = "%" in (items[place + 1].text if place + 1 < len(items) else "", items[place - 1].text if place else "")
    if item.kind is TokenKind.NUMBER:
        return Count(item.numbers[0], None, f"{item.text} %" if percent else item.text, percent=percent, place=place)
    before = items[place - 1] if place else None
    behind = items[place + 1] if place + 1 < len(items) else None
    counts_a_noun = behind is not None and behind.meaning is T.GOOD
    # "tape 1 of 3" is one tape, "only 2 of 30 folders" are two folders.
    unknown_noun = behind is not None and behind.kind is TokenKind.WORD and behind.meaning is None
    nouns: set[T | None] = {None, T.RUNNING, T.GOOD}
    if unknown_noun:
        nouns.discard(None)
    if item.numbers[0] == 0:
        nouns.discard(T.GOOD)
    ordinal = before is not None and before.kind is TokenKind.WORD and before.meaning in nouns
    return Count(
        item.numbers[0],
        item.numbers[1],
        item.text,
        ordinal=ordinal and not counts_a_noun,
        worded=item.unit == _WORDED,
        place=place,
    )


def _listed_counts(items: Sequence[Item]) -> dict[int, Count]:
    """Return the counts of `ok/warn/crit = 20/0/0`: as many numbers as terms, in the same order."""
    counts: dict[int, Count] = {}
    for at, item in enumerate(items):
        if item.kind is not TokenKind.COUNTS or len(item.numbers) < 2:  # noqa: PLR2004  (one number is no list)
            continue
        labels: list[int] = []
        there = at - 1
        while there >= 0 and (
            items[there].text in _VALUE or items[there].text == "/" or items[there].kind is TokenKind.WORD
        ):
            if items[there].kind is TokenKind.WORD:
                labels.insert(0, there)
                if there == 0 or items[there - 1].text != "/":
                    break
            there -= 1
        if len(labels) == len(item.numbers):
            for label, number in zip(labels, item.numbers, strict=True):
                counts[label] = Count(number, None, item.text)
    return counts


def total_counts(items: Sequence[Item], counts: Mapping[int, Count]) -> tuple[float, float] | None:
    """Return how many were expected and how many there are, where a clause states both: `12 snapshots expected, 11 found`."""
    share = _share_of_total(items, counts)
    if share is not None:
        return share
    expected = [count for at, count in counts.items() if items[at].meaning is T.EXPECTED]
    if not expected:
        return _listed_after_total(items, counts)
    bad = {count.place for at, count in counts.items() if items[at].meaning not in (T.SUCCEEDED, T.WELL, T.ENDED)}
    numbers = [
        item.numbers[0]
        for at, item in enumerate(items)
        if item.kind is TokenKind.NUMBER and not item.unit and at not in bad
    ]
    return (expected[0].number, min(numbers)) if numbers else None


def _share_of_total(items: Sequence[Item], counts: Mapping[int, Count]) -> tuple[float, float] | None:
    """Return both numbers where the total stands first: `of 8 servers 3 were saved`, `8 servers, 3 of them saved`."""
    of = next((at for at, item in enumerate(items) if item.meaning is T.OF), None)
    if of is None:
        return None
    numbers = [at for at in range(len(items)) if _is_count(items, at) and items[at].kind is TokenKind.NUMBER]
    before, behind = [at for at in numbers if at < of], [at for at in numbers if at > of]
    is_first = of == 0 and len(behind) == 2 and behind[0] == of + 1  # noqa: PLR2004  (the total and the part)
    among = items[of].rule[:2] in _TOTAL_FIRST or " " in items[of].rule[4:]
    if not is_first and not (among and before and len(behind) == 1 and behind[0] > of):
        return None
    total, part = (behind[0], behind[1]) if is_first else (before[-1], behind[0])
    good = {count.place for at, count in counts.items() if items[at].meaning in _MADE}
    bad = {count.place for at, count in counts.items() if items[at].meaning not in _MADE}
    if items[total].unit or items[part].unit or not ({total, part} & good) or {total, part} & bad:
        return None
    if any(one.text == "%" for one in items):
        return None
    verdicts = [at for at, item in enumerate(items) if item.meaning in _DONE]
    if not is_first and (not verdicts or verdicts[0] < of):
        return None  # "8 files saved, of them 3 new"
    return items[total].numbers[0], items[part].numbers[0]


_DONE = frozenset((T.SUCCEEDED, T.WELL, T.ENDED))
_MADE = _DONE | {T.GOOD}


def _listed_after_total(items: Sequence[Item], counts: Mapping[int, Count]) -> tuple[float, float] | None:
    """Return both numbers of `4 jobs: 3 ok`."""
    for at, count in counts.items():
        if items[at].meaning is T.GOOD and at + 1 < len(items) and items[at + 1].text == ":" and count.place < at:
            made = [
                one.number
                for there, one in counts.items()
                if there > at and items[there].meaning in (T.SUCCEEDED, T.WELL)
            ]
            return (count.number, made[0]) if made else None
    return None
