"""A mail rule: what a mail of a tool that can only mail means, by its subject. Globs, no regular expressions. Pure."""

import re
from dataclasses import dataclass

from app.domain.event import Activity, RunOutcome

STARS_MOST = 9
_PLACE = re.compile(r"\{([1-9])\}")


@dataclass(frozen=True, slots=True)
class MailRule:
    """`subject` is a glob. `job` may hold `{1}` to `{9}`: what stands for the first `*` and the following; None: the key's job."""

    id: str
    subject: str
    outcome: RunOutcome
    activity: Activity = Activity.BACKUP
    job: str | None = None

    def read(self, subject: str) -> list[str] | None:
        """Give what stands for each `*`, if the subject is meant. Whatever its case."""
        return stars_of(subject, self.subject)

    def job_of(self, stars: list[str]) -> str | None:
        """Name the job."""
        if self.job is None:
            return None
        named = _PLACE.sub(lambda place: stars[int(place[1]) - 1] if int(place[1]) <= len(stars) else "", self.job)
        return named.strip() or None


def stars_of(text: str, glob: str) -> list[str] | None:
    """Give what each `*` of a glob stands for, the earliest way; None if the text is not like it.

    In one pass over the text: nothing that an admin or a sender writes can make it slow.
    """
    first, *rest = (part.casefold() for part in glob.split("*"))
    folded = text.casefold()
    if len(folded) != len(text):  # a letter that grows when folded, such as the German sharp s: places would not fit
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
