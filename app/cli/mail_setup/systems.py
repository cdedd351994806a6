"""The mail systems that `tocsin setup mail` knows, and which of them an address probably belongs to, by its domain's DNS records.

Servers of providers: their own help pages and Mozilla's collection (https://github.com/thunderbird/autoconfig).
"""

from dataclasses import dataclass
from enum import StrEnum

from app.cli.mail_setup.lookup import MailRecords


class MailSystem(StrEnum):
    """What sends the mail; the rows of the table in docs/mail.md, in its order."""

    OWN = "own"
    EXCHANGE = "exchange"
    EXCHANGE_ONLINE = "exchange-online"
    GOOGLE = "google"
    PROVIDER = "provider"
    OUTLOOK = "outlook"


TITLES = {
    MailSystem.OWN: "your own mail server (Postfix, Exim, a relay in your network)",
    MailSystem.EXCHANGE: "Exchange on your premises",
    MailSystem.EXCHANGE_ONLINE: "Exchange Online (Microsoft 365)",
    MailSystem.GOOGLE: "Google Workspace or Gmail",
    MailSystem.PROVIDER: "the SMTP server of a provider (web host, Amazon SES, SendGrid ...)",
    MailSystem.OUTLOOK: "only Outlook on one Windows host may send",
}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What an address probably needs, and why. `server` is `host:port`, where it is known."""

    system: MailSystem
    why: str
    server: str | None = None


@dataclass(frozen=True, slots=True)
class MailProvider:
    """A provider, by the end of the name of its MX or SRV records."""

    name: str
    mx: str
    server: str
    system: MailSystem = MailSystem.PROVIDER


PROVIDERS = (
    MailProvider("Microsoft's Outlook.com", "olc.protection.outlook.com", "smtp-mail.outlook.com:587"),
    MailProvider("Exchange Online", "mail.protection.outlook.com", "smtp.office365.com:587", MailSystem.EXCHANGE_ONLINE),
    MailProvider("Exchange Online", "mx.microsoft", "smtp.office365.com:587", MailSystem.EXCHANGE_ONLINE),
    MailProvider("Exchange Online", "office365.us", "smtp.office365.us:587", MailSystem.EXCHANGE_ONLINE),
    MailProvider("Exchange Online", "protection.partner.outlook.cn", "smtp.partner.outlook.cn:587", MailSystem.EXCHANGE_ONLINE),
    MailProvider("Google", "google.com", "smtp.gmail.com:587", MailSystem.GOOGLE),
    MailProvider("Google", "googlemail.com", "smtp.gmail.com:587", MailSystem.GOOGLE),
    MailProvider("GMX", "gmx.net", "mail.gmx.net:587"),
    MailProvider("WEB.DE", "web.de", "smtp.web.de:587"),
    MailProvider("T-Online", "t-online.de", "securesmtp.t-online.de:465"),
    MailProvider("IONOS", "ionos.de", "smtp.ionos.de:465"),
    MailProvider("IONOS", "kundenserver.de", "smtp.ionos.de:465"),
    MailProvider("IONOS", "ionos.com", "smtp.ionos.com:465"),
    MailProvider("Strato", "rzone.de", "smtp.strato.de:465"),
    MailProvider("mailbox.org", "mailbox.org", "smtp.mailbox.org:465"),
    MailProvider("Posteo", "posteo.de", "posteo.de:465"),
    MailProvider("Fastmail", "messagingengine.com", "smtp.fastmail.com:465"),
    MailProvider("Zoho", "zoho.com", "smtp.zoho.com:465"),
    MailProvider("Zoho", "zoho.eu", "smtp.zoho.eu:465"),
    MailProvider("Yahoo", "yahoodns.net", "smtp.mail.yahoo.com:465"),
    MailProvider("iCloud", "icloud.com", "smtp.mail.me.com:587"),
    MailProvider("OVH", "ovh.net", "ssl0.ovh.net:465"),
    MailProvider("Infomaniak", "infomaniak.ch", "mail.infomaniak.com:465"),
    MailProvider("Gandi", "gandi.net", "mail.gandi.net:465"),
)  # fmt: skip


def suggest(domain: str, records: MailRecords) -> Suggestion:
    """Return what an address in `domain` probably needs."""
    for server in records.mx:
        for provider in PROVIDERS:
            if server == provider.mx or server.endswith(f".{provider.mx}"):
                why = f"{domain} receives its mail at {server}, which belongs to {provider.name}"
                return Suggestion(provider.system, why, provider.server)
    if records.submission is not None:
        why = f"{domain} names {records.submission} as its mail server (SRV record, RFC 6186)"
        return Suggestion(MailSystem.OWN, why, records.submission)
    if records.mx:
        return Suggestion(MailSystem.OWN, f"{domain} receives its mail at {records.mx[0]}", records.mx[0])
    return Suggestion(MailSystem.OWN, records.failure or f"{domain} has no DNS records for mail")
