"""What to change after a failed attempt: one table for doctor, health page and API, for all transports."""

from app.deliver.transports.smtp_refusals import REMEDIES

# By the code of an attempt: what to change. Until then Graph refuses every message, as with a refused login.
_GRAPH_REMEDIES = {
    "token": "Run `tocsin doctor`: it asks for an access token, and names the setting that is wrong (TOCSIN_OAUTH_...).",
    "graph_token": "Check TOCSIN_OAUTH_TENANT and TOCSIN_OAUTH_CLOUD: Microsoft Graph refuses the access token.",
    "graph_right": "Grant the app the application permission Mail.Send for the mailbox in TOCSIN_GRAPH_MAILBOX (docs/graph.md); Test-ServicePrincipalAuthorization shows what it has.",
    "graph_sender": "Set TOCSIN_MAIL_FROM to the address of TOCSIN_GRAPH_MAILBOX, or permit that mailbox to send as that address (Send As).",
    "graph_mailbox": "Set TOCSIN_GRAPH_MAILBOX to a mailbox in Exchange Online: no mailbox there has this name.",
    "graph_account": "Unblock the account of TOCSIN_GRAPH_MAILBOX in Microsoft 365: Microsoft 365 has blocked it from sending.",
    "graph_licence": "Check licence and payment of the tenant: Microsoft Graph refuses requests until then.",
    "graph_address": "Check TOCSIN_OAUTH_CLOUD and TOCSIN_GRAPH_URL: the server there redirects to another address.",
    "graph_quota": "A sending limit of TOCSIN_GRAPH_MAILBOX or of its tenant is used up: wait, or add another transport to the recipients.",
}


def remedy_of(code: str | None) -> str | None:
    """Return what to change, by the code of a failed attempt. It contains names of settings, and never a value."""
    return REMEDIES.get(code or "") or _GRAPH_REMEDIES.get(code or "")
