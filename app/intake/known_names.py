"""The names of a customer's agents and jobs that occur in a text, so that words in a name are not read as an outcome. Pure."""

import re
from collections.abc import Iterable, Sequence

FOUND_MOST, SEARCHED = 50, 8 * 1024
_SHORTEST, _LONGEST, _MOST = 3, 100, 20_000
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

# Names are stored in narrow letters and brackets, and texts write them as their tool does. Each stays one character.
_NARROW = {wide: wide - 0xFEE0 for wide in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


class KnownNames:
    """Names by their first words: a text costs a few look-ups for each of its words, however many names there are."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names: set[str] = set()
        self._word_counts: dict[str, set[int]] = {}  # by the first word: how many words its names have
        self.add(names)

    def add(self, names: Iterable[str]) -> None:
        """Add names, until there are 20 000."""
        for name in names:
            if len(self._names) >= _MOST:
                return
            folded = name[: _LONGEST + 1].lower()
            words = list(_WORD.finditer(folded))
            if not words or len(folded) > _LONGEST or folded in _PLAIN_WORDS:
                continue
            trimmed = folded[words[0].start() : words[-1].end()]
            if len(trimmed) >= _SHORTEST:
                self._names.add(trimmed)
                self._word_counts.setdefault(words[0][0], set()).add(len(words))

    def find_in(self, text: str) -> Sequence[str]:
        """Return the names in the first 8 Ki characters of a text, as they are written there, at most 50; the longest at each place."""
        if not self._names:
            return ()
        text = text[:SEARCHED]
        folded = text.lower().translate(_NARROW)
        if len(folded) != len(text):
            text = folded
        found: dict[str, None] = {}
        words = list(_WORD.finditer(folded))
        for index, word in enumerate(words):
            for count in sorted(self._word_counts.get(word[0], ()), reverse=True):
                last = words[min(index + count, len(words)) - 1]
                if folded[word.start() : last.end()] in self._names:
                    found[text[word.start() : last.end()]] = None
                    break
            if len(found) >= FOUND_MOST:
                break
        return list(found)
