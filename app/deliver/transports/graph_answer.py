"""Decides what Microsoft Graph's answer to `sendMail` means for the message. Pure.

Sources: https://learn.microsoft.com/graph/api/user-sendmail (202 Accepted), https://learn.microsoft.com/graph/errors (statuses),
https://learn.microsoft.com/graph/throttling (Retry-After), and Exchange's codes, which Graph passes on:
https://learn.microsoft.com/exchange/client-developer/web-service-reference/responsecode.
"""

import json
from dataclasses import replace
from datetime import datetime, timedelta

from app.deliver.transports.evidence import evidence
from app.deliver.transports.http_exchange import PostAnswer, retry_after
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown

_NO_RIGHT = (
    "the app may not send as TOCSIN_GRAPH_MAILBOX: it needs the application permission Mail.Send, and the mailbox must be in its scope "
    "(Test-ServicePrincipalAuthorization shows it)"
)
_NO_MAILBOX = "TOCSIN_GRAPH_MAILBOX names no mailbox that is in Exchange Online"
_NO_TOKEN = "the access token is refused: check TOCSIN_OAUTH_TENANT and TOCSIN_OAUTH_CLOUD"  # noqa: S105  (words)
# Somebody must mend the settings or the account. No message can leave until then, so all wait, as for a refused login.
_MENDS = {
    "ErrorAccessDenied": _NO_RIGHT,
    "Authorization_RequestDenied": _NO_RIGHT,
    "NoPermissionsInAccessToken": _NO_RIGHT,
    "AccessDenied": _NO_RIGHT,
    "ErrorSendAsDenied": "TOCSIN_MAIL_FROM must be the address of TOCSIN_GRAPH_MAILBOX, or one that it may send as",
    "ErrorInvalidUser": _NO_MAILBOX,
    "ErrorNonExistentMailbox": _NO_MAILBOX,
    "Request_ResourceNotFound": _NO_MAILBOX,
    "ResourceNotFound": _NO_MAILBOX,
    "MailboxNotEnabledForRESTAPI": _NO_MAILBOX,
    "MailboxNotSupportedForRESTAPI": _NO_MAILBOX,
    "InvalidAuthenticationToken": _NO_TOKEN,
    "ErrorAccountDisabled": "the account of TOCSIN_GRAPH_MAILBOX is disabled",
    "ErrorAccountSuspend": "the account of TOCSIN_GRAPH_MAILBOX is suspended",
    "ErrorMailboxConfiguration": "the mailbox TOCSIN_GRAPH_MAILBOX is not set up correctly in Exchange Online",
}
_STATUS_MENDS = {401: _NO_TOKEN, 402: "the tenant lacks a licence or a payment", 403: _NO_RIGHT, 404: _NO_MAILBOX}
# Quotas of the mailbox or the tenant: they end by themselves after hours, so an alert goes by the recipient's next transport.
_QUOTAS = frozenset(
    {
        "ErrorExceededMessageLimit",
        "ErrorMessageSubmissionBlocked",
        "ErrorQuotaExceeded",
        "ErrorSubmissionQuotaExceeded",
    }
)
_QUOTA_PAUSE = timedelta(hours=1)
# Limits and states that pass by themselves, although some come with a status of the class 4xx.
_PASSING = frozenset(
    {
        "ApplicationThrottled",
        "CommandConcurrencyLimitReached",
        "ErrorConnectionFailed",
        "ErrorExceededConnectionCount",
        "ErrorInsufficientResources",
        "ErrorInternalServerTransientError",
        "ErrorMailboxMoveInProgress",
        "ErrorMailboxStoreUnavailable",
        "ErrorServerBusy",
        "ErrorTimeoutExpired",
        "ErrorTooManyObjectsOpened",
        "MailboxConcurrencyLimitReached",
        "TooManyRequests",
    }
)
# This message will never be taken, whatever the status: its recipient, its size or its form.
_FINAL = frozenset(
    {
        "ErrorInvalidRecipients",
        "ErrorInvalidSmtpAddress",
        "ErrorMessageSizeExceeded",
        "ErrorMimeContentConversionFailed",
        "ErrorMimeContentInvalid",
        "ErrorMimeContentInvalidBase64String",
        "ErrorMissingRecipients",
        "RequestEntityTooLarge",
    }
)
_ACCEPTED = 202
_REDIRECTION, _CLIENT_FAULT, _SERVER_FAULT = 3, 4, 5
_WORTH_A_RETRY = (408, 409, 423, 425, 429)
_MAYBE_DONE = (502, 504)  # a gateway that lost the answer of Exchange cannot say whether there was one
_LONGEST_CODE = 100


def judge(answer: PostAnswer, client_request_id: str, at: datetime) -> Outcome:
    """Return what the answer means. Its ids are in the text, as Microsoft's support finds a request by them."""
    status, code = answer.status, str(answer.status)
    request_id = _one_line(answer.headers.get("request-id", ""))[:_LONGEST_CODE] or "not named"
    ids = f"request id {request_id}, client-request-id {client_request_id}"
    proof = {"request_id": request_id, "client_request_id": client_request_id}
    if status == _ACCEPTED:
        return Sent(code, f"handed to Exchange Online, {ids}", proof)
    error, message = _read_error(answer.body)
    words = f"{error}: {message}" if error else message or "no words"
    mend = _mend(status, error)
    if mend is not None:
        text = evidence(f"{mend}; Graph says: {words}; {ids}")
        return Temporary(code, text, is_hopeless_here=True, evidence=proof)
    wait = retry_after(answer.headers.get("retry-after", ""), at)
    return replace(_outcome(status, error, evidence(f"{words}; {ids}"), wait), evidence=proof)


def _mend(status: int, error: str) -> str | None:
    if error in _FINAL or error in _PASSING or error in _QUOTAS:
        return None
    if status // 100 == _REDIRECTION:
        return "redirects are not followed: check TOCSIN_GRAPH_URL and TOCSIN_OAUTH_CLOUD"
    return _MENDS.get(error) or _STATUS_MENDS.get(status)


def _outcome(status: int, error: str, text: str, wait: timedelta | None) -> Outcome:
    code, kind = str(status), status // 100
    outcome: Outcome
    if error in _FINAL:
        outcome = Permanent(code, text)
    elif error in _QUOTAS:
        outcome = Temporary(code, text, max(wait or _QUOTA_PAUSE, _QUOTA_PAUSE), is_hopeless_here=True)
    elif error in _PASSING or status in _WORTH_A_RETRY or (kind == _SERVER_FAULT and status not in _MAYBE_DONE):
        outcome = Temporary(code, text, wait)
    elif status in _MAYBE_DONE:
        outcome = Unknown(code, text)
    elif kind == _CLIENT_FAULT:
        outcome = Permanent(code, text)
    else:  # not in the documentation; a proxy's page, for example
        outcome = Unknown(code, f"this is not Graph's answer to sendMail: {text}")
    return outcome


def _read_error(body: bytes) -> tuple[str, str]:
    """Return the code and message of `{"error": {"code": ..., "message": ...}}`; of any other body its start as the message."""
    try:
        found = json.loads(body)
    except ValueError:
        return "", _one_line(body.decode("utf-8", "replace"))
    error = found.get("error") if isinstance(found, dict) else None
    code, message = (error.get("code"), error.get("message")) if isinstance(error, dict) else (None, None)
    return (
        _one_line(code)[:_LONGEST_CODE] if isinstance(code, str) else "",
        _one_line(message) if isinstance(message, str) else "",
    )


def _one_line(text: str) -> str:
    return " ".join(evidence(text).split())[:500]
