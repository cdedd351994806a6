"""What was just done, as the address of a page says it: in words, with what takes it back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from gettext import NullTranslations

UNDO_S = 10
SHOWN_FOR = ("done", "n", "at", "trouble")  # the parameters of an address that only say what was done
_LONGEST_NUMBER = 5
_CAN_BE_UNDONE = ("acknowledged", "silenced", "closed")


@dataclass(frozen=True, slots=True)
class Done:
    """What was just done, in words; `undo` takes it back, within `seconds`. Empty: it cannot be undone any more."""

    text: str
    undo: str
    seconds: int


def done_of(asked: Mapping[str, str], texts: NullTranslations, now: datetime) -> Done | None:
    """Return what the parameters of an address say was done; None where they say nothing, or something that we never write."""
    what, number = asked.get("done", ""), asked.get("n", "")
    count = int(number) if number.isascii() and number.isdigit() and len(number) <= _LONGEST_NUMBER else 0
    words = _words(texts, count).get(what)
    at = moment_of(asked.get("at", ""))
    if words is None or at is None:
        return None
    left = UNDO_S - int((now - at).total_seconds())
    can_undo = what in _CAN_BE_UNDONE and 0 < left <= UNDO_S
    return Done(words, f"{what} {at.isoformat()}" if can_undo else "", max(0, left))


def trouble_of(asked: Mapping[str, str], texts: NullTranslations) -> str:
    """Return in words why something was not done; empty where nothing went wrong."""
    code = asked.get("trouble", "")
    if not code:
        return ""
    words = {
        "too-late": texts.gettext("It is too late to undo that."),
        "too-many": texts.gettext("These are too many at once: choose fewer, or make one silence for all of them."),
        "refused": texts.gettext("Some messages cannot be sent again: their recipient has no address left."),
        "no_transport": texts.gettext("It cannot be sent again: its recipient has no address left for it."),
        "recipient_deleted": texts.gettext("It cannot be sent again: its recipient was deleted."),
        "stale_edit": texts.gettext("Somebody else changed it in the meantime. Look at it again."),
        "bad_input": texts.gettext("The form contains a wrong value. Check what you entered."),
    }
    return words.get(code) or texts.gettext(
        "This was not done, because it is no longer possible. Check the present state."
    )


def moment_of(text: str) -> datetime | None:
    """Return the moment that an address names; None where it names none."""
    try:
        at = datetime.fromisoformat(text[:40])
    except ValueError:
        return None
    return at if at.tzinfo is not None else None


def _words(texts: NullTranslations, count: int) -> dict[str, str]:
    ngettext, number = texts.ngettext, {"num": count}
    words = {
        "acknowledged": ngettext("You acknowledged %(num)s alert.", "You acknowledged %(num)s alerts.", count),
        "taken-over": ngettext("You took over %(num)s alert.", "You took over %(num)s alerts.", count),
        "silenced": ngettext("Silenced %(num)s alert.", "Silenced %(num)s alerts.", count),
        "closed": ngettext(
            "Closed %(num)s alert. Nobody is notified that it was closed.",
            "Closed %(num)s alerts. Nobody is notified that they were closed.",
            count,
        ),
        "taught": ngettext(
            "Saved. %(num)s text has an outcome now.", "Saved. %(num)s texts have an outcome now.", count
        ),
        "retried": ngettext("%(num)s message is tried again.", "%(num)s messages are tried again.", count),
        "undone": ngettext("Undone for %(num)s alert.", "Undone for %(num)s alerts.", count),
        "saved": texts.gettext("Saved."),
    }
    return {what: text % number for what, text in words.items()}
