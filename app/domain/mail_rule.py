"""A mail rule: what a text of a tool means, by globs (not regular expressions) for its subject, sender and body. Pure.

It applies to mails, and for every other event whose outcome was read from words.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.core.unseen import show_unseen
from app.domain.event import Activity, RunOutcome
from app.domain.text_form import TextForm, form_of

STARS_MOST = 50  # of each glob; a text whose numbers became stars has many
BODY_SEARCHED = 64 * 1024  # characters; a rule's cost for one text is bounded by it
_SUSPECT = (RunOutcome.FAILURE, RunOutcome.WARNING, RunOutcome.CANCELLED)
_PLACE = re.compile(r"\{([1-9])\}")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class ToolText:
    """The words in which a tool reported: a mail, or a message with a title. `sender` is the mail's address or the tool's name."""

    subject: str
    sender: str = ""
    body: str = ""

    def on_one_line(self) -> "ToolText":
        """Return the text with spaces instead of line ends, because a glob is one line."""
        # Unseen characters as a stored text shows them: a rule that was taught from it must find the next one.
        subject, sender, body = map(show_unseen, (self.subject, self.sender, self.body[:BODY_SEARCHED]))
        return ToolText(
            _SPACES.sub(" ", subject).strip(), _SPACES.sub(" ", sender).strip(), _SPACES.sub(" ", body).strip()
        )


@dataclass(frozen=True, slots=True)
class MailRule:
    """A rule. `subject`, `sender` and `body` are globs; those that are set must all match, and at least one is set.

    `job` and `agent` may contain `{1}` to `{9}`: the texts that the `*` match, those of the subject first, then those of the sender
    and of the body. None for them, for `activity` and for `outcome`: what the text itself says. At least one of the four is set.

    In a rule that was taught (`taught_from`), each `*` stands for a number, date, time, id or size only (domain/text_form.py):
    otherwise "3 files failed" would be read as "saved 3 files" was.
    """

    id: str
    subject: str | None
    outcome: RunOutcome | None
    activity: Activity | None = None
    job: str | None = None
    agent: str | None = None
    sender: str | None = None
    body: str | None = None
    name: str = ""
    customer_id: str | None = None
    position: int = 100
    enabled: bool = True
    created_at: datetime | None = None  # None: not stored yet
    version: int = 1
    taught_from: RunOutcome | None = None  # the outcome of the text that it was taught from

    def read(self, text: ToolText, one_line: ToolText | None = None) -> list[str] | None:
        """Return the texts that the `*` match, or None if the rule does not hold for this text. Case and kinds of space do not matter.

        `one_line` is the text on one line, where a caller that asks many rules has it.
        """
        line, stars = one_line or text.on_one_line(), list[str]()
        for glob, value in ((self.subject, line.subject), (self.sender, line.sender), (self.body, line.body)):
            if glob is None:
                continue
            found = stars_of(value, _SPACES.sub(" ", glob).strip())
            if found is None:
                return None
            stars += found
        if self.taught_from is not None and form_of(text.subject, text.body).key != self.form.key:
            return None
        return stars

    @property
    def form(self) -> TextForm:
        """The form of the texts that a taught rule applies to."""
        return TextForm(self.subject or "", self.body or "")

    def holds_against(self, read_as: str | None) -> bool:
        """Return whether the rule decides on a text whose words were read as `read_as`.

        A rule that was taught as success does not decide on a text with words of trouble, unless the text that it was made from
        had them too: otherwise it would hide a failure.
        """
        is_taught_success = self.taught_from is not None and self.outcome is RunOutcome.SUCCESS
        return not is_taught_success or read_as not in _SUSPECT or self.taught_from in _SUSPECT

    def job_of(self, stars: Sequence[str]) -> str | None:
        """Return the job that the rule names, with these texts for the `*`; None: the one that the text names."""
        return _filled(self.job, stars)

    def agent_of(self, stars: Sequence[str]) -> str | None:
        """Return the agent that the rule names, with these texts for the `*`; None: the one that the text names."""
        return _filled(self.agent, stars)


@dataclass(frozen=True, slots=True)
class RuleMatch:
    """A rule that holds for a text, and the texts that its `*` match."""

    rule: MailRule
    stars: Sequence[str]


def matching_rules(rules: Sequence[MailRule], text: ToolText, read_as: RunOutcome | None = None) -> Sequence[RuleMatch]:
    """Return the first rule that applies to a text and sets its outcome, then the first that sets none; empty if none applies.

    `read_as` is the outcome that was read from the words of the text. Because the second rule counts too, one rule can rename the job of
    all mails of a sender, whatever their outcome.
    """
    one_line = text.on_one_line() if rules else text
    deciding: RuleMatch | None = None
    naming: RuleMatch | None = None
    for rule in rules:
        is_wanted = naming is None if rule.outcome is None else deciding is None
        stars = rule.read(text, one_line) if is_wanted and rule.holds_against(read_as) else None
        if stars is None:
            continue
        match = RuleMatch(rule, stars)
        if rule.outcome is None:
            naming = match
        else:
            deciding = match
    return [match for match in (deciding, naming) if match is not None]


def _filled(name: str | None, stars: Sequence[str]) -> str | None:
    if name is None:
        return None
    filled = _PLACE.sub(lambda place: stars[int(place[1]) - 1] if int(place[1]) <= len(stars) else "", name)
    return filled.strip() or None


def stars_of(text: str, glob: str) -> list[str] | None:
    """Return the text that each `*` of a glob matches, as short as possible from the left; None if the text does not match.

    It takes one pass over the text, so that no input of an administrator or sender can make it slow.
    """
    first, *rest = (part.casefold() for part in glob.split("*"))
    folded = text.casefold()
    if len(folded) != len(text):  # a letter that becomes longer, such as the German sharp s: the positions would differ
        text = folded
    if not rest:
        return [] if folded == first else None
    if not folded.startswith(first):
        return None
    place, found = len(first), []
    for part in rest[:-1]:
        at = folded.find(part, place)
        if at < 0:
            return None
        found.append(text[place:at])
        place = at + len(part)
    end = len(folded) - len(rest[-1])
    if end < place or not folded.endswith(rest[-1]):
        return None
    return [*found, text[place:end]]
