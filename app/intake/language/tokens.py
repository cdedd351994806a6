"""Cut a line of text into tokens. Whatever looks like a name (a path, an address, a quoted text, a host, a file) is no word."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from app.intake.language.fold import fold

NAME_SIGN = "\ufffc"  # stands for a known name that was taken out
MAX_TOKENS = 400  # in a line; what follows them is not read
_QUOTES = (
    r"\"[^\"\n]{1,200}\"|“[^“”\n]{1,200}”|„[^“”„\n]{1,200}[“”]|«[^«»\n]{1,200}»|»[^«»\n]{1,200}«"
    r"|「[^「」\n]{1,200}」|『[^『』\n]{1,200}』|《[^《》\n]{1,200}》|`[^`\n]{1,200}`"
    r"|(?<!\w)'[^'\n]{1,120}'(?!\w)|‘[^‘’\n]{1,120}’(?!\w)|‚[^‘’‚\n]{1,120}[‘’]"
)
# `!=` and a glued `!` deny a word of success. Before a word of trouble they do not count: `!ERROR` draws attention to it.
_SUCCESS_VALUE = "(?i:ok|okay|true|done|complete|completed|success|successful|succeeded)"
CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff66-\uff9f々〆ー"
# Every repetition is bounded, and no two that follow one another match the same character: the time grows with the length only.
_TOKEN = re.compile(
    # Most tokens are words and numbers that nothing is joined to: they are tried first, as the rest takes longer.
    rf"(?P<plain>[^\W\d_{CJK}]{{2,100}}(?![-./\\+@'’_:]{{0,2}}[\w/\\]))|(?P<digits>\d{{1,15}}(?=[\s,;)\]]|$))"
    rf"|(?P<quoted>{_QUOTES})"
    rf"|(?P<name>{NAME_SIGN}{{1,500}}|https?://\S{{1,1000}}|<?[\w.+-]{{1,64}}@[\w.-]{{1,200}}>?(?::[^\s]{{1,200}})?"
    r"|(?<![\w)])(?:[A-Za-z]:)?[\\/]{1,2}[^\s\\/\"'<>|,;()\[\]=][^\s\"'<>|,;()]{0,1000}|\b[A-Za-z]:\\?(?=[\s,;)]|$))"
    rf"|(?P<time>(?<![^\W{CJK}])(?:\d{{4}}-\d\d?-\d\d?(?:[T_ -]\d\d?[:.h-]\d\d(?:[:.-]\d\d)?(?:[.,]\d{{1,9}})?)?(?:Z|[+-]\d\d:?\d\d)?"
    rf"|\d{{1,4}}[/.]\d{{1,2}}[/.]\d{{2,4}}|\d\d?:\d\d(?::\d\d)?(?:[.,]\d{{1,9}})?(?:\s?[ap]m)?)(?![^\W{CJK}]))"
    rf"|(?P<unequal>(?:(?:!=|<>|≠|=/=)\s{{0,2}}|(?<![\w!?])!)(?=[\"']?(?:{_SUCCESS_VALUE})(?!\w)))"
    r"|(?P<mark>[\[(<][A-Za-z!?+xX✓✔✗✘✖√×*-]{1,2}[\])>]|\$\?)"
    rf"|(?P<cjk>[{CJK}]{{1,200}})"
    rf"|(?P<compound>[^\W{CJK}]{{1,100}}(?:[-_./\\+@][^\W{CJK}]{{1,100}}){{1,30}})"
    rf"|(?P<word>[^\W\d_{CJK}]{{1,100}}(?:['’][^\W\d_{CJK}]{{1,50}}){{0,2}})(?![^\W{CJK}])"
    rf"|(?P<number>\d{{1,30}}(?:[.,]\d{{1,30}}){{0,8}}(?:['’][^\W\d_]{{1,5}})?)(?![^\W{CJK}])"
    rf"|(?P<mixed>[^\W{CJK}]{{1,200}})"
    r"|(?P<dots>…|\.{2,20})"
    r"|(?P<other>\S)"
)
_CAMEL = re.compile(r"[A-Z]?[a-z]{1,40}|[A-Z]{2,40}(?![a-z])")
_AMOUNT = re.compile(r"(\d{1,30}(?:[.,]\d{1,30}){0,4})([A-Za-z]{1,5})$")
_UNITS = frozenset(
    [
        "b",
        "kb",
        "mb",
        "gb",
        "tb",
        "pb",
        "kib",
        "mib",
        "gib",
        "tib",
        "pib",
        "k",
        "m",
        "g",
        "t",
        "s",
        "sec",
        "min",
        "h",
        "hr",
        "hrs",
        "d",
        "ms",
        "x",
        "bytes",
        "byte",
        "st",
        "nd",
        "rd",
        "th",
    ]
)


class TokenKind(StrEnum):
    """What a token is."""

    WORD = "word"
    NUMBER = "number"
    COUNTS = "counts"  # n/m or n/m/k
    NAME = "name"
    TIME = "time"
    MARK = "mark"  # punctuation, and signs that may have a meaning
    CJK = "cjk"  # a run of characters without word boundaries
    DOTS = "dots"


@dataclass(slots=True)
class Token:
    """A token with its folded text. `numbers` holds the value of a number, or the parts of counts; `unit` what follows it.

    `plain` if nothing but the case was folded, `capital` if it begins with a capital letter, `start` is where it stands in its line, `spaced` whether a space follows it.
    """

    kind: TokenKind
    text: str
    numbers: tuple[float, ...] = ()
    unit: str = ""
    start: int = 0
    spaced: bool = True
    plain: bool = True
    capital: bool = False


_PLURALS = frozenset(("(s)", "(es)", "(n)", "(en)"))
_SPACES = frozenset(("", " ", "\t", "\u3000", "\xa0"))
IsTerm = Callable[[str], bool]


def tokenise(line: str, is_term: IsTerm) -> list[Token]:
    """Return the tokens of a line. `is_term` tells words of the lexicon: `trouble-free` is one, `failover-db` is a name."""
    return list(_tokens(line, is_term))[:MAX_TOKENS]


def _tokens(line: str, is_term: IsTerm) -> Iterator[Token]:
    for count, found in enumerate(_TOKEN.finditer(line)):
        if count > MAX_TOKENS:
            return
        start, end = found.span()
        spaced = line[end : end + 1] in _SPACES
        if found.lastgroup == "mark" and found[0].lower() in _PLURALS and line[start - 1 : start].isalpha():
            continue  # "0 file(s) failed" is "0 files failed"
        if found.lastgroup == "plain":
            text = found[0]
            folded = fold(text)
            if text.islower() or text.isupper() or is_term(folded):
                yield Token(
                    TokenKind.WORD,
                    folded,
                    (),
                    "",
                    start,
                    spaced,
                    plain=folded == text.casefold(),
                    capital=text[0].isupper(),
                )
                continue
        elif found.lastgroup == "digits":
            yield Token(TokenKind.NUMBER, found[0], (float(found[0]),), "", start, spaced)
            continue
        for token in _read_token(line, found, is_term):
            token.start, token.spaced = start, spaced
            yield token


def _read_token(line: str, found: re.Match[str], is_term: IsTerm) -> Iterable[Token]:  # noqa: PLR0911  (one a kind)
    text = found[0]
    match found.lastgroup:
        case "word" | "plain":
            return _word(text, is_term)
        case "compound":
            return _compound(text, line[found.end() : found.end() + 3], is_term)
        case "quoted":
            return _quoted(line, found, is_term)
        case "number":
            return (Token(TokenKind.NUMBER, text, (to_number(re.split("['’]", text)[0]),)),)
        case "mixed":
            return _mixed(text)
        case "unequal":
            return (Token(TokenKind.MARK, "¬"),)
        case "dots":
            cut = found.end() >= len(line.rstrip()) and line[: found.start()][-1:].isalpha()
            return (Token(TokenKind.DOTS, "cut" if cut else "..."),)
        case "name" | "time" as kind:
            return (Token(TokenKind(kind), text),)
        case kind:
            return (Token(TokenKind.CJK if kind == "cjk" else TokenKind.MARK, fold(text) or text),)


def _word(text: str, is_term: IsTerm) -> Iterator[Token]:
    folded = fold(text)
    if not is_term(folded):
        parts = _CAMEL.findall(text) if not text.islower() and not text.isupper() and text.isascii() else ()
        if len(parts) > 1 and "".join(parts) == text and all(is_term(part.lower()) for part in parts):
            yield from (Token(TokenKind.WORD, part.lower()) for part in parts)
            return
        if "'" in folded:
            yield from (Token(TokenKind.WORD, part) for part in folded.split("'") if part)
            return
    yield Token(TokenKind.WORD, folded, plain=folded == text.casefold(), capital=text[0].isupper())


def _compound(text: str, behind: str, is_term: IsTerm) -> Iterator[Token]:
    folded = fold(text)
    amount = _AMOUNT.match(text)
    if is_term(folded):
        yield Token(TokenKind.WORD, folded)
    elif amount is not None and amount[2].lower() in _UNITS:
        yield Token(TokenKind.NUMBER, text, (to_number(amount[1]),), amount[2].lower())
    elif re.fullmatch(r"\d{1,30}[.,]\d{1,30}", text):
        yield Token(TokenKind.NUMBER, text, (to_number(text),))
    elif text[0].isdecimal() and "/" in text and len(text) < 40:  # noqa: PLR2004  (longer than any count)
        parts = text.split("/")
        numbers = tuple(float(part) for part in parts if part.isdecimal())
        if len(numbers) == len(parts):
            yield Token(TokenKind.COUNTS, text, numbers)
        elif len(parts) == 2 and numbers and parts[1].isupper():  # noqa: PLR2004  (systemd's 203/EXEC)
            yield Token(TokenKind.NUMBER, text, numbers[:1])
        else:
            yield Token(TokenKind.NAME, text)
    else:
        yield from _joined_words(text, folded, behind, is_term)


def _joined_words(text: str, folded: str, behind: str, is_term: IsTerm) -> Iterator[Token]:
    separators = {char for char in folded if not char.isalnum()}
    parts = re.split(r"[-_/]", folded)
    is_key = behind.lstrip(" \"'")[:1] in {":", "="}
    if (separators == {"/"} or (separators == {"_"} and is_key)) and all(map(is_term, parts)):
        for number, part in enumerate(parts):
            if number and separators == {"/"}:
                yield Token(TokenKind.MARK, "/")
            yield Token(TokenKind.WORD, part)
        return
    yield Token(TokenKind.NAME, text)


def _quoted(line: str, found: re.Match[str], is_term: IsTerm) -> Iterator[Token]:
    """Yield the words of a quoted text that is a key or a value, as in JSON; any other quoted text is a name."""
    before, behind = (
        line[max(0, found.start() - 2) : found.start()].rstrip(),
        line[found.end() : found.end() + 2].lstrip(),
    )
    if behind[:1] in {":", "="} or before[-1:] in {":", "="}:
        inner = found[0][1:-1]
        if found[0][0] not in "\"'`":
            inner = inner.strip()
        for token in _tokens(inner, is_term) if len(inner) < len(found[0]) else ():
            if token.kind is TokenKind.NAME and "_" in token.text and all(map(is_term, fold(token.text).split("_"))):
                yield from (Token(TokenKind.WORD, part) for part in fold(token.text).split("_"))
            else:
                yield token
    else:
        yield Token(TokenKind.NAME, found[0])


def _mixed(text: str) -> Iterator[Token]:
    # Windows and VSS write their codes in hexadecimal: `result code 0x80042306`.
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,16}", text):
        yield Token(TokenKind.NUMBER, text, (float(int(text, 16)),))
        return
    amount = _AMOUNT.match(text)
    if amount is not None and amount[2].lower() in _UNITS:
        yield Token(TokenKind.NUMBER, text, (to_number(amount[1]),), amount[2].lower())
    else:
        yield Token(TokenKind.NAME, text)


def to_number(text: str) -> float:
    """Return the value of digits with points and commas: `1,234` and `1.234` are thousands, `1,5` and `0.00` are not."""
    if re.fullmatch(r"\d{1,3}(?:[.,]\d{3}){1,8}", text) and not text.startswith("0"):
        return float(re.sub(r"[.,]", "", text))
    whole, _, rest = text.replace(",", ".").partition(".")
    return float(f"{whole}.{rest.replace('.', '') or 0}")
