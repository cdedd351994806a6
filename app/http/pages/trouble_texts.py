"""Templates of texts that both stored texts and what `tocsin doctor` finds contain: disks, test mails, access, remedies."""

from app.deliver.transports.remedies import all_remedies

_ = str  # marks texts for the catalogs; they are translated when they are shown

REMEDIES = tuple(sorted(all_remedies()))
DISKS = (
    _("the disk is full"),
    _("the disk quota is used up"),
    _("files have reached the largest size that is allowed"),
    _("it is read-only"),
    _("permission is denied"),
    _("the disk reports errors"),
    _("free some space on it"),
    _("free some space, or raise the quota of the user that Tocsin runs as"),
    _("raise the limit (`ulimit -f`, or LimitFSIZE of systemd)"),
    _("make it writable again; the log of the system or of PostgreSQL has the reason"),
    _("let the user that Tocsin runs as write there"),
    _("check the disk; the system's log has the reason"),
)
CREDENTIALS = (
    _("%(words)s expired on %(at)s, so mail that needs it does not leave: create a new one (docs/graph.md)"),
    _(
        "%(words)s expires on %(at)s, within a day; then mail that needs it does not leave: create a new one (docs/graph.md)"
    ),
    _(
        "%(words)s expires on %(at)s, in 1 day; then mail that needs it does not leave: create a new one (docs/graph.md)"
    ),
    _(
        "%(words)s expires on %(at)s, in %(n)s days; then mail that needs it does not leave: create a new one (docs/graph.md)"
    ),
    _("%(words)s does not end soon"),
    _("the certificate in TOCSIN_OAUTH_CERTIFICATE_FILE"),
    _("the secret in TOCSIN_OAUTH_CLIENT_SECRET"),
)
CANARIES = (
    _("it could not be sent"),
    _("it could not be sent (%(text)s)"),
    _("it was sent and not delivered"),
    _("it was sent and not delivered (%(text)s)"),
    _("the mailbox in which it should arrive could not be read since %(at)s"),
    _("the mailbox in which it should arrive could not be read so far"),
    _("it did not arrive within %(n)s min, although %(name)s accepted it"),
    _("it did not arrive within %(n)s min, although %(name)s accepted it (%(text)s)"),
    _("it did not leave within %(n)s min"),
    _("it did not leave within %(n)s min (%(text)s)"),
)
MAIL_TIMES = (
    _("Your mail took %(words)s on average in the last 30 days, the slowest %(words2)s."),
    _(
        "Your mail took %(words)s on average in the last 30 days, the slowest %(words2)s. %(n)s of %(all)s test mails did not arrive."
    ),
    _("Your mail took %(words)s in the last 30 days."),
    _("Your mail took %(words)s in the last 30 days. %(n)s of %(all)s test mails did not arrive."),
    _("%(n)s of %(all)s test mails did not arrive in the last 30 days."),
    _("%(n)s of 1 test mail did not arrive in the last 30 days."),
    _("less than 1 s"),
)
RELAYS = (
    _("relay %(name)s is paused: %(words)s"),
    _("no reason given"),
    _("relay %(name)s cannot send since %(at)s: %(text)s"),
    _("relay %(name)s does not send: %(text)s"),
    _("relay %(name)s has not reported since %(at)s"),
    _("relay %(name)s has not reported yet"),
    _("a message has waited for relay %(name)s since %(at)s"),
    _("relay %(name)s is busy with one message since %(at)s"),
    _("a window opened: %(text)s"),
    _("a message stuck in its Outbox: %(text)s"),
    _("one timeout after the other: %(text)s"),
    _("its logon failed: %(text)s"),
    _("its mail profile is missing: %(text)s"),
    _("its mail client cannot be used: %(text)s"),
    _("with its profile mail could stay in the Outbox: %(text)s"),
    _("its mail client and its Python differ in bitness: %(text)s"),
)
