"""Fold text so that spellings of one word compare equal: case, diacritics, ligatures and width do not count."""

import re
import unicodedata

_MARKS = re.compile("[\u0300-\u036f\ufe0e\ufe0f\u200b-\u200f\u2060\ufeff\u00ad]")
_LETTERS = str.maketrans(
    {"ł": "l", "ı": "i", "ø": "o", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "’": "'", "ʼ": "'", "`": "'"}
)
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})


def fold(text: str) -> str:
    """Return the text in lower case without diacritics: `Größe` and `GROSSE` become `grosse`, `ＯＫ` becomes `ok`."""
    if text.isascii():
        return text.lower()
    plain = _MARKS.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return unicodedata.normalize("NFC", plain).translate(_LETTERS)


def fold_typed(text: str) -> str:
    """Return the folded text as people write it who have no umlauts on their keyboard: `ü` becomes `ue`."""
    return fold(unicodedata.normalize("NFC", text.casefold()).translate(_UMLAUTS))
