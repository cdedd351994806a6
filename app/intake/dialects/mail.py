"""Mails of backup tools. The admin's mail rules come first, then the subjects of the tools that can only send mail.

A mail is parsed as in RFC 5322. Sources of the subjects: the tools' own documentation of their mails. A subject that is not known
needs a mail rule.
"""

import email
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser

from app.core.mail_address import split_address
from app.domain.event import Activity
from app.domain.mail_rule import MailRule, ToolText
from app.intake.dialects import duplicati, kopia, proxmox
from app.intake.dialects.make_event import make_event
from app.intake.dialects.text_decoding import decode_encoded_words, decode_text
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.dialects.values import parse_number
from app.intake.dialects.wording import find_outcome
from app.intake.parse import WireEvent

TOOL = "mail"
MAX_TEXT, MAX_SUBJECT, MAX_PARTS = 1024 * 1024, 1000, 100
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A parsed mail. `key` identifies it if it has a Message-ID. `html` is what `text` was made from, if it was made from HTML."""

    subject: str
    text: str
    sender: str
    at: datetime | None
    job: str | None
    key: str | None
    html: str = ""


def read(request: ToolRequest, rules: Sequence[MailRule] = ()) -> Sequence[WireEvent]:
    """Return the events of one mail. Raises NotUnderstood for a mail whose subject is not known."""
    mail = _parse(request)
    for rule in rules:
        stars = rule.read(ToolText(mail.subject, mail.sender, mail.text))
        if stars is not None:
            return [
                make_event(
                    TOOL,
                    agent=rule.agent_of(stars),
                    job=rule.job_of(stars) or request.job or mail.sender or TOOL,
                    activity=(rule.activity or Activity.BACKUP).value,
                    phase="finished",
                    outcome=rule.outcome.value,
                    at=mail.at,
                    message=mail.subject,
                    log=mail.text,
                    key=mail.key,
                    extra={"mail_rule": rule.id},
                )
            ]
    if kopia.is_kopia_subject(mail.subject):  # its subject says "Successfully" of partial snapshots too
        body = (mail.html or mail.text).encode("utf-8", "replace")
        return kopia.read(replace(request, headers={"subject": mail.subject}, body=body))
    if proxmox.is_proxmox_title(mail.subject):
        return proxmox.read_report(
            proxmox.ProxmoxReport(mail.subject, mail.text, at=mail.at, key=mail.key, job=mail.job)
        )
    for pattern, read_tool_mail in _TOOL_SUBJECTS:
        found = pattern.match(mail.subject)
        if found is not None:
            return [read_tool_mail(mail, found)]
    outcome = find_outcome(mail.subject)
    if outcome is None:
        raise NotUnderstood(f"a mail with the subject {mail.subject[:200]!r}; a mail rule can define what it means")
    return [_make_event(TOOL, mail, mail.job or mail.sender or TOOL, outcome)]


def _make_event(
    tool: str,
    mail: ReceivedMail,
    job: str,
    outcome: str,
    *,
    activity: str = "backup",
    host: str | None = None,
    run: str | None = None,
    message: str | None = None,
    metrics: Mapping[str, object] | None = None,
) -> WireEvent:
    return make_event(
        tool,
        agent=host,
        job=job,
        run=run,
        activity=activity,
        phase="finished",
        outcome=outcome,
        at=mail.at,
        message=message or mail.subject,
        log=mail.text or None,
        metrics=metrics,
        key=mail.key,
    )


_VEEAM_OUTCOMES = {"success": "success", "warning": "warning", "failed": "failure"}


def _read_veeam(mail: ReceivedMail, subject: re.Match[str]) -> WireEvent:
    reason = re.search(r"(?:Error|Warning): [^\n]{1,500}", mail.text)
    outcome = _VEEAM_OUTCOMES[subject["outcome"].lower()]
    return _make_event("veeam", mail, subject["job"], outcome, message=reason[0] if reason else None)


def _read_bacula(mail: ReceivedMail, subject: re.Match[str]) -> WireEvent:
    fields = dict(re.findall(r"^ {1,6}([A-Za-z][A-Za-z /]{1,40}): {1,40}([^\n]{1,300})", mail.text, re.MULTILINE))
    status = subject["outcome"].lower()
    if "warning" in status:
        outcome = "warning"
    elif status.startswith("ok"):
        outcome = "success"
    else:
        outcome = "cancelled" if status.startswith("cancel") else "failure"
    name = re.match(r"(.{1,200}?)\.\d{4}-\d\d-\d\d_", fields.get("Job", ""))
    return _make_event(
        subject["tool"].lower(),
        mail,
        name[1] if name else subject["client"],
        outcome,
        activity={"restore": "restore", "verify": "verify"}.get(subject["what"].lower(), "backup"),
        host=subject["client"],
        run=fields.get("JobId"),
        metrics={
            "files_processed": _parse_amount(fields.get("FD Files Written")),
            "bytes_processed": _parse_amount(fields.get("FD Bytes Written")),
            "bytes_stored": _parse_amount(fields.get("SD Bytes Written")),
        },
        message=fields.get("Termination"),
    )


def _parse_amount(text: str | None) -> float | None:
    found = None if text is None else re.match(r"[\d,]{1,30}", text)
    return None if found is None else parse_number(found[0].replace(",", ""))


def _read_duplicati(mail: ReceivedMail, _subject: re.Match[str]) -> WireEvent:
    source = duplicati.ReportSource(job=mail.job, at=mail.at, key=mail.key)
    return duplicati.read_report(mail.text, source, mail.subject)


def _read_synology(mail: ReceivedMail, subject: re.Match[str]) -> WireEvent:
    return _make_event("synology", mail, subject["job"], find_outcome(subject["rest"]) or "warning")


_TOOL_SUBJECTS: Sequence[tuple[re.Pattern[str], Callable[[ReceivedMail, re.Match[str]], WireEvent]]] = [
    (
        re.compile(
            r"(?:\w{2,3}: )?\[(?P<outcome>Success|Warning|Failed)\] (?P<job>.{1,300}?)(?: \(\d{1,9} objects?\).*)?$"
        ),
        _read_veeam,
    ),
    (
        re.compile(
            r"(?P<tool>Bacula|Bareos): (?P<what>\w{1,20}) "
            r"(?P<outcome>OK(?: -- with warnings)?|Error|Fatal Error|Canceled|Cancelled|[A-Za-z -]{1,40}?) "
            r"of (?P<client>\S{1,200})"
        ),
        _read_bacula,
    ),
    (re.compile(r"Duplicati \w{1,30} report for (?P<job>.{1,300})$"), _read_duplicati),
    (
        re.compile(
            r".{0,200}?[Bb]ackup task \[?(?P<job>[^\]]{1,200}?)\]? (?P<rest>on .{1,300}|has .{1,300}|was .{1,300}|failed.{0,200})$"
        ),
        _read_synology,
    ),
]


def _parse(request: ToolRequest) -> ReceivedMail:
    try:
        message = email.message_from_bytes(request.body)
        subject = _read_header(message, "subject")
        text, html = _read_texts(message)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, IndexError) as cause:
        # The library's parser raises any of these for mails that break the rules.
        raise NotUnderstood("a mail that cannot be parsed") from cause
    sender = split_address(_read_header(message, "from"))[1]
    # With date and subject: of a device whose mails all have the same Message-ID, or an empty one, only the first would count.
    headers = "message-id", "date", "subject"
    key = (
        " ".join([str(request.job), *(_read_header(message, name) for name in headers)])
        if message["message-id"]
        else None
    )
    return ReceivedMail(subject[:MAX_SUBJECT], text, sender, _read_date(message), request.job, key, html)


def _read_header(message: Message, name: str) -> str:
    value = next((str(value) for header, value in message.raw_items() if header.lower() == name), "")
    # The library keeps bytes that are not ASCII as surrogates. Senders write UTF-8 there, or cp1252.
    raw = value[: MAX_SUBJECT * 4].encode("utf-8", "surrogateescape")
    try:
        decoded = raw.decode()
    except UnicodeDecodeError:
        decoded = raw.decode("cp1252", "replace")
    return _SPACES.sub(" ", decode_encoded_words(decoded)).strip()


def _read_date(message: Message) -> datetime | None:
    try:
        date = parsedate_to_datetime(_read_header(message, "date"))
        return date.astimezone(UTC) if date.tzinfo is not None else None
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _read_texts(message: Message) -> tuple[str, str]:
    """Return the plain text and no HTML; if the plain text is blank, the HTML's visible text and the HTML.

    Of several parts all are returned: some tools put the reason into the second one.
    """
    plain = [text for content_type, text in _text_parts(message) if content_type == "text/plain" and text.strip()]
    html = [] if plain else [text for content_type, text in _text_parts(message) if content_type == "text/html"]
    return "\n".join(plain or map(_visible_text, html))[:MAX_TEXT], "\n".join(html)[:MAX_TEXT]


def _text_parts(message: Message) -> Iterator[tuple[str, str]]:
    for count, part in enumerate(message.walk()):
        if count >= MAX_PARTS:
            return
        if part.is_multipart() or part.get_content_maintype() != "text":
            continue
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            yield part.get_content_type(), decode_text(payload[:MAX_TEXT], str(part.get("content-type", "")))


def _visible_text(html: str) -> str:
    parser = _VisibleTextParser()
    parser.feed(html)
    lines = (" ".join(line.split()) for line in "".join(parser.pieces).split("\n"))
    return "\n".join(line for line in lines if line)


class _VisibleTextParser(HTMLParser):
    """Collect what a reader of an HTML mail would see."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        """Break lines where a browser breaks them."""
        self._hidden += tag in ("script", "style", "head", "title")
        if tag in ("br", "p", "div", "tr", "li", "h1", "h2", "h3"):
            self.pieces.append("\n")
        elif tag in ("td", "th"):
            self.pieces.append("  ")

    def handle_endtag(self, tag: str) -> None:
        """Collect text again after a hidden element."""
        self._hidden -= tag in ("script", "style", "head", "title") and self._hidden > 0

    def handle_data(self, data: str) -> None:
        """Collect visible text."""
        if not self._hidden:
            self.pieces.append(data)
