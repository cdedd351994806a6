"""The form of a text: what stays the same each time a tool sends it. Numbers, dates, times, ids and sizes are replaced by `*`. Pure.

Two texts of one form say the same with other numbers, so an answer to one of them applies to the other. A number that tells the
result stays: "0 errors" and "3 errors", "5 of 5" and "3 of 5", "100 %" and "97 %", exit code 0 and 2 are different forms. Of a long text, the
beginning and the end count, because the result is often in the last line.
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

SUBJECT_MOST, BODY_MOST = 480, 1900  # characters of a form
STARS_MOST = 45  # of the subject, and of the body; the rest of the text is one more star
_READ_MOST = 4  # how many characters of the text are read for each character of the form
BODY_ENDS_READ = BODY_MOST * _READ_MOST // 2  # characters at each end of a long body that its form depends on
# Whole names only: of "3 marked as bad", nothing is a month. English, German, French, Spanish, Italian, Dutch, Portuguese.
_MONTH = (
    "(?:jan(?:uary|uar|vier|uari|eiro)?|enero|gennaio|feb(?:ruary|ruar|rero|braio|ruari)?|f[eé]v(?:rier|ereiro)?"
    "|mar(?:ch|s|zo|ço)?|m[aä]rz|maart|mrt|apr(?:il|ile)?|avr(?:il)?|abr(?:il)?|ma[iy]|mei|mayo|maggio|maio"
    "|june?|juni|juin|junio|giugno|junho|jul(?:y|i|io|ho)?|juillet|luglio|aug(?:ust|ustus)?|août|agosto"
    "|sep(?:t|tember|tembre|tiembre)?|settembre|setembro|o[ck]t(?:ober|obre|ubre)?|ottobre|outubro"
    "|nov(?:ember|embre|iembre|embro)?|de[cz](?:ember|embre|embro)?|d[eé]cembre|diciembre|dicembre)"
)
# Polish, Czech, Swedish, Russian and Turkish.
_OTHER_MONTH = (
    "(?:stycznia|lutego|marca|kwietnia|maja|czerwca|lipca|sierpnia|września|października|listopada|grudnia"
    "|ledna|února|března|dubna|května|června|července|srpna|září|října|listopadu|prosince|januari|maj|augusti"
    "|января|февраля|марта|апреля|мая|июня|июля|августа|сентября|октября|ноября|декабря"
    "|ocak|şubat|mart|nisan|mayıs|haziran|temmuz|ağustos|eylül|ekim|kasım|aralık)"  # noqa: RUF001  (Turkish)
)
# Whole names, which are no other words of these languages.
_WHOLE_WEEKDAY = (
    "(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|(?:mon|diens|donners|frei|sams|sonn)tag|mittwoch|sonnabend"
    "|lundi|mardi|mercredi|jeudi|vendredi|samedi|dimanche|lunes|martes|miércoles|jueves|viernes|sábado|domingo"
    "|lunedì|martedì|mercoledì|giovedì|venerdì|sabato|domenica|(?:maan|dins|woens|donder|vrij|zater|zon)dag"
    "|(?:segunda|terça|quarta|quinta|sexta)-feira|(?:mån|tis|ons|tors|fre|lör|sön)dag"
    "|poniedziałek|wtorek|czwartek|piątek|sobota|niedziela|pondělí|úterý|čtvrtek|pátek|neděle"
    "|понедельник|вторник|четверг|пятница|суббота|воскресенье|pazartesi|salı|çarşamba|perşembe|cuma|cumartesi)"  # noqa: RUF001  (Turkish)
)
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # no spaces stand between words and numbers
_BEGIN = rf"(?:\b|(?<=[{_CJK}]))"
_CLOCK = r"(?:[t_ ]?\d{1,2}[:.]\d{2}(?:[:.]\d{2})?(?:[.,]\d{1,9})?)"
_CODE = (
    "(?:(?:exit|return|error|fehler|status|result|rück)?[- ]?code|exit|return|status|state|rc|result|errno|level|rückgabe(?:wert|code)"
    "|retour|statut|código|estado|codice|stato|kod|kód|stav|код|статус|durum)"
)
_CJK_CODE = "コード|ステータス|終了|退出码|返回码|错误码|代码|状态"
_WEEKDAY = "(?:mon|tue|wed|thu|fri|sat|sun)(?:day|sday|nesday|rsday|urday)?|(?:mo|di|mi|do|fr|sa|so)\\."
_UNIT = (
    "(?:[kmgtp]i?b|bytes?|b|%|ms|s|sec|secs|seconds?|m|min|mins|minutes?|h|hrs?|hours?|d|days?"
    "|sek|sekunden?|std|stunden?|tage?n?)"
)
_OF = r"/|of|out of|von|aus|sur|de|di|su|van|z|ze|av|из|個中|个中|件中|中"
_CHANGING = re.compile(
    "|".join(
        (
            r"\d{1,4} ?[年月日号號時时点點分秒]",
            "[月火水木金土日]曜日?|(?<=[(\uff08])[月火水木金土日](?=[)\uff09])|(?:星期|周)[一二三四五六日天]",
            rf"\b{_WHOLE_WEEKDAY}\b,?",
            rf"\b\d{{1,2}}\.? {_OTHER_MONTH}\b(?: \d{{4}}\b)?",  # 26 listopada 2026
            r"\b\d{1,2} ?[ap]\.?m\b|\b(?:kw|wk|w)\d{1,2}\b",  # 2 am, W48
            r"\b\d{1,6}(?:d|h|m|min)(?:\d{1,6}(?:h|m|min|s|ms)){1,4}\b",  # 1h2m3s
            rf"(?:(?:{_WEEKDAY}),? )?\b\d{{1,2}}(?:st|nd|rd|th|\.)? {_MONTH}\b\.?,?(?: \d{{4}}\b)?",  # 26 November 2026
            rf"(?:(?:{_WEEKDAY}),? )?\b{_MONTH} \d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}}\b)?",  # Nov 26, 2026
            rf"{_BEGIN}\d{{1,4}}[-/.]\d{{1,2}}[-/.]\d{{1,4}}{_CLOCK}?(?:z\b|[+-]\d{{2}}:?\d{{2}}\b)?",
            # A count of a whole, "3 of 5": a part and all are different answers.
            rf"{_BEGIN}(?P<part>\d{{1,12}}) ?(?:{_OF}) ?(?P<whole>\d{{1,12}})(?![\d.,:])",
            # What a number names rather than counts: "exit code 2" and "exit code 3" are different answers.
            rf"(?P<named>(?:\b{_CODE}(?: ?[=:#] ?| )|(?:{_CJK_CODE}) ?[=:\uff1a#]? ?)\d{{1,6}}(?!\d))",
            rf"(?P<all>{_BEGIN}100(?:[.,]0{{1,3}})? ?%)",
            r"\b\d{1,3}:\d{2}(?::\d{2})?(?:[.,]\d{1,9})?(?: ?[ap]\.?m\b)?",  # 02:10:33
            r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b",  # a UUID
            r"\b(?=[a-z]{0,40}\d)(?=\d{0,40}[a-z])[0-9a-f]{7,64}\b",  # a hash: digits and letters a to f
            rf"{_BEGIN}\d{{1,20}}(?:[.,'\u00a0\u202f ]\d{{3}}\b){{0,6}}(?:[.,]\d{{1,20}})?(?: ?{_UNIT}(?![^\W_]))?",
            r"\d{3,20}",  # within a word: backup20261126, job_4711
        )
    ),
    re.IGNORECASE,
)
_STARS = re.compile(r"\*(?:[ :,.+/-]{0,3}\*)+")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class TextForm:
    """The form of a subject and of the beginning of a body, each on one line. Both are globs that their own text matches."""

    subject: str
    body: str = ""

    @property
    def key(self) -> str:
        """Return a short key that is equal for texts of one form, whatever their case."""
        return hashlib.sha256(f"{self.subject}\n{self.body}".casefold().encode("utf-8", "surrogatepass")).hexdigest()[
            :32
        ]


def form_of(subject: str, body: str = "") -> TextForm:
    """Return the form of a text. Only the beginning and the end of a long one count: what is between them is one star."""
    return TextForm(_form(*_ends(subject, SUBJECT_MOST), SUBJECT_MOST), _form(*_ends(body, BODY_MOST), BODY_MOST))


def _ends(text: str, most: int) -> tuple[str, str]:
    """Return what is read of a text: all of it and nothing, or its beginning and its end. One character more shows that it was longer."""
    half = most * _READ_MOST // 2
    return (text, "") if len(text) <= 2 * half else (text[:half], text[-half:])


@lru_cache(256)  # each taught rule asks for the form of the same text, and each decision for those that wait
def _form(beginning: str, end: str, most: int) -> str:
    form = _starred(beginning)
    if not end and len(form) <= most and form.count("*") <= STARS_MOST:
        return form
    # What is cut, is cut from the form: a text's length may change each time.
    half, stars = most // 2 - 1, STARS_MOST // 2
    head = "*".join(form.split("*")[:stars])[:half]
    tail = "*".join((_starred(end) if end else form).split("*")[-stars:])[-half:]
    return f"{head.rstrip('*')}*{tail.lstrip('*')}"


def _starred(text: str) -> str:
    return _STARS.sub("*", _CHANGING.sub(_star, _SPACES.sub(" ", text).strip()))


def _star(found: re.Match[str]) -> str:
    """Return `*`, or the text itself where its number is an answer: zero, a part of a whole, a whole, or an exit code."""
    text = found[0]
    if found["part"] is not None:
        is_all = int(found["part"]) == int(found["whole"]) != 0
        return f"*{text[len(found['part']) : len(text) - len(found['whole'])]}*" if is_all else text
    if found["named"] is not None or found["all"] is not None:
        return text
    digits = [digit for digit in text if digit.isdecimal()]
    return "*" if not digits or any(digit != "0" for digit in digits) or ":" in text else text
