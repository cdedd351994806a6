"""A matcher: a condition on a field or label. Globs, no regular expressions: no input of an administrator can block a worker. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from unicodedata import normalize


class Comparison(StrEnum):
    """How a value is compared; case does not matter."""

    IS = "is"
    IS_NOT = "is_not"
    LIKE = "like"  # * and ?
    NOT_LIKE = "not_like"


# The fields of an alert or job that routes, rules, silences and summaries can test; a label is the field `label:NAME`.
FIELDS = ("customer", "agent", "job", "activity", "kind", "severity", "message")
_TESTS = {"=": Comparison.IS, "!=": Comparison.IS_NOT, "~": Comparison.LIKE, "!~": Comparison.NOT_LIKE}
_WRITTEN = re.compile(
    r"(customer|agent|job|activity|message|label:[^=~!\x00-\x1f\x7f]{1,100})(!=|!~|=|~)([^\x00]{0,500})"
)


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition. `field` is one of FIELDS or `label:NAME`; a label that does not exist is the empty text."""

    field: str
    test: Comparison
    value: str

    def matches(self, facts: Mapping[str, str]) -> bool:
        """Return whether the facts meet the condition."""
        found, wanted = _fold(facts.get(self.field, "")), _fold(self.value)
        match self.test:
            case Comparison.IS:
                return found == wanted
            case Comparison.IS_NOT:
                return found != wanted
            case Comparison.LIKE:
                return _is_like(found, wanted)
            case Comparison.NOT_LIKE:
                return not _is_like(found, wanted)


def _fold(text: str) -> str:
    """Return the text without case, in the form of names (core/unseen.py): a rule that was written with full-width brackets finds its job."""
    return text.casefold() if text.isascii() else normalize("NFKC", text).casefold()


def _is_like(found: str, glob: str) -> bool:
    """Match with * and ? only: brackets occur in the names of backups, so they mean themselves."""
    return fnmatchcase(found, glob.replace("[", "[[]"))


def all_match(matchers: Sequence[Matcher], facts: Mapping[str, str]) -> bool:
    """Return whether every condition is met; no conditions match everything."""
    return all(matcher.matches(facts) for matcher in matchers)


def read_matcher(written: str) -> Matcher:
    """Return the condition on a job that a text such as `job=nightly`, `agent!=nas01`, `job~sql-*` or `label:site!~test*` means. Raises ValueError."""
    found = _WRITTEN.fullmatch(written)
    if found is None:
        raise ValueError(
            "a matcher is customer, agent, job, activity, message or label:NAME, then =, !=, ~ or !~ (with * and ?), then a value"
        )
    return Matcher(found[1], _TESTS[found[2]], found[3])
