"""The checks of the service (app/http/health.py) in the reader's language: their names, and what each found.

The findings are English in the API and the log. A text that is not here is shown as it is, marked as English.
"""

from gettext import NullTranslations

from markupsafe import Markup

from app.http.pages.text_patterns import patterns_of, translated_parts
from app.http.pages.trouble_texts import CREDENTIALS, DISKS, MAIL_TIMES, REMEDIES

_ = str  # marks texts for the catalogs; they are translated when they are shown

# By the names in the API and the log, which are those of our parts.
_NAMES = {
    "database": _("Database"),
    "migrations": _("Schema of the database"),
    "worker": _("Worker, which decides and sends"),
    "wording": _("Writing of messages"),
    "rows": _("Stored events that can be read"),
    "credential": _("Access to the mail system"),
    "returned mail": _("Mail that came back"),
    "transport": _("Sending by %(kind)s"),
    "arrival": _("Arrival of mail by %(kind)s"),
}
_TEXTS = (
    _("answers and can be written"),
    _("the database does not answer; the log has the reason"),
    _("cannot be written; the log has the reason"),
    _("up to date"),
    _("%(n)s running, last heartbeat %(s)s s ago"),
    _("no notice waits too long to be composed"),
    _("%(n)s notice(s) wait to be composed, the oldest for %(since)s, so they are not sent; the log has the reason"),
    _("cannot be read; `tocsin doctor` has the reason"),
    _("%(what)s does not end soon"),
    _("in the last 24 hours nobody missed an alert because a mail came back"),
    _("the last attempt was sent; %(n)s waiting"),
    _("not used recently; %(n)s waiting"),
    _("%(n)s row(s) cannot be read, so nothing is decided of them; the log names them"),
    _("at %(at)s, this version needs %(version)s: run `tocsin migrate`"),
    _(
        "at %(at)s, this version needs %(version)s: a newer version upgraded the database; restart this server with that version"
    ),
    _("%(n)s message(s) came back within a day and nobody was notified: see GET /v1/messages?state=bounced"),
    _("mail to %(n)s address(es) comes back: see GET /v1/recipients"),
    _("the mailbox was not read yet"),
    _("the mailbox was not read since %(at)s"),
    _("`tocsin doctor` has the reason"),
    _("cannot be written: %(text)s"),
    _("%(text)s: only failures are stored, in the room that was kept for them"),
    _("no worker could write a heartbeat for %(n)s s, because the database cannot be written"),
    _("no worker had a heartbeat for %(n)s s, so nothing is decided or sent"),
    _("start `tocsin serve` or `tocsin worker`"),
    _("the worker in this process stopped: %(why)s"),
    _("messages wait for it, but no worker serves it: is it configured?"),
    _("the oldest of %(n)s waiting message(s) is %(age)s old"),
    _("%(n)s message(s) were given up within a day: see GET /v1/messages?state=dead"),
    _("the last attempt ended %(words)s"),
    _("the last attempt ended %(words)s. %(remedy)s"),
    _("the last attempt was sent"),
    _("not used recently"),
    _("%(n)s waiting"),
    _("a canary mail was lost, so mail may not arrive: see GET /v1/canaries."),
    _("a canary mail was lost, so mail may not arrive: see GET /v1/canaries. %(text)s"),
    _("temporary"),
    _("permanent"),
    _("unknown"),
)
_PATTERNS = patterns_of((*_TEXTS, *DISKS, *CREDENTIALS, *REMEDIES, *MAIL_TIMES), remedy=REMEDIES)


def check_name(name: str, texts: NullTranslations) -> str | Markup:
    """Return the name of a check in words for people; one that has no such words stays as it is, marked as English."""
    first, _space, kind = name.partition(" ")
    if name in _NAMES:
        return texts.gettext(_NAMES[name])
    if kind and first in _NAMES:
        return texts.gettext(_NAMES[first]) % {"kind": kind}
    return check_text(name, texts)


def check_text(text: str, texts: NullTranslations) -> str | Markup:
    """Return what a check found in a language; text that is not translated is marked as English."""
    return translated_parts(text, texts, _PATTERNS)
