"""What was just done, as the address of a page says it: in words, with what takes it back.

The parameters are signed for the session: a link of somebody else must not make a page say that an alert is acknowledged.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from gettext import NullTranslations
from urllib.parse import urlencode

UNDO_S = 10
SHOWN_FOR = ("done", "n", "at", "trouble", "by")  # the parameters of an address that only say what was done
_LONGEST_NUMBER = 5
_CAN_BE_UNDONE = ("acknowledged", "silenced", "closed")


@dataclass(frozen=True, slots=True)
class Done:
    """What was just done, in words; `undo` takes it back, within `seconds`. Empty: it cannot be undone any more."""

    text: str
    undo: str
    seconds: int


def signed(outcome: Mapping[str, str], csrf: str) -> dict[str, str]:
    """Return the parameters that say an outcome, with their signature. `csrf`: the token of the session's forms."""
    return {**outcome, "by": _signature(outcome, csrf)}


def saved_address(page: str, csrf: str, at: datetime) -> str:
    """Return the address of a page that says that something was saved."""
    return f"{page}?{urlencode(signed({'done': 'saved', 'n': '1', 'at': at.isoformat()}, csrf))}"


def outcome_of(asked: Mapping[str, str], csrf: str) -> Mapping[str, str]:
    """Return the parameters of an address that say an outcome; empty where we did not sign them for this session."""
    found = {name: asked[name] for name in SHOWN_FOR if name in asked and name != "by"}
    is_ours = hmac.compare_digest(asked.get("by", "").encode(), _signature(found, csrf).encode())
    return found if is_ours else {}


def done_of(asked: Mapping[str, str], texts: NullTranslations, now: datetime) -> Done | None:
    """Return what the parameters of an address say was done; None where they say nothing, or something that we never write."""
    what, number = asked.get("done", ""), asked.get("n", "")
    count = int(number) if number.isascii() and number.isdecimal() and len(number) <= _LONGEST_NUMBER else 0
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
        "too-late-for-morning": texts.gettext("That morning has passed: choose another end of the silence."),
        "too-many": texts.gettext("These are too many at once: choose fewer, or make one silence for all of them."),
        "more": texts.gettext("These were not all of them. Press the button again for the rest."),
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


def _signature(outcome: Mapping[str, str], csrf: str) -> str:
    content = "\n".join(f"{name}={value}" for name, value in sorted(outcome.items()))
    return hmac.digest(csrf.encode(), content.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]


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
