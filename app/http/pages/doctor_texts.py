"""What `tocsin doctor` says, in the reader's language: its findings, and what to do about each.

The texts are English on the command line. One that is not here is shown as it is, marked as English: most of those hold words of a server.
"""

from gettext import NullTranslations

from markupsafe import Markup

from app.http.pages.text_patterns import patterns_of, translated

_ = str  # marks texts for the catalogs; they are translated when they are shown

NOTHING_WRONG = _("Nothing is wrong.")  # of each subject without a finding
COULD_NOT_RUN = _("the doctor could not run: run `tocsin doctor` on the host")
_FINDINGS = (
    NOTHING_WRONG,
    COULD_NOT_RUN,
    _("%(n)s message(s) wait for %(kind)s, the oldest since %(at)s."),
    _("No program used the key %(name)s of kind monitor since %(at)s."),
    _("No program ever used the key %(name)s of kind monitor."),
    _("No mail server is set, so mail only goes to files."),
    _("A mail server is set, but no address."),
    _("There is no recipient, so nobody is notified."),
    _("No route is enabled, so no alert is sent."),
    _("No summary is scheduled, so nobody notices when alerts stop coming."),
    _("%(n)s of %(all)s job(s) have no expectation, so nobody is notified when they do not run: %(names)s."),
    _("Recipients use the transport mapi, but there is no relay."),
    _("The transport %(kind)s was never tested."),
    _("The last test of %(kind)s (%(at)s) failed: %(why)s."),
    _("The last attempt over %(kind)s (%(at)s) ended %(how)s: %(why)s. %(n)s message(s) wait for it."),
    _("The last attempt over %(kind)s (%(at)s) ended %(how)s; nothing waits for it for long."),
    _("The last test of %(kind)s (%(at)s) was sent."),
    _("Nothing was sent over %(kind)s yet."),
    _("No worker had a heartbeat in the last %(n)s s, so nothing is decided or sent."),
    _("%(n)s notice(s) wait to be composed, the oldest since %(at)s, so they are not sent."),
    _("Agents that do not report any more: %(names)s."),
    _("%(n)s message(s) could not be sent and were given up."),
    _("%(n)s event(s) could not be decided on and were set aside."),
    _("The first keys are still in %(file)s."),
    _("SQLite %(version)s: before 3.51.3 two writing connections can corrupt it."),
    _("%(n)s job(s) have an expectation that was learned from their runs and that nobody confirmed."),
    _("No agent has reported anything yet."),
    _("Nobody is alarmed if Tocsin itself stops."),
    _("The heartbeat was %(since)s tried."),
    _("The last ping of the heartbeat (%(at)s) failed: %(why)s."),
    _("The heartbeat reports a failure (%(at)s): %(why)s."),
    _("The heartbeat is accepted; the last ping: %(at)s."),
    _("For the last message to %(name)s, %(why)s."),
    _(
        "%(n)s row(s) cannot be read, because another version wrote them or they are damaged: %(names)s. Tocsin works as if they did not exist."
    ),
    _(
        "The running workers cannot read %(n)s row(s), because another version wrote them or they are damaged. Nothing is decided about them."
    ),
)
_REMEDIES = (
    _("`tocsin setup mail` sets it up."),
    _("set TOCSIN_ADMIN_EMAIL (`tocsin setup mail`), or edit the recipients (/v1/recipients)."),
    _("see GET /v1/messages?transport=%(kind)s."),
    _("see whether the monitoring system still asks, or revoke the key (DELETE /v1/keys/<id>)."),
    _("see docs/mapi.md, or remove mapi (PATCH /v1/recipients/<id>)."),
    _("Test again: %(how)s."),
    _("start `tocsin serve`, or `tocsin worker`; if it runs, its log has the reason."),
    _("See GET /v1/relays."),
    _("the log has the reason. See GET /v1/notices?state=waiting."),
    _("GET /v1/messages?state=dead, and once the cause is corrected, POST /v1/messages:retry sends them all again."),
    _("store them in a safe place and delete the file."),
    _("Tocsin has one; do not write with another program."),
    _("GET /v1/jobs?proposed=true, then POST /v1/jobs:confirm-expectations."),
    _("POST /v1/events with an enrolment key."),
    _("set TOCSIN_HEARTBEAT_URL to a check of another service, see docs/monitoring/heartbeat.md."),
    _("start `tocsin serve` with TOCSIN_HEARTBEAT_URL; its log has the reason."),
    _("Check TOCSIN_HEARTBEAT_URL and the network."),
    _("Correct what it names; the log may have the reason."),
    _("correct the template (PATCH /v1/recipients/<id>); POST /v1/transports/webhook:preview shows what it makes."),
    _(
        "run the newest version on all hosts; if all run it, change or delete these rows by the API (the log names them)."
    ),
)
_PATTERNS = patterns_of((*_FINDINGS, *_REMEDIES))


def doctor_text(text: str, texts: NullTranslations) -> str | Markup:
    """Return a finding of the doctor, or what to do about it, in a language; text that is not translated is marked as English."""
    return translated(text, texts, _PATTERNS)
