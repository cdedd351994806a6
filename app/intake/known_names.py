"""The names of a customer's agents and jobs that occur in a text, so that words in a name are not read as an outcome. Pure."""

import re
from collections.abc import Iterable, Sequence

FOUND_MOST, SEARCHED = 50, 8 * 1024
_SHORTEST, _LONGEST = 3, 100
_WORD = re.compile(r"[^\W_]{1,100}")
# Names that tools and dialects use by default: taken out of a sentence, they would change what it says.
_PLAIN_WORDS = frozenset(
    {
        "backup",
        "backups",
        "restore",
        "verify",
        "prune",
        "replicate",
        "admin",
        "heartbeat",
        "other",
        "mail",
        "job",
        "task",
        "copy",
        "sicherung",
        "failed",
        "success",
        "error",
    }
)


class KnownNames:
    """Names by their first words: a text costs one look-up for each of its words, however many names there are."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._by_first: dict[str, list[str]] = {}
        for name in set(names):
            folded = name.strip().lower()
            first = _WORD.search(folded)
            if first is not None and _SHORTEST <= len(folded) <= _LONGEST and folded not in _PLAIN_WORDS:
                self._by_first.setdefault(first[0], []).append(folded)

    def find_in(self, text: str) -> Sequence[str]:
        """Return the names in the first 8 Ki characters of a text, as they are written there, at most 50; the longest at each place."""
        if not self._by_first:
            return ()
        text = text[:SEARCHED]
        folded = text.lower()
        if len(folded) != len(text):
            text = folded
        found: dict[str, None] = {}
        for word in _WORD.finditer(folded):
            for name in sorted(self._by_first.get(word[0], ()), key=len, reverse=True):
                offset = _WORD.search(name)
                start = word.start() - (offset.start() if offset else 0)
                if start >= 0 and folded.startswith(name, start) and _ends_at(folded, start + len(name)):
                    found[text[start : start + len(name)]] = None
                    break
            if len(found) >= FOUND_MOST:
                break
        return list(found)


def _ends_at(text: str, end: int) -> bool:
    return end >= len(text) or not (text[end].isalnum() or text[end] == "_")
