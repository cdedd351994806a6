"""What to change after a failed attempt: tables for doctor, health page, `send-test` and API, for all transports."""

from app.deliver.transports.smtp_refusals import REMEDIES
from app.domain.message import takes_json

_ = str  # marks texts for the catalogs of the pages; everything else has them in English

# By the code of an attempt: what to change. Until then Graph refuses every message, as with a refused login.
_GRAPH_REMEDIES = {
    "token": _(
        "Run `tocsin doctor`: it asks for an access token, and names the setting that is wrong (TOCSIN_OAUTH_...)."
    ),
    "graph_token": _("Check TOCSIN_OAUTH_TENANT and TOCSIN_OAUTH_CLOUD: Microsoft Graph refuses the access token."),
    "graph_right": _(
        "Grant the app the application permission Mail.Send for the mailbox in TOCSIN_GRAPH_MAILBOX (docs/graph.md); Test-ServicePrincipalAuthorization shows what it has."
    ),
    "graph_sender": _(
        "Set TOCSIN_MAIL_FROM to the address of TOCSIN_GRAPH_MAILBOX, or permit that mailbox to send as that address (Send As)."
    ),
    "graph_mailbox": _("Set TOCSIN_GRAPH_MAILBOX to a mailbox in Exchange Online: no mailbox there has this name."),
    "graph_account": _(
        "Unblock the account of TOCSIN_GRAPH_MAILBOX in Microsoft 365: Microsoft 365 has blocked it from sending."
    ),
    "graph_licence": _("Check licence and payment of the tenant: Microsoft Graph refuses requests until then."),
    "graph_address": _("Check TOCSIN_OAUTH_CLOUD and TOCSIN_GRAPH_URL: the server there redirects to another address."),
    "graph_quota": _(
        "A sending limit of TOCSIN_GRAPH_MAILBOX or of its tenant is used up: wait, or add another transport to the recipients."
    ),
}
_LOGIN = _(
    "Check the user, password, token or key in the options of the recipient (PATCH /v1/recipients/<id>): the program refuses it."
)
_AWAY = _(
    "Check that the program runs, host and port in the address of the recipient (PATCH /v1/recipients/<id>), and whether a firewall blocks the connection."
)
# The same codes mean something else for a program than for a mail server: no setting of ours names its address.
_PROGRAM_REMEDIES = {
    "connect": _AWAY,
    "disconnect": _AWAY,
    "timeout": _AWAY,
    "network": _AWAY,
    "trap": _AWAY,
    "inform": _(
        "Check host and port in the address of the recipient (PATCH /v1/recipients/<id>), that the receiver accepts informs, and that community or user and passwords are the same on both sides."
    ),
    "resolve": _(
        "Check the name of the host in the address of the recipient (PATCH /v1/recipients/<id>): DNS does not know it."
    ),
    "address": _(
        "Check the address of the recipient (PATCH /v1/recipients/<id>). A private address is reached only with TOCSIN_WEBHOOK_ALLOW_PRIVATE=true."
    ),
    "401": _LOGIN,
    "403": _LOGIN,
    "407": _LOGIN,
    "404": _(
        "Check the path in the address of the recipient (PATCH /v1/recipients/<id>): the program knows no such path."
    ),
    "nrdp": _(
        "Check the option `token` and the address of the recipient (PATCH /v1/recipients/<id>): it must be the URL of NRDP, and the token one that NRDP has."
    ),
    "service": _(
        "Define the service that the answer names in Icinga, let the API user see it, or change the options `host` and `service` of the recipient (PATCH /v1/recipients/<id>)."
    ),
    "items": _(
        "Create host and trapper item in Zabbix, allow values from this address there, or change the options `host` and `key` of the recipient (PATCH /v1/recipients/<id>)."
    ),
    "answer": _(
        "Check host, port and path in the address of the recipient (PATCH /v1/recipients/<id>): another program answers there."
    ),
    "certificate": _(
        "Set the option `ca_certificate` of the recipient to a certificate in PEM form (PATCH /v1/recipients/<id>)."
    ),
    "secret": _(
        "Enter the secrets of the recipient again (PATCH /v1/recipients/<id>), or start Tocsin with the server secret (TOCSIN_SECRET) that they were stored with."
    ),
    "header": _(
        "Enter the password, token or headers of the recipient again (PATCH /v1/recipients/<id>): they have characters that HTTP does not allow."
    ),
    "extra": _("Install the package that the answer names, in the environment of Tocsin, and start Tocsin again."),
}


def all_remedies() -> frozenset[str]:
    """Return every remedy, for the catalogs of the pages."""
    return frozenset((*REMEDIES.values(), *_GRAPH_REMEDIES.values(), *_PROGRAM_REMEDIES.values()))


def remedy_of(code: str | None, transport: str | None = None) -> str | None:
    """Return what to change, by the code of a failed attempt. It contains names of settings, and never a value.

    Without `transport`, it was a mail transport.
    """
    if transport is not None and takes_json(transport):
        return _PROGRAM_REMEDIES.get(code or "")
    return REMEDIES.get(code or "") or _GRAPH_REMEDIES.get(code or "")
