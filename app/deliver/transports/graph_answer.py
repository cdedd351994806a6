"""Decides what Microsoft Graph's answer to `sendMail` means for the message. Pure.

Sources: https://learn.microsoft.com/graph/api/user-sendmail (202 Accepted), https://learn.microsoft.com/graph/errors (statuses),
https://learn.microsoft.com/graph/throttling (Retry-After), and Exchange's codes, which Graph passes on:
https://learn.microsoft.com/exchange/client-developer/web-service-reference/responsecode.
"""

import json
from dataclasses import dataclass
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
# Limits and states that pass by themselves, although some come with a status of the class 4xx.
_PASSING = frozenset(
    {
        "ApplicationThrottled",
        "CommandConcurrencyLimitReached",
        "ErrorConnectionFailed",
        "ErrorExceededConnectionCount",
        "ErrorExceededMessageLimit",
        "ErrorInsufficientResources",
        "ErrorInternalServerTransientError",
        "ErrorMailboxMoveInProgress",
        "ErrorMailboxStoreUnavailable",
        "ErrorMessageSubmissionBlocked",
        "ErrorQuotaExceeded",
        "ErrorServerBusy",
        "ErrorSubmissionQuotaExceeded",
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
_REDIRECTION = 3
_WORTH_A_RETRY = (408, 409, 423, 425, 429)
_MAYBE_DONE = (502, 504)  # a gateway that lost the answer of Exchange cannot say whether there was one
_LONGEST_CODE = 100


@dataclass(frozen=True, slots=True)
class GraphVerdict:
    """The outcome; `must_be_mended`: it is the same for every message until somebody mends the settings."""

    outcome: Outcome
    must_be_mended: bool = False


def judge(answer: PostAnswer, client_request_id: str, at: datetime) -> GraphVerdict:
    """Return what the answer means. Its ids are in the text, as Microsoft's support finds a request by them."""
    status, code = answer.status, str(answer.status)
    ids = f"request id {_id(answer)}, client-request-id {client_request_id}"
    if status == _ACCEPTED:
        return GraphVerdict(Sent(code, f"handed to Exchange Online, {ids}"))
    error, message = _read_error(answer.body)
    words = f"{error}: {message}" if error else message or "no words"
    mend = _mend(status, error)
    if mend is not None:
        return GraphVerdict(Temporary(code, evidence(f"{mend}; Graph says: {words}; {ids}")), must_be_mended=True)
    return GraphVerdict(
        _outcome(status, error, evidence(f"{words}; {ids}"), retry_after(answer.headers.get("retry-after", ""), at))
    )


def _mend(status: int, error: str) -> str | None:
    if error in _FINAL or error in _PASSING:
        return None
    if status // 100 == _REDIRECTION:
        return "redirects are not followed: check TOCSIN_GRAPH_URL and TOCSIN_OAUTH_CLOUD"
    return _MENDS.get(error) or _STATUS_MENDS.get(status)


def _outcome(status: int, error: str, text: str, wait: timedelta | None) -> Outcome:
    code = str(status)
    if error in _FINAL:
        return Permanent(code, text)
    if error in _PASSING or status in _WORTH_A_RETRY:
        return Temporary(code, text, wait)
    if status in _MAYBE_DONE:
        return Unknown(code, text)
    match status // 100:
        case 5:
            return Temporary(code, text, wait)
        case 4:
            return Permanent(code, text)
        case _:  # not in the documentation; a proxy's page, for example
            return Unknown(code, f"this is not Graph's answer to sendMail: {text}")


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


def _id(answer: PostAnswer) -> str:
    return _one_line(answer.headers.get("request-id", ""))[:_LONGEST_CODE] or "not named"


def _one_line(text: str) -> str:
    return " ".join(evidence(text).split())[:500]
