"""The actions and kinds of the audit log in the reader's language. In the log, the API and the address of the page they are English."""

from gettext import NullTranslations

_ = str  # marks texts for the catalogs; they are translated when they are shown

ACTIONS = (
    *(_("acknowledge"), _("allow link"), _("approve"), _("change"), _("change password"), _("close"), _("confirm")),
    *(_("create"), _("delete"), _("dismiss"), _("doctor"), _("end link"), _("end sessions"), _("failed sign-in")),
    *(_("link"), _("make link"), _("pause"), _("prove again"), _("refuse sign-in"), _("reject"), _("repair")),
    *(_("resume"), _("retry"), _("revoke"), _("rotate"), _("send"), _("set up"), _("setup code"), _("sign in")),
    *(_("sign out"), _("take-over"), _("teach"), _("test"), _("turn off codes"), _("turn on codes")),
    *(_("undo-acknowledge"), _("undo-close")),
)
NOUNS = (
    *(_("agent"), _("alert"), _("canary"), _("customer"), _("event"), _("job"), _("key"), _("mail rule")),
    *(_("message"), _("person"), _("recipient"), _("relay"), _("retention"), _("route"), _("rule"), _("share link")),
    *(_("silence"), _("summary schedule"), _("transport")),
)
_KNOWN = frozenset((*ACTIONS, *NOUNS))


def audit_word(word: str, texts: NullTranslations) -> str:
    """Return an action or a kind of object in a language; one that is not known as it is."""
    return texts.gettext(word) if word in _KNOWN else word
