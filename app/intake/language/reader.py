"""Read what a text says about a run: one word is enough to suspect trouble, a success must be stated, and nothing may contradict it.

The words are in words/*.tsv (docs/languages.md), the method is in clauses.py. The steps: remove names, choose lines, cut them into
tokens, find the terms of the text's languages, read each clause, and decide on all statements together.
"""

import re
import threading
from collections.abc import Collection, Sequence

from app.core.unseen import without_unseen
from app.intake.language.clauses import read_line
from app.intake.language.decision import decide
from app.intake.language.exit_codes import names_robocopy
from app.intake.language.fold import fold
from app.intake.language.lexicon import has_gateway_run, is_gateway_word, is_term
from app.intake.language.long_text import choose_lines
from app.intake.language.negation import BAD, NEGATIONS
from app.intake.language.reading import Meaning, Reading
from app.intake.language.rows import find_unmet_totals, find_unread_rows
from app.intake.language.terms import Item, choose_terms
from app.intake.language.tokens import NAME_SIGN, TokenKind, tokenise
from app.intake.language.typos import find_denied_typo, find_typo
from app.intake.language.words_file import TermMeaning
from app.intake.language.yesterday import without_yesterday

__all__ = ["Meaning", "Reading", "read_words", "states_trouble"]

MAX_SUBJECT = 1000
_BARE_WORDS, _BARE_LINES = 4, 2
_MAX_NAMES, _SHORTEST_NAME = 2000, 2
_TYPOS_UP_TO = 3000  # characters of a body in which words with typing errors are looked up
# The subject of a mail of cron is the command, whose words do not say how it ended.
_COMMAND_SUBJECT = re.compile(r"\s{0,5}(?:\[[^\]]{0,40}\]\s{0,5})?(?:Cron|CRON|cron)\s{0,3}<[^>]{0,200}>")
_BRACKETS = re.compile(r"\[([^\[\]]{1,80})\]|\*{2,5}([^*]{1,80})\*{2,5}|\{([^{}]{1,80})\}|<([^<>@]{3,80})>")


def read_words(subject: str, body: str = "", *, names: Collection[str] = ()) -> Reading:
    """Return what subject and body say together. Words in `names` (of agents, jobs and hosts) never decide.

    What is too long for a subject is read as the beginning of the body. Never raises. A text that states neither success nor trouble is UNCLEAR.
    """
    if len(subject) > MAX_SUBJECT:
        end = max(subject.rfind(" ", 0, MAX_SUBJECT), subject.rfind("\n", 0, MAX_SUBJECT)) + 1 or MAX_SUBJECT
        subject, body = subject[:end], f"{subject[end:]}\n{body}"
    subject = "" if _COMMAND_SUBJECT.match(subject) else _without_gateway_marks(subject)
    chosen = choose_lines(body)
    # Read as people see it: with an unseen character in it, "failed" would be an unknown word.
    lines = list(map(without_unseen, (subject.replace("\n", " "), *chosen.lines)))
    tokens = [tokenise(line, is_term) for line in (_without_names(lines, names) if names else lines)]
    items = [without_yesterday(line) for line in choose_terms(tokens, with_typos=len(body) <= _TYPOS_UP_TO)]
    robocopy = names_robocopy(items)
    statements = [
        statement
        for number, (line, one) in enumerate(zip(lines, items, strict=True))
        for statement in read_line(one, line, number, robocopy=robocopy)
    ]
    statements += [*find_unread_rows(items), *find_unmet_totals(items)]
    return decide(statements, complete=chosen.complete, bare=_is_bare(items))


def states_trouble(name: str) -> bool:
    """Return whether a name says by itself that something failed or was not done: "backup failed", "did not", "errors"; not "Failed orders".

    Somebody may report under such a name, by mistake or on purpose. Taken out of the texts of others, it would take their trouble out.
    """
    [items] = choose_terms([tokenise(without_unseen(name), is_term)], with_typos=False)
    is_denied = False
    for at, item in enumerate(items):
        is_last = at + 1 == len(items) or items[at + 1].kind is TokenKind.MARK
        is_denied = is_denied or item.meaning in NEGATIONS
        if is_last and (item.meaning in BAD or item.meaning in NEGATIONS or (is_denied and item.meaning in _VERDICTS)):
            return True
    return False


_VERDICTS = frozenset((TermMeaning.SUCCEEDED, TermMeaning.WELL, TermMeaning.ENDED, TermMeaning.GOOD))


def _is_bare(lines: Sequence[Sequence[Item]]) -> bool:
    """Return whether a text is only a result and a name, such as "Photos completed". A sentence contains frequent words too."""
    words = [item for line in lines for item in line if item.kind is TokenKind.WORD]
    unknown = [item for item in words if item.meaning is None]
    sentence = any(item.common or item.thing for item in words)
    return not sentence and len(unknown) <= _BARE_WORDS and sum(map(bool, lines)) <= _BARE_LINES


def _without_gateway_marks(subject: str) -> str:
    """Return the subject without marks that mail gateways add: `[EXTERNAL]`, `[PHISHING RISK: low]`, `*** UNVERIFIED SENDER ***`."""
    return _BRACKETS.sub(lambda found: " " if _is_gateway_mark(found[0]) else found[0], subject)


def _is_gateway_mark(text: str) -> bool:
    words = [fold(word) for word in re.findall(r"[^\W\d_]{2,40}", text)]
    return any(map(is_gateway_word, words)) or (not text.isascii() and has_gateway_run(fold(text)))


def _without_names(lines: list[str], names: Collection[str]) -> list[str]:
    usable = sorted({name for name in names if len(name) >= _SHORTEST_NAME}, key=len, reverse=True)[:_MAX_NAMES]
    folded = "\n".join(lines).casefold()
    present = [name for name in usable if name.casefold() in folded]
    if not present:
        return lines
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, present)) + r")(?!\w)", re.IGNORECASE)
    return [pattern.sub(lambda found: NAME_SIGN * len(found[0]), line) for line in lines]


_loaded = threading.Event()


def are_words_loaded() -> bool:
    """Return whether `load_words` has ended: before that, a text that is read may take most of a second."""
    return _loaded.is_set()


def load_words() -> None:
    """Load the words of all languages, which takes most of a second. A long text needs lists of them that a short one does not."""
    read_words("Backup: バックアップ")
    find_typo("unknwon")
    find_denied_typo("unknwon")
    read_words("Backup", "Failed Entries:\n - a\n" * 1000)
    _loaded.set()
