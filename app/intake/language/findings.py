"""What a clause of a text states about a run."""

from dataclasses import dataclass
from enum import StrEnum


class Finding(StrEnum):
    """What can be stated. Trouble comes first, then success, then what makes a success uncertain."""

    FAILED = "failed"
    NAMED_TROUBLE = "named trouble"  # a noun of trouble without count or verb: "error on web01", "failure report"
    STALE = "stale"
    PARTIAL = "partial"
    WARNED = "warned"
    CANCELLED = "cancelled"
    NOTHING_DONE = "nothing done"  # a count of zero of what should have been made
    NOTHING_MADE = "nothing made"  # the same with a noun only: "0 files", which may be right for an incremental run
    SUCCEEDED = "succeeded"
    WENT_WELL = (
        "went well"  # a general word of success: proves a success only in a text about a run, or next to a name alone
    )
    GUESSED = "succeeded, by a word with a typing error"
    EXIT_ZERO = "exit zero"
    DENIED = "trouble denied"
    FIXED = "fixed"
    COMPLETE = "complete count"
    MADE = "something made"  # a noun of what a run makes, without a statement
    THING = "a thing"  # a noun that can be counted: files, disks
    ENDED = "ended"
    STARTED = "started"
    CONDITIONAL = "conditional"  # trouble that may come: "if you have any problem, contact us"
    ABOUT_RUN = "about a run"  # a field for the verdict, or a known name
    DOUBT = "doubt"
    MISSING = "missing"  # a word of absence that refers to no known word: a failure unless a success is stated
    UNKNOWN_DENIED = "unknown denied"  # a negation of an unknown word next to a noun of what a run makes
    UNREAD_ROW = "unread row"  # a row of unknown words in a list of verdicts
    UNKNOWN_PART = "unknown part"  # words between commas none of which is known
    NOT_A_RUN = "not a run"
    OTHER_WORK = "other work"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Statement:
    """A finding, the words that it was found in, the rule that found it, and its line (0 is the subject)."""

    finding: Finding
    words: str
    rule: str
    line: int
    clause: int = 0
