"""What `tocsin doctor` says, in the reader's language: its findings, and what to do about each.

The texts are English on the command line. One that is not here is shown as it is, marked as English.
"""

from gettext import NullTranslations

from markupsafe import Markup

from app.http.pages.text_patterns import patterns_of, translated
from app.http.pages.trouble_texts import CANARIES, CREDENTIALS, DISKS, MAIL_TIMES, RELAYS, REMEDIES

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
    _(
        "%(n)s open alert(s) were sent to nobody: no route matches them, or the route has no recipient with a transport."
    ),
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
    _("The transport graph gets no access token: %(why)s."),
    _(
        "Tocsin cannot warn you before the secret in TOCSIN_OAUTH_CLIENT_SECRET expires: set TOCSIN_OAUTH_SECRET_EXPIRES to its last day, if it has one."
    ),
    _(
        "Mails have the sender %(sender)s, but are sent from the mailbox %(mailbox)s: Exchange Online refuses them unless that mailbox may send as this address (Send As)."
    ),
    _(
        "Only a test mail shows whether Tocsin may send by Exchange Online, as the permission Mail.Send allows no other request. Run `tocsin send-test --transport graph --to you@example.org`."
    ),
    _(
        "Mail to %(address)s (%(words)s) came back %(n)s times in a row, last %(at)s: %(why)s. Correct the address: PATCH /v1/recipients/<id>."
    ),
    _("no recipient"),
    _(
        "%(n)s message(s) of the last 7 days came back, and no other transport was left, so their recipients were not notified: GET /v1/messages?state=bounced. Add another transport to these recipients, then :retry."
    ),
    _(
        "Mails that come back are not noticed: with TOCSIN_BOUNCE_ADDRESS, an alert that comes back goes by the recipient's next transport. See docs/mail-bounces.md."
    ),
    _(
        "The mailbox of TOCSIN_MAILBOX_URL (%(user)s at %(host)s, folder %(folder)s) was never read: the worker does that, see its log."
    ),
    _(
        "The mailbox of TOCSIN_MAILBOX_URL (%(user)s at %(host)s, folder %(folder)s) cannot be read since %(at)s: %(why)s."
    ),
    _(
        "The mailbox of TOCSIN_MAILBOX_URL (%(user)s at %(host)s, folder %(folder)s) was last read %(at)s: the worker does that, see its log."
    ),
    _(
        "The canary mail of %(at)s by %(name)s was lost: %(text)s. Mails sent this way may not arrive. See GET /v1/canaries."
    ),
    _(
        "The database was put back to an older state, noticed %(at)s: of the schedule '%(name)s', summary no. %(n)s was sent and not known here."
    ),
    _(
        "The database was put back to an older state, noticed %(at)s: of the schedule '%(name)s', summaries no. %(n)s to %(last)s were sent and not known here."
    ),
    _(
        "Whether mail arrives is not known: if you set TOCSIN_BOUNCE_ADDRESS, and TOCSIN_MAIL_IN_PORT or TOCSIN_MAILBOX_URL, a small test mail a day tests each transport, and an alert goes by another transport if it does not arrive. See docs/mail-bounces.md."
    ),
    _(
        "Mails are signed with DKIM, but DNS has no record of the key, so every signature is wrong. Publish the TXT record %(name)s with: %(record)s"
    ),
    _(
        "Mails are signed with DKIM, but the record in DNS has another key, so every signature is wrong. Publish the TXT record %(name)s with: %(record)s"
    ),
    _("The mail server %(address)s cannot be used now: %(why)s. %(remedy)s"),
    _("See the log of the mail server."),
    _(
        "%(n)s job(s) have the same service at %(kind)s (recipient %(name)s) as another job: %(text)s. While an alert of one of them is open, the service does not become OK, and it does not show which job it is."
    ),
    _("%(service)s of %(host)s for %(one)s on %(agent)s of %(customer)s and %(two)s on %(agent2)s of %(customer2)s"),
    _("Nothing can be written in %(folder)s: %(text)s. To mend it, %(text2)s; Tocsin then goes on by itself."),
    _("The service cannot write its database: %(text)s. To mend it, %(text2)s; Tocsin then goes on by itself."),
    _(
        "The disk of %(folder)s has %(free)s left of %(all)s, less than the limit of %(limit)s (TOCSIN_DISK_FREE): free some space on it."
    ),
    _("The disk of %(folder)s has room for only %(n)s more files (inodes): delete some."),
    _("An identity provider is set, but TOCSIN_BASE_URL is not, so it cannot lead people back here: set it."),
    _("Nobody can sign in by %(name)s: %(why)s. See docs/sign-in.md."),
    _("the doctor did not end within %(n)s s"),
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
    _(
        "See GET /v1/notices?state=suppressed for the reasons. Acknowledge or close these alerts, and correct the routes."
    ),
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
    _(
        "To tell them apart, rename one of each: characters that names may not have there are replaced, so the names are the same there."
    ),
    _(
        "To tell them apart, add %(one)s to the names in the options of the recipient (PATCH /v1/recipients/<id>), and define services with these names there."
    ),
    _(
        "To tell them apart, add %(one)s and %(two)s to the names in the options of the recipient (PATCH /v1/recipients/<id>), and define services with these names there."
    ),
)
_PATTERNS = patterns_of(
    (*_FINDINGS, *_REMEDIES, *REMEDIES, *DISKS, *CREDENTIALS, *CANARIES, *RELAYS, *MAIL_TIMES),
    remedy=(*REMEDIES, "See the log of the mail server."),
)


def doctor_text(text: str, texts: NullTranslations) -> str | Markup:
    """Return a finding of the doctor, or what to do about it, in a language; text that is not translated is marked as English."""
    found = translated(text, texts, _PATTERNS)
    if isinstance(found, Markup) and text.endswith("."):  # a trouble that another part writes, as a sentence
        small = text[:1].lower() + text[1:-1]
        again = translated(small, texts, _PATTERNS)
        return found if isinstance(again, Markup) else f"{again[:1].upper()}{again[1:]}."
    return found
