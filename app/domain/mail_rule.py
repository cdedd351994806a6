"""A mail rule: what a mail means, by its subject, from a tool that can only send mail. Globs, no regular expressions. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime

from app.domain.event import Activity, RunOutcome

STARS_MOST = 9
_PLACE = re.compile(r"\{([1-9])\}")


@dataclass(frozen=True, slots=True)
class MailRule:
    """A rule. `subject` is a glob. `job` may contain `{1}` to `{9}`: the text that the first and the following `*` match; None: the key's job."""

    id: str
    subject: str
    outcome: RunOutcome
    activity: Activity = Activity.BACKUP
    job: str | None = None
    name: str = ""
    customer_id: str | None = None
    position: int = 100
    enabled: bool = True
    created_at: datetime | None = None  # None: not stored yet
    version: int = 1

    def read(self, subject: str) -> list[str] | None:
        """Return the text that each `*` matches, or None if the subject does not match. Case does not matter."""
        return stars_of(subject, self.subject)

    def job_of(self, stars: list[str]) -> str | None:
        """Return the job of a mail whose subject has these texts for the `*`; None: the key's job."""
        if self.job is None:
            return None
        named = _PLACE.sub(lambda place: stars[int(place[1]) - 1] if int(place[1]) <= len(stars) else "", self.job)
        return named.strip() or None


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
