"""Characters that nobody sees: names lose them, and texts show them. Pure.

With one of them, two names look the same and are not, a word is hidden from those who search for it, or the words after it are reversed.
"""

import re
import unicodedata

# Default_Ignorable_Code_Point of Unicode, the C1 controls, the separators of lines and paragraphs, and annotations.
_SETS = (
    "\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_UNSEEN = re.compile(f"[{_SETS}]")
_BLANK = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u2800]")
_SURROGATES = re.compile("[\ud800-\udfff]")

# Where such a character is part of the writing, a text keeps it: joiners in scripts whose letters join (Persian, Hindi), joiners and
# selectors of emoji, forms of ideographs, and marks of direction next to letters that are written from right to left.
_RIGHT_TO_LEFT = "\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff"
_JOINING = (
    "\u0600-\u0dff\u0f00-\u109f\u1780-\u18af\u1900-\u1cff\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefc\U00011000-\U00011fff"
)
_EMOJI = "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u2460-\u24ff\u25a0-\u27bf\u2900-\u297f\u2b00-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
_IDEOGRAPHS = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_FLAG = re.compile("[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f")
_FLAG_BASE = "\U0001f3f4"
_ALWAYS = (
    "\x7f-\x9f\u00ad\u034f\u115f\u1160\u17b4\u17b5\u200b\u2028-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_SELECTORS, _MARKS = "[\ufe00-\ufe0f]", "[\u061c\u200e\u200f]"
# It begins with a set, and looks back from there: in that form, `re` skips what is none of these at the speed of a search.
_ONE_HIDDEN = (
    f"[{_SETS}](?:(?<=[{_ALWAYS}])"
    f"|(?<=\u200c)(?<![{_JOINING}]\u200c)"
    f"|(?<=\u200d)(?:(?<![{_JOINING}{_EMOJI}\ufe0f]\u200d)|(?<=[{_EMOJI}\ufe0f]\u200d)(?![{_EMOJI}]))"
    f"|(?<={_SELECTORS})(?:(?<![{_EMOJI}{_IDEOGRAPHS}0-9#*]{_SELECTORS})|(?<=[0-9#*]{_SELECTORS})(?!\u20e3))"
    f"|(?<=[\U000e0100-\U000e01ef])(?<![{_IDEOGRAPHS}][\U000e0100-\U000e01ef])"
    "|(?<=[\u180b-\u180f])(?<![\u1820-\u18aa][\u180b-\u180f])"
    f"|(?<={_MARKS})(?<![{_RIGHT_TO_LEFT}]{_MARKS})(?![{_RIGHT_TO_LEFT}])"
    ")"
)
_HIDDEN = re.compile(f"{_ONE_HIDDEN}[{_SETS}]*")  # what follows one is shown with it
# A name keeps a joiner only where it changes what one sees: in emoji, after a virama, and where it parts two letters that would join.
_VIRAMA = "\u094d\u09cd\u0a4d\u0acd\u0b4d\u0bcd\u0c4d\u0ccd\u0d4d\u0dca"
_JOINS_NEXT = "\u0626\u0628\u062a-\u062e\u0633-\u063f\u0641-\u0647\u0649\u064a\u066e\u066f\u0678-\u0687\u069a-\u06bf\u06c1\u06c2\u06cc\u06ce\u06d0\u06d1"
_IN_NAME = re.compile(f"[{_SETS}](?<![\u200c\u200d])")
_JOINER_IN_NAME = re.compile(
    f"(?<![{_EMOJI}{_VIRAMA}])\u200d|(?<=[{_EMOJI}])\u200d(?![{_EMOJI}])"
    f"|(?<![{_VIRAMA}{_JOINS_NEXT}])\u200c|(?<=[{_JOINS_NEXT}])\u200c(?![\u0620-\u064a\u066e-\u06d3])"
)
_LISTED = 4  # of neighbouring characters; more are counted, because mails hide hundreds behind their subject
_SHOWN = 200  # places in one text; later ones are taken out, because a text of nothing else must not cost seconds


def plain_name(text: str) -> str:
    """Return a name in the form in which names are stored and compared: on one line, without unseen characters, with single spaces.

    It is NFKC, in which letters that only look different are the same: a wide letter is the usual one. Case stays, because everybody sees it.
    """
    if text.isascii() and text.isprintable():
        return (" ".join(text.split()) if "  " in text else text).strip()
    before, text = "", " ".join(_SURROGATES.sub("\N{REPLACEMENT CHARACTER}", _BLANK.sub(" ", text)).split())
    while (
        text != before
    ):  # what is taken out lets others meet, and some become unseen by the normal form: twice, seldom three times
        before = text
        seen = _JOINER_IN_NAME.sub("", _IN_NAME.sub("", text))
        text = " ".join(unicodedata.normalize("NFKC", seen).split())
    return text


def has_unseen(text: str) -> bool:
    """Return whether a text has any unseen character, also one that is part of its writing."""
    return not text.isascii() and _UNSEEN.search(text) is not None


def without_unseen(text: str) -> str:
    """Return a text without the unseen characters that are not part of its writing."""
    if not has_unseen(text):
        return text
    return _HIDDEN.sub(_flag_in if _FLAG_BASE in text else "", text)


def show_unseen(text: str) -> str:
    """Return a text that shows the unseen characters that are not part of its writing: `fai⟨U+200B⟩led`. An unusual line end becomes a usual one."""
    if not has_unseen(text):
        return text
    for line_end in ("\x85", "\u2028", "\u2029"):
        text = text.replace(line_end, "\n")
    shown, count = _HIDDEN.subn(_show, text, count=_SHOWN)
    return shown if count < _SHOWN else _UNSEEN.sub("", shown)


def _flag_in(found: re.Match[str]) -> str:
    """Return what of some unseen characters makes a flag of what is before them: those of England, Scotland and Wales."""
    flag = _FLAG.match(found[0]) if found.string[found.start() - 1 : found.start()] == _FLAG_BASE else None
    return flag[0] if flag is not None else ""


def _show(found: re.Match[str]) -> str:
    kept = _flag_in(found)
    run = found[0][len(kept) :]
    if len(run) > _LISTED:
        return f"{kept}⟨{len(run)} unseen characters⟩"
    return kept + (f"⟨{' '.join(f'U+{ord(one):04X}' for one in run)}⟩" if run else "")
