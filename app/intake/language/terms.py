"""Choose which terms of which languages count in a text: its own language first, then English, then the others.

A frequent word of the text's language never decides by its meaning in another language (German "die" is not English "die").
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from app.intake.language.lexicon import MARKS, Entry, Match, completions, entries_at, match_at, run_on_matches
from app.intake.language.tokens import Token, TokenKind
from app.intake.language.typos import find_denied_typo, find_typo
from app.intake.language.words_file import TermMeaning

_KANA = re.compile("[\u3040-\u30ff]")
_SHORT = 3
_ENGLISH = "en"


@dataclass(slots=True)
class Item:
    """A token in its line, or a term made of several. `meaning` is None for a word that no term is made of."""

    kind: TokenKind
    text: str
    meaning: TermMeaning | None
    rule: str
    numbers: tuple[float, ...]
    unit: str
    start: int
    spaced: bool
    common: bool = False
    thing: bool = False  # a noun that is counted, and says nothing of what the text is about: files, disks
    capital: bool = False
    guessed: bool = False


@dataclass(slots=True)
class _Candidates:
    tokens: list[Token]
    matches: list[list[Match]]  # by the position of their first token


def choose_terms(lines: Sequence[Sequence[Token]], *, with_typos: bool) -> list[list[Item]]:
    """Return the items of each line. `with_typos` also finds terms with one typing error, which costs time for each unknown word."""
    japanese = any(token.kind is TokenKind.CJK and _KANA.search(token.text) for tokens in lines for token in tokens)
    found = [_candidates(tokens, ("ja",) if japanese else ("zh", "ja"), with_typos=with_typos) for tokens in lines]
    scores = _score_languages(found)
    ranking = sorted(scores, key=lambda language: -scores[language])
    own = ranking[0] if ranking else _ENGLISH
    return [_choose(one, own, scores) for one in found]


def _candidates(tokens: Sequence[Token], run_on: tuple[str, ...], *, with_typos: bool) -> _Candidates:
    split: list[Token] = []
    given: dict[int, Match] = {}
    for token in tokens:
        if token.kind is not TokenKind.CJK:
            split.append(token)
            continue
        at = 0
        for start, end, entry in run_on_matches(token.text, run_on):
            if start > at:
                split.append(_part(token, at, start))
            given[len(split)] = Match(entry, (len(split),), len(split) + 1)
            split.append(_part(token, start, end))
            at = end
        if at < len(token.text):
            split.append(_part(token, at, len(token.text)))
    texts = {token.text for token in split}
    matches = [
        [given[at]] if at in given else _matches(split, at, texts, with_typos=with_typos) for at in range(len(split))
    ]
    return _Candidates(split, matches)


def _part(token: Token, start: int, end: int) -> Token:
    return Token(
        TokenKind.CJK, token.text[start:end], start=token.start + start, spaced=token.spaced and end == len(token.text)
    )


def _matches(tokens: Sequence[Token], at: int, texts: set[str], *, with_typos: bool) -> list[Match]:
    token = tokens[at]
    if token.kind not in _READABLE:
        return []
    found = match_at(tokens, at, texts)
    if not found and with_typos and token.kind is TokenKind.WORD:
        found = [Match(entry, (at,), at + 1, guessed=True) for entry in find_typo(token.text)]
    if (
        not found
        and with_typos
        and at
        and any(entry.meaning is TermMeaning.NOT for entry in entries_at(tokens[at - 1].text))
    ):
        found = [Match(entry, (at,), at + 1, guessed=True) for entry in find_denied_typo(token.text)]
    if not found and at + 1 < len(tokens) and tokens[at + 1].text == "cut":
        found = [Match(entry, (at,), at + 1, guessed=True) for entry in completions(token.text)]
    return found


_READABLE = frozenset((TokenKind.WORD, TokenKind.MARK, TokenKind.DOTS))


def _score_languages(found: Sequence[_Candidates]) -> Mapping[str, float]:
    scores: dict[str, float] = defaultdict(float)
    for candidates in found:
        for matches in candidates.matches:
            weights: dict[str, float] = {}
            for match in matches:
                language = match.entry.language
                if language != MARKS and not match.guessed:
                    sure = 0.4 if match.entry.unmarked and candidates.tokens[match.positions[0]].plain else 1.0
                    sure *= 1.2 if match.entry.meaning is TermMeaning.COMMON else 1.0
                    weights[language] = max(weights.get(language, 0), sure * len(match.positions))
            for language, weight in weights.items():
                scores[language] += weight / len(weights)
    if _ENGLISH in scores:
        scores[_ENGLISH] += 0.5  # the language of the tools
    return scores


def _choose(candidates: _Candidates, own: str, scores: Mapping[str, float]) -> list[Item]:
    tokens, used, items = candidates.tokens, set[int](), list[Item]()
    for at, token in enumerate(tokens):
        if at in used:
            continue
        usable = [match for match in candidates.matches[at] if not used or used.isdisjoint(match.positions)]
        if not usable:
            items.append(_item(token, None))
            continue
        chosen = (
            _between_numbers(usable, tokens, at) or _as_value(usable, tokens, at) or _best(usable, token, own, scores)
        )
        if chosen is None:
            items.append(_item(token, None))
        elif chosen.entry.meaning is TermMeaning.COMMON:
            items.append(replace(_item(token, None), common=True))
        else:
            used.update(chosen.positions)
            item = _item(token, chosen.entry, spaced=tokens[chosen.end - 1].spaced)
            items.append(replace(item, guessed=True) if chosen.guessed else item)
    return items


def _between_numbers(matches: Sequence[Match], tokens: Sequence[Token], at: int) -> Match | None:
    """Return the `of` of any language between two numbers, even where the word is a common one ("0 de 3")."""
    if at == 0 or not any(match.entry.meaning is TermMeaning.OF for match in matches):
        return None
    around = [*tokens[max(0, at - 1) : at], *tokens[at + 1 : at + 2]]
    if len(around) < 2 or any(token.kind is not TokenKind.NUMBER for token in around):  # noqa: PLR2004  (one on each side)
        return None
    return next((match for match in matches if match.entry.meaning is TermMeaning.OF), None)


def _as_value(matches: Sequence[Match], tokens: Sequence[Token], at: int) -> Match | None:
    """Return the negation of any language where it is the whole value of a field: "no" in "correcta: no" is no Portuguese "in the"."""
    if at == 0 or tokens[at - 1].text not in VALUE_SIGNS:
        return None
    if at + 1 < len(tokens) and tokens[at + 1].kind is not TokenKind.MARK:
        return None
    return next((match for match in matches if match.entry.meaning is TermMeaning.NOT), None)


def _best(matches: Sequence[Match], token: Token, own: str, scores: Mapping[str, float]) -> Match | None:
    near = any(match.entry.language in (own, _ENGLISH, MARKS) for match in matches)
    usable = [match for match in matches if _counts(match, token, own, scores, near=near)]
    return max(
        usable,
        key=lambda match: (len(match.positions), match.entry.language == own, len(match.entry.term.replace("*", ""))),
        default=None,
    )


def _counts(match: Match, token: Token, own: str, scores: Mapping[str, float], *, near: bool) -> bool:
    """Return whether a term counts: one of another language only if the text's own has none here, or if it has several words."""
    language = match.entry.language
    if match.guessed and language != own:
        return False
    if language in (own, _ENGLISH, MARKS):
        return True
    if match.entry.meaning in _PROVES and scores[language] < scores[own] * _ALMOST:
        return False  # a success is not proven by a word of a language that the text is hardly in
    if match.entry.unmarked and token.plain:
        return False  # "last" in an English text is no Swedish "låst"
    if len(match.positions) > 1:
        return True
    return not near and (
        len(token.text) > _SHORT or token.kind is TokenKind.CJK or scores[language] >= scores[own] * _ALMOST
    )


VALUE_SIGNS = frozenset((":", "=", "："))
_PROVES = frozenset((TermMeaning.SUCCEEDED, TermMeaning.FIXED, TermMeaning.WELL))
_ALMOST = 0.5


def _item(token: Token, entry: Entry | None, *, spaced: bool | None = None) -> Item:
    return Item(
        token.kind,
        token.text,
        None if entry is None else TermMeaning.GOOD if entry.meaning is TermMeaning.THING else entry.meaning,
        "" if entry is None else f"{entry.language}: {entry.term}",
        token.numbers,
        token.unit,
        token.start,
        token.spaced if spaced is None else spaced,
        thing=entry is not None and entry.meaning is TermMeaning.THING,
        capital=token.capital,
    )
