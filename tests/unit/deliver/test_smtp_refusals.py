"""What refusals of SMTP servers are about: one row a reply, as servers send it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.settings import Settings
from app.deliver.transports.remedies import remedy_of
from app.deliver.transports.smtp_refusals import (
    REMEDIES,
    Refusal,
    RefusalKind,
    Stage,
    concerns_all_mail,
    outcome_of,
    read_refusal,
)
from app.domain.attempt import Permanent, Temporary

CONNECT, EHLO, LOGIN, MAIL, RCPT, DATA, DOT = Stage
SETTINGS, QUOTA, FULL, LATER = RefusalKind.SETTINGS, RefusalKind.QUOTA, RefusalKind.MAILBOX_FULL, RefusalKind.LATER
MESSAGE, RECIPIENT = RefusalKind.MESSAGE, RefusalKind.RECIPIENT

CASES = [
    # the name in EHLO, at any stage
    (EHLO, "504 5.5.2 <tocsin>: Helo command rejected: need fully-qualified hostname", SETTINGS, "ehlo_name"),
    (EHLO, "501 Syntactically invalid EHLO argument(s)", SETTINGS, "ehlo_name"),
    (EHLO, "501 5.5.4 Invalid domain name", SETTINGS, "ehlo_name"),
    (EHLO, "550 Access denied", SETTINGS, "ehlo_name"),
    (MAIL, "550 Access denied - Invalid HELO name (See RFC2821 4.1.1.1)", SETTINGS, "ehlo_name"),
    (RCPT, "504 5.5.2 <tocsin>: Helo command rejected: need fully-qualified hostname", SETTINGS, "ehlo_name"),
    (RCPT, "550 5.7.1 <tocsin.lan>: Helo command rejected: Host not found", SETTINGS, "ehlo_name"),
    (RCPT, "501 5.5.2 <[127.0.0.1]>: Helo command rejected: invalid ip address", SETTINGS, "ehlo_name"),
    (RCPT, "450 4.7.1 <tocsin.lan>: Helo command rejected: Host not found", LATER, "ehlo_name"),
    (DOT, "550 HELO string does not match your reverse name", SETTINGS, "ehlo_name"),
    (MAIL, "421 4.7.0 Try again later, closing connection. (EHLO)", LATER, None),
    # a word in an address that the server repeats says nothing
    (RCPT, "550 <john.helo@example.org>: user unknown", RECIPIENT, None),
    (RCPT, "550 quota-relay@spf.example.org: no such user here", RECIPIENT, None),
    (DOT, "554 <helo@example.org> rejected as spam", MESSAGE, None),
    # the sender
    (MAIL, "550 5.7.1 Sender not allowed", SETTINGS, "sender"),
    (MAIL, "553 5.7.1 <tocsin@example.org>: Sender address rejected: not owned by user ann", SETTINGS, "sender"),
    (MAIL, "550 5.1.8 <tocsin@localhost>: Sender address rejected: Domain not found", SETTINGS, "sender"),
    (MAIL, "501 5.1.7 Bad sender address syntax", SETTINGS, "sender"),
    (MAIL, "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)", SETTINGS, "sender"),
    (MAIL, "450 4.1.8 <tocsin@localhost>: Sender address rejected: Domain not found", LATER, "sender"),
    (RCPT, "550 Sender verify failed", SETTINGS, "sender"),
    (RCPT, "550 5.1.7 The sender's mailbox is unknown", SETTINGS, "sender"),
    (DOT, "550 5.7.60 SMTP; Client does not have permissions to send as this sender", SETTINGS, "sender"),
    (DOT, "554 5.2.252 SendAsDenied; ann@example.org not allowed to send as tocsin@example.org", SETTINGS, "sender"),
    (
        DOT,
        "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed to process message",
        SETTINGS,
        "sender",
    ),
    (DOT, "554 Message rejected: Email address is not verified.", SETTINGS, "sender"),  # Amazon SES
    # the login
    (MAIL, "530 5.7.0 Authentication Required.", SETTINGS, "auth"),
    (MAIL, "530 5.7.57 Client not authenticated to send mail.", SETTINGS, "auth"),
    (MAIL, "503 5.5.1 Authentication required", SETTINGS, "auth"),
    (RCPT, "550 5.7.1 Client was not authenticated", SETTINGS, "auth"),
    (
        RCPT,
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant",
        SETTINGS,
        "auth",
    ),
    (LOGIN, "535 5.7.8 Username and Password not accepted", SETTINGS, "auth"),
    (LOGIN, "454 4.7.0 Temporary authentication failure", LATER, "auth"),
    (MAIL, "530 5.7.0 Must issue a STARTTLS command first", SETTINGS, "tls"),
    # relaying
    (RCPT, "554 5.7.1 <ann@example.org>: Relay access denied", SETTINGS, "relay"),
    (RCPT, "550 5.7.1 Unable to relay", SETTINGS, "relay"),
    (RCPT, "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", SETTINGS, "relay"),
    (DOT, "550 5.7.64 TenantAttribution; Relay Access Denied", SETTINGS, "relay"),
    (RCPT, "550 relay not permitted", SETTINGS, "relay"),
    (RCPT, "454 4.7.1 <ann@example.org>: Relay access denied", LATER, "relay"),
    (MAIL, "550 5.7.0 Mail relay denied [192.0.2.1].", SETTINGS, "relay"),
    # DNS and the host's reputation
    (DOT, "550 5.7.26 This mail has been blocked because the sender is unauthenticated.", SETTINGS, "sender_dns"),
    (DOT, "550 5.7.1 This message does not have authentication information or fails to pass", SETTINGS, "sender_dns"),
    (RCPT, "550 5.7.23 SPF validation failed", SETTINGS, "sender_dns"),
    (RCPT, "550 5.7.25 The IP address sending this message does not have a PTR record setup", SETTINGS, "reverse_dns"),
    (RCPT, "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]", LATER, "reverse_dns"),
    (
        CONNECT,
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
        SETTINGS,
        "host_blocked",
    ),
    (RCPT, "550 5.7.1 Service unavailable, Client host [192.0.2.1] blocked using Spamhaus.", SETTINGS, "host_blocked"),
    (CONNECT, "554 5.7.1 go away", LATER, None),
    (CONNECT, "421 too many connections", LATER, None),
    # quotas of ours
    (DOT, "550 5.4.5 Daily user sending limit exceeded.", QUOTA, "quota"),
    (MAIL, "550 5.4.5 Daily SMTP relay sending limit exceeded for user.", QUOTA, "quota"),
    (
        RCPT,
        "554 5.7.0 The limit on the number of allowed outgoing messages was exceeded. Try again later.",
        QUOTA,
        "quota",
    ),
    (DOT, "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException", QUOTA, "quota"),
    (DOT, "554 5.2.0 Your message could not be sent", QUOTA, "quota"),
    (DOT, "550 5.2.2 Submission quota exceeded", QUOTA, "quota"),
    (
        DOT,
        "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
        QUOTA,
        "quota",
    ),
    (MAIL, "550 5.7.1 Hourly sending limit exceeded", QUOTA, "quota"),
    (RCPT, "451 4.7.1 Rate limit exceeded", LATER, "quota"),
    (DOT, "550 5.1.8 Access denied, bad outbound sender", SETTINGS, "account"),
    (
        DOT,
        "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; WASCL UserAction verdict",
        SETTINGS,
        "account",
    ),
    # a full mailbox
    (RCPT, "552 5.2.2 The email account that you tried to reach is over quota.", FULL, "mailbox_full"),
    (RCPT, "452 4.2.2 The email account that you tried to reach is over quota.", FULL, "mailbox_full"),
    (DOT, "552 5.2.2 <ann@example.org> Quota exceeded (mailbox for user is full)", FULL, "mailbox_full"),
    (RCPT, "552 Requested mail action aborted: exceeded storage allocation", FULL, "mailbox_full"),
    (RCPT, "550 5.7.1 Mailbox full", FULL, "mailbox_full"),
    (DOT, "554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException", FULL, "mailbox_full"),
    # what only another message or another recipient changes
    (MAIL, "552 5.3.4 Message size exceeds fixed maximum message size", MESSAGE, None),
    (MAIL, "552 size limit exceeded", MESSAGE, None),
    (DOT, "552 5.3.4 Message size exceeds fixed limit", MESSAGE, None),
    (DOT, "552 Message size limit exceeded", MESSAGE, None),
    (DOT, "554 5.7.1 Message rejected as spam", MESSAGE, None),
    (DOT, "552 5.7.0 This message was blocked because its content presents a potential security issue.", MESSAGE, None),
    (DOT, "554 5.7.0 Reject, id=12-34 - BANNED", MESSAGE, None),
    (RCPT, "550 5.1.1 <ann@example.org>: Recipient address rejected: User unknown", RECIPIENT, None),
    (RCPT, "550 5.1.1 192.0.2.1 ann@example.org rejected: no such user, DMARC is published", RECIPIENT, None),
    (DOT, "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup", RECIPIENT, None),
    (RCPT, "550 5.7.1 Not allowed to write to this list", RECIPIENT, None),
    (RCPT, "553 5.1.3 The recipient address is not a valid address", RECIPIENT, None),
    (RCPT, "550 5.2.1 The email account that you tried to reach is disabled.", RECIPIENT, None),
    (RCPT, "451 4.7.1 Greylisted, try again in 300 seconds", LATER, None),
    (RCPT, "450 4.2.1 The user you are trying to contact is receiving mail too quickly.", LATER, None),
    (DATA, "554 5.5.1 No valid recipients", MESSAGE, None),
    (DATA, "451 4.3.0 Out of disk space", LATER, None),
]


@pytest.mark.parametrize(
    ("stage", "reply", "kind", "cause"), CASES, ids=[f"{case[0]} {case[1][:60]}" for case in CASES]
)
def test_a_refusal_is_read(stage: Stage, reply: str, kind: RefusalKind, cause: str | None):
    assert read_refusal(stage, int(reply[:3]), reply[4:]) == Refusal(kind, cause)


@given(st.sampled_from(Stage), st.integers(400, 599), st.text(max_size=300))
def test_any_reply_is_read_and_only_a_message_or_its_recipient_ends_it(stage: Stage, code: int, text: str):
    refusal = read_refusal(stage, code, text)
    outcome = outcome_of(refusal, code, text)
    assert isinstance(outcome, Permanent) is (refusal.kind in (MESSAGE, RECIPIENT))
    assert refusal.cause is None or remedy_of(refusal.cause)
    assert len(outcome.code) <= 40
    if code < 500:
        assert isinstance(outcome, Temporary)
        assert not outcome.is_hopeless_here


def test_a_refused_setting_goes_on_at_once_and_a_full_mailbox_waits():
    sender = outcome_of(Refusal(SETTINGS, "sender"), 550, b"5.7.60 no")
    full = outcome_of(Refusal(FULL, "mailbox_full"), 552, b"5.2.2 full")
    assert sender == Temporary("sender", "550 5.7.60 no", is_hopeless_here=True)
    assert isinstance(full, Temporary)
    assert full.retry_after
    assert not full.is_hopeless_here


@pytest.mark.parametrize(
    ("stage", "cause", "wanted"),
    [
        (MAIL, "sender", True),
        (RCPT, "sender", False),
        (RCPT, "relay", False),
        (DOT, "sender_dns", False),
        (RCPT, "ehlo_name", True),
        (RCPT, "auth", True),
        (DOT, "quota", True),
        (DOT, "account", True),
        (RCPT, "host_blocked", False),
    ],
)
def test_a_refusal_concerns_all_mail_or_that_to_one_domain(stage: Stage, cause: str, wanted: bool):
    assert concerns_all_mail(Refusal(SETTINGS, cause), stage) is wanted


def test_remedy_of_names_settings_that_exist():
    named = {name for words in REMEDIES.values() for name in re.findall(r"TOCSIN_([A-Z_]+)", words)}
    assert {name.lower() for name in named} <= set(Settings.model_fields)
    assert remedy_of("550") is None
    assert remedy_of(None) is None
