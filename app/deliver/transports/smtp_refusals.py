"""Decides what a refusal of an SMTP server is about: this message, this recipient, our settings, a quota, or a full mailbox. Pure.

RFC 5321 calls every 5xx permanent, but many of them end as soon as somebody mends a setting or a day has passed. Taken literally,
each of them would end an alert permanently. The rows below are tried in order, and the first that fits decides.

Sources: RFC 3463 and RFC 7372 (enhanced codes), RFC 4954 section 6 (login);
https://support.google.com/a/answer/3726730 (Gmail: 550 5.4.5, 550 5.7.0, 550 5.7.26, 452 4.2.2);
https://learn.microsoft.com/exchange/troubleshoot/email-delivery/ndr/non-delivery-reports-in-exchange-online (5.1.8, 5.1.90, 5.2.2,
5.7.57, 5.7.60, 5.7.64, 5.7.708); https://www.postfix.org/postconf.5.html#smtpd_delay_reject (Postfix refuses HELO name and sender
only after RCPT, unless it is set to `no`).
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from app.deliver.transports.evidence import evidence
from app.domain.attempt import Permanent, Temporary


class Stage(StrEnum):
    """The place of the dialogue where a server refuses."""

    CONNECT = "connect"
    EHLO = "ehlo"
    LOGIN = "login"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    DOT = "dot"


class RefusalKind(StrEnum):
    """What a refusal is about, which decides what follows."""

    MESSAGE = "message"  # no other try will help: permanent
    RECIPIENT = "recipient"  # the same
    SETTINGS = "settings"  # waits until they are corrected; the recipient's next transport is used at once
    QUOTA = "quota"  # waits until the server accepts mail again, and the next transport is used at once
    MAILBOX_FULL = "mailbox_full"  # waits a while
    LATER = "later"  # the server itself says so (4xx)


@dataclass(frozen=True, slots=True)
class Refusal:
    """`cause` is a key of REMEDIES, and is kept as the code of the attempt; None: the code of the reply is kept."""

    kind: RefusalKind
    cause: str | None = None


_ = str  # marks texts for the catalogs of the pages; everything else has them in English

REMEDIES = {
    "connect": _("Check host and port in TOCSIN_SMTP_URL, and whether a firewall blocks the connection."),
    "tls": _("Check `tls` in TOCSIN_SMTP_URL; for a certificate of your own authority set TOCSIN_SMTP_CA_FILE."),
    "auth": _(
        "Check user, password and `auth` in TOCSIN_SMTP_URL (for auth=xoauth2: the token): the mail server refuses the login, or requires one."
    ),
    "ehlo_name": _(
        "Set TOCSIN_SMTP_EHLO_NAME to the full name of this host in DNS, such as tocsin.example.org: the mail server refuses the name that is sent now."
    ),
    "sender": _(
        "Set TOCSIN_MAIL_FROM to an address that the login in TOCSIN_SMTP_URL may send from, or permit it at the mail server (Exchange: Send As)."
    ),
    "relay": _(
        "Put a login into TOCSIN_SMTP_URL, or permit this host at the mail server (Exchange: a receive connector): it does not accept mail to this domain from Tocsin."
    ),
    "sender_dns": _(
        "Publish SPF and DKIM records in the DNS of the domain of TOCSIN_MAIL_FROM; with TOCSIN_DKIM_KEY_FILE and TOCSIN_DKIM_SELECTOR, Tocsin signs mails."
    ),
    "reverse_dns": _(
        "Create a reverse record (PTR) in DNS for the address of this host, or name your provider's mail server in TOCSIN_SMTP_URL."
    ),
    "host_blocked": _(
        "The mail server blocks the address of this host: have it removed from the list that the reply names, or name another server in TOCSIN_SMTP_URL."
    ),
    "account": _("The provider has blocked the account in TOCSIN_SMTP_URL from sending: unblock it there."),
    "quota": _(
        "The sending limit of the account in TOCSIN_SMTP_URL is used up: wait, have the limit raised, or add a second server to TOCSIN_SMTP_URL."
    ),
    "mailbox_full": _(
        "The mailbox of the recipient is full: free space there, or add another transport to the recipient (PATCH /v1/recipients/<id>)."
    ),
    "smtputf8": _(
        "The mail server cannot carry this address: enter an address in ASCII (PATCH /v1/recipients/<id>), or use another server in TOCSIN_SMTP_URL."
    ),
}

_ANY = frozenset(Stage)
_IN_MAIL = frozenset({Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.DOT})
_TO = frozenset({Stage.RCPT, Stage.DATA, Stage.DOT})
_FULL_MAILBOX_PAUSE, _QUOTA_PAUSE = timedelta(minutes=30), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Row:
    """A reply fits if its stage is one of `stages`, and its enhanced code or its words do. `unless` excludes replies by their words."""

    kind: RefusalKind
    cause: str | None
    stages: frozenset[Stage] = _ANY
    codes: str = r"(?!)"  # fits nothing
    words: str = r"(?!)"
    unless: str = r"(?!)"

    def fits(self, stage: Stage, code: int, enhanced: str, words: str) -> bool:
        """Say whether a reply fits."""
        if stage not in self.stages or re.search(self.unless, words, re.IGNORECASE):
            return False
        given = f"{code} {enhanced}".strip()
        return bool(re.fullmatch(self.codes, given) or re.search(self.words, words, re.IGNORECASE))


_ROWS = (
    _Row(  # Exchange answers 5.2.2 for both: the sender's quota has the word "submission"
        RefusalKind.QUOTA,
        "quota",
        codes=r"\d+ [45]\.(4\.5|1\.90)",
        words=r"submission ?quota|(daily|hourly|sending|sender|outgoing|message|mail|rate)[\w ]{0,40}(limit|quota)[\w ]{0,40}(exceeded|reached)"
        r"|(exceeded|reached)[\w ]{0,40}(daily|hourly|sending|outgoing|per (hour|day))[\w ]{0,40}(limit|quota)?"
        r"|limit on the number of[\w ]{0,20}(allowed )?outgoing|too many (messages|mails|emails)",
        unless=r"mailbox|size|large",
    ),
    _Row(RefusalKind.MAILBOX_FULL, "mailbox_full", _TO, codes=r"\d+ [45]\.2\.2"),
    _Row(
        RefusalKind.MAILBOX_FULL,
        "mailbox_full",
        _TO,
        words=r"mailbox (is |size )?(\w+ )?(full|limit exceeded|quota exceeded)|(mailbox|user|recipient|account)\b.{0,60}\b(over|exceed\w*|above)\b.{0,20}quota"
        r"|over ?quota|exceeded storage allocation|mailbox for user is full",
    ),
    # No such recipient (RFC 3463 sections 3.2 and 3.3), whatever else the reply says.
    _Row(RefusalKind.RECIPIENT, None, _TO, codes=r"\d+ 5\.(1\.(1|2|3|6|10)|2\.1)"),
    _Row(
        RefusalKind.SETTINGS,
        "account",
        words=r"bad outbound sender|OutboundSpamException|account (is |has been )?(blocked|suspended|disabled)[\w ]*(sending)?",
        stages=frozenset({Stage.MAIL, Stage.DATA, Stage.DOT}),
    ),
    _Row(
        RefusalKind.SETTINGS,
        "sender",
        codes=r"\d+ 5\.(2\.252|7\.60|7\.27|1\.7)",
        words=r"send ?as ?denied|send as this sender|not (allowed|permitted|authori[sz]ed) to send (as|from|on behalf)|sender (address )?(is )?(rejected|not allowed|verify failed)"
        r"|sender verification failed|not owned by user|from address (is )?not (allowed|verified)|(email|mail) address is not verified",
        unless=r"\b(helo|ehlo)\b",
    ),
    _Row(
        RefusalKind.QUOTA,
        "quota",
        frozenset({Stage.DATA, Stage.DOT}),
        codes=r"554 5\.2\.0",
        unless=r"STOREDRV\.Deliver",
    ),
    _Row(
        RefusalKind.SETTINGS,
        "ehlo_name",
        words=r"\b(helo|ehlo)\b(?! first)",
        unless=r"(send|say|need|expected) (helo|ehlo)|closing connection|try again later",
    ),
    _Row(RefusalKind.SETTINGS, "ehlo_name", frozenset({Stage.EHLO}), codes=r"(501|504|55\d)( 5\.\d+\.\d+)?"),
    _Row(
        RefusalKind.SETTINGS,
        "tls",
        codes=r"\d+ 5\.7\.(10|11)",
        words=r"(must|have to) (issue|use) (a )?STARTTLS|encryption required",
    ),
    _Row(
        RefusalKind.SETTINGS,
        "sender_dns",
        _IN_MAIL,
        codes=r"\d+ [45]\.7\.(20|21|22|23|24|26)",
        words=r"\b(SPF|DKIM|DMARC)\b|does not have authentication information|sender is unauthenticated|unauthenticated (e-?mail|mail)",
    ),
    _Row(
        RefusalKind.SETTINGS,
        "reverse_dns",
        codes=r"\d+ [45]\.7\.25",
        words=r"reverse (dns|hostname|lookup)|cannot find your (reverse )?hostname|\bPTR\b|no rdns",
    ),
    _Row(
        RefusalKind.SETTINGS,
        "host_blocked",
        codes=r"\d+ [45]\.7\.(511|606|708)",
        words=r"(client host|your (ip|host|server)|ip address|\d+\.\d+\.\d+\.\d+).{0,80}(block|blacklist|banned|reject|denied|listed|reputation)"
        r"|blocked using|banned sending ip",
    ),
    _Row(
        RefusalKind.SETTINGS,
        "relay",
        _IN_MAIL,
        codes=r"\d+ 5\.7\.(54|64)",
        words=r"relay(ing)?( access)?( is)? (denied|not (allowed|permitted)|prohibited)|(unable|not permitted|not allowed) to relay|(do not|don't|cannot|can't) relay"
        r"|credentials for relay",
    ),
    _Row(
        RefusalKind.SETTINGS,
        "auth",
        _IN_MAIL,
        codes=r"(530|534|535|538)( \d\.\d+\.\d+)?|\d+ 5\.7\.(57|8|139)",
        words=r"authentication (is )?(required|needed|failed)|(must|need to) (authenticate|log ?in)|(was|is)? ?not authenticated|\bauth(enticate)? first|smtp auth\w* is required",
    ),
    # The size is all that MAIL says about this message (RFC 1870, RFC 6531); everything else in it is the same for every message.
    _Row(
        RefusalKind.MESSAGE,
        None,
        frozenset({Stage.MAIL}),
        codes=r"(552|523)( .*)?|\d+ 5\.(3\.4|2\.3|6\.7)",
        words=r"size|too (big|large)|SMTPUTF8",
    ),
    _Row(RefusalKind.SETTINGS, "sender", frozenset({Stage.MAIL}), codes=r"5\d\d( .*)?"),
    _Row(RefusalKind.SETTINGS, "auth", frozenset({Stage.LOGIN}), codes=r"[45]\d\d( .*)?"),
)

_ADDRESS = re.compile(r"<?[^\s<>@]{1,256}@[^\s<>@]{1,256}>?")
_ENHANCED = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")
# Causes that do not depend on the recipient. Any other refusal after RCPT may concern the mail to one domain only,
# and a pause for it must not hold up the mail to others.
_CAUSES_OF_ALL_MAIL = frozenset({"auth", "tls", "ehlo_name", "quota", "account"})


def read_refusal(stage: Stage, code: int, text: str) -> Refusal:
    """Return what a reply refuses. A 4xx may name a setting too, but it always means: try again later."""
    found = _ENHANCED.match(text)
    words = _ADDRESS.sub("<address>", " ".join(text.split()))  # helo@example.org is no word about a name
    for row in _ROWS:
        if row.fits(stage, code, found[1] if found else "", words):
            is_later = code < 500 and row.kind in (RefusalKind.SETTINGS, RefusalKind.QUOTA)  # noqa: PLR2004  (RFC 5321 section 4.2.1)
            return Refusal(RefusalKind.LATER if is_later else row.kind, row.cause)
    if code < 500 or stage in (Stage.CONNECT, Stage.EHLO):  # noqa: PLR2004
        return Refusal(RefusalKind.LATER)
    return Refusal(RefusalKind.RECIPIENT if stage is Stage.RCPT else RefusalKind.MESSAGE)


def outcome_of(refusal: Refusal, code: int, text: str | bytes) -> Temporary | Permanent:
    """Return the outcome of an attempt that was refused. The server's own words are kept; a cause takes the place of the code."""
    reply = evidence(text)
    shown = str(code) if refusal.cause is None else refusal.cause
    reply = reply if refusal.cause is None else f"{code} {reply}"
    match refusal.kind:
        case RefusalKind.MESSAGE | RefusalKind.RECIPIENT:
            return Permanent(shown, reply)
        case RefusalKind.SETTINGS:
            return Temporary(shown, reply, is_hopeless_here=True)
        case RefusalKind.QUOTA:
            return Temporary(shown, reply, _QUOTA_PAUSE, is_hopeless_here=True)
        case RefusalKind.MAILBOX_FULL:
            return Temporary(shown, reply, _FULL_MAILBOX_PAUSE)
        case RefusalKind.LATER:
            return Temporary(shown, reply)


def concerns_all_mail(refusal: Refusal, stage: Stage) -> bool:
    """Say whether the server would refuse a mail to any other recipient for the same reason."""
    return stage not in _TO or refusal.cause in _CAUSES_OF_ALL_MAIL
