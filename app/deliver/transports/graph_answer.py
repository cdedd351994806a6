"""Decides what Microsoft Graph's answer to `sendMail` means for the message. Pure.

Sources: https://learn.microsoft.com/graph/api/user-sendmail (202 Accepted), https://learn.microsoft.com/graph/errors (statuses),
https://learn.microsoft.com/graph/throttling (Retry-After), and Exchange's codes, which Graph passes on:
https://learn.microsoft.com/exchange/client-developer/web-service-reference/responsecode.
"""

import json
from dataclasses import replace
from datetime import datetime, timedelta

from app.deliver.transports.evidence import evidence, evidence_line
from app.deliver.transports.http_exchange import PostAnswer, retry_after
from app.domain.attempt import Outcome, Permanent, Sent, Temporary, Unknown

_CAUSES = {
    "AccessDenied": "graph_right",
    "Authorization_RequestDenied": "graph_right",
    "ErrorAccessDenied": "graph_right",
    "NoPermissionsInAccessToken": "graph_right",
    "ErrorSendAsDenied": "graph_sender",
    "ErrorInvalidUser": "graph_mailbox",
    "ErrorMailboxConfiguration": "graph_mailbox",
    "ErrorNonExistentMailbox": "graph_mailbox",
    "MailboxNotEnabledForRESTAPI": "graph_mailbox",
    "MailboxNotSupportedForRESTAPI": "graph_mailbox",
    "Request_ResourceNotFound": "graph_mailbox",
    "ResourceNotFound": "graph_mailbox",
    "ErrorAccountDisabled": "graph_account",
    "ErrorAccountSuspend": "graph_account",
    "InvalidAuthenticationToken": "graph_token",
}
_STATUS_CAUSES = {401: "graph_token", 402: "graph_licence", 403: "graph_right", 404: "graph_mailbox"}
# Quotas of the mailbox or the tenant: they end by themselves after hours, so the recipient's next transport is used.
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
# Graph will never accept this message, whatever the status, because of its recipient, size or form.
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
    status = answer.status
    request_id = _one_line(answer.headers.get("request-id", ""))[:_LONGEST_CODE] or "not named"
    ids = f"request id {request_id}, client-request-id {client_request_id}"
    proof = {"request_id": request_id, "client_request_id": client_request_id}
    if status == _ACCEPTED:
        return Sent(str(status), f"handed to Exchange Online, {ids}", proof)
    error, message = _read_error(answer.body)
    words = f"{error}: {message}" if error else message or "no error text"
    cause = _cause(status, error)
    if cause is not None:
        return Temporary(cause, evidence(f"{status} {words}; {ids}"), is_hopeless_here=True, evidence=proof)
    wait = retry_after(answer.headers.get("retry-after", ""), at)
    return replace(_outcome(status, error, evidence(f"{words}; {ids}"), wait), evidence=proof)


def _cause(status: int, error: str) -> str | None:
    """Return the key in remedies.py if the answer would be the same for every message until a setting is changed."""
    if error in _FINAL or error in _PASSING or error in _QUOTAS:
        return None
    if status // 100 == _REDIRECTION:
        return "graph_address"
    return _CAUSES.get(error) or _STATUS_CAUSES.get(status)


def _outcome(status: int, error: str, text: str, wait: timedelta | None) -> Outcome:
    code, kind = str(status), status // 100
    outcome: Outcome
    if error in _FINAL:
        outcome = Permanent(code, text)
    elif error in _QUOTAS:
        text = f"{code} {text}"
        outcome = Temporary("graph_quota", text, max(wait or _QUOTA_PAUSE, _QUOTA_PAUSE), is_hopeless_here=True)
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
    return evidence_line(text)[:500]
