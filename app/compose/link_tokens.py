"""Takes the signed links out of a mail that somebody else looks at: whoever has such a link acts in the name of the recipient."""

import re
from email import message_from_bytes, policy
from email.message import EmailMessage

from app.compose.unsubscribe import PATH as UNSUBSCRIBE
from app.domain.answer_link import PATH as ANSWER

_SIGNED = re.compile(rf"({re.escape(ANSWER)}|{re.escape(UNSUBSCRIBE)})[A-Za-z0-9_.]+")
_HEADERS = ("List-Unsubscribe", "List-Unsubscribe-Post")


def without_tokens(text: str) -> str:
    """Return a text in which the links that act by themselves do nothing."""
    return _SIGNED.sub(r"\1hidden", text)


def mail_without_tokens(mail: bytes) -> bytes:
    """Return a mail in which the links that act by themselves do nothing; a mail without such links stays byte for byte."""
    parsed = message_from_bytes(mail, policy=policy.SMTP)
    assert isinstance(parsed, EmailMessage)  # noqa: S101  (what this policy makes)
    is_changed = False
    for name in _HEADERS:
        is_changed |= name in parsed
        del parsed[name]
    for part in parsed.walk():
        if part.get_content_maintype() != "text":
            continue
        content = part.get_content()
        if (harmless := without_tokens(content)) != content:
            part.set_content(harmless, subtype=part.get_content_subtype())
            is_changed = True
    return parsed.as_bytes() if is_changed else mail
