"""The checks of the service (app/http/health.py) in the reader's language: their names, and what each found.

The texts are English in the API and the log. A text that is not here is shown as it is, marked as English.
"""

from gettext import NullTranslations

from markupsafe import Markup

from app.http.pages.text_patterns import patterns_of, translated

_ = str  # marks texts for the catalogs; they are translated when they are shown

_TEXTS = (
    _("database"),
    _("migrations"),
    _("worker"),
    _("wording"),
    _("credential"),
    _("returned mail"),
    _("transport %(kind)s"),
    _("arrival %(kind)s"),
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
    _("rows"),
    _("%(n)s row(s) cannot be read, so nothing is decided of them; the log names them"),
)
_PATTERNS = patterns_of(_TEXTS)


def check_text(text: str, texts: NullTranslations) -> str | Markup:
    """Return the name or the finding of a check in a language; text that is not translated is marked as English."""
    return translated(text, texts, _PATTERNS)
