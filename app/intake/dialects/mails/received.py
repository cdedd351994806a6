"""Parse a mail (RFC 5322): its subject, sender, time and visible text, even if it breaks rules of MIME."""

import email
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser

from app.core.mail_address import split_address
from app.domain.mail_bounds import exceeds_bounds
from app.domain.mail_rule import ToolText
from app.intake.dialects.cut_texts import keep_beginning, note_cut
from app.intake.dialects.mails.varying import without_gateway_tags
from app.intake.dialects.text_decoding import decode_encoded_words, decode_text
from app.intake.dialects.tool_request import ToolRequest

MAX_TEXT, MAX_SUBJECT, MAX_PARTS = 1024 * 1024, 1000, 100
_MAX_OTHER = 256 * 1024
_SPACES = re.compile(r"\s+")
_ROUGH_HEADER = re.compile(r"^(subject|from):([^\n]{0,2000})", re.IGNORECASE | re.MULTILINE)
# The headers that tell replies of machines, bounces and mailing lists from reports.
_KEPT = ("auto-submitted", "precedence", "list-id", "list-post", "list-unsubscribe", "in-reply-to", "references",
         "x-auto-response-suppress", "x-autoreply", "x-autorespond", "x-failed-recipients", "return-path")  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A parsed mail. `key` identifies it if it has a Message-ID. `html` is what `text` was made from, if it was made from HTML.

    `agent` and `job` are those of the key that it came to. `headers` has some headers by their lower-case names, `report_type` the kind of a
    `multipart/report`. `names` are known names of agents and jobs. `beyond` is the bound that the mail exceeds, so that only its beginning was read.
    """

    subject: str
    text: str
    sender: str
    at: datetime | None = None
    job: str | None = None
    key: str | None = None
    html: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    report_type: str = ""
    names: Sequence[str] = ()
    agent: str | None = None
    other_html: str = ""
    beyond: str | None = None

    @property
    def other_text(self) -> str:
        """The visible text of an HTML part next to the plain text."""
        return _visible_text(self.other_html) if self.other_html else ""

    @property
    def plain_subject(self) -> str:
        """The subject without what gateways, replies and forwarding add before it."""
        return without_gateway_tags(self.subject)

    @property
    def words(self) -> ToolText:
        """The mail as a text for mail rules."""
        return ToolText(self.subject, self.sender, self.text)


def parse_mail(request: ToolRequest) -> ReceivedMail:
    """Return the mail in a request's body. One that breaks the rules of MIME is read as plain text: it may report a failure."""
    if (beyond := exceeds_bounds(request.body)) is not None:
        return _read_roughly(request, beyond)
    try:
        message = email.message_from_bytes(request.body)
        subject = _read_header(message, "subject")
        text, html, other_html = _read_texts(message)
        report_type = str(message.get_param("report-type") or "").lower()
        is_report = message.get_content_type() == "multipart/report"
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, IndexError):
        # The library's parser raises any of these for mails that break the rules.
        return _read_roughly(request)
    sender = split_address(_read_header(message, "from"))[1] or request.headers.get("mail-from", "")
    # With date and subject: of a device whose mails all have the same Message-ID, or an empty one, only the first would count.
    headers = "message-id", "date", "subject"
    key = (
        " ".join([str(request.job), *(_read_header(message, name) for name in headers)])
        if message["message-id"]
        else None
    )
    # A name that is the whole subject would hide the subject's outcome.
    of_key = (name for name in (request.job, request.agent) if name)
    names = [name for name in (*request.names_in(subject, text), *of_key) if name.lower() != subject.strip().lower()]
    return ReceivedMail(
        keep_beginning(subject, MAX_SUBJECT),
        text,
        sender[:MAX_SUBJECT],
        _read_date(message),
        request.job,
        key,
        html,
        {name: _read_header(message, name) for name in _KEPT if name in message},
        report_type if is_report else "",
        names,
        request.agent,
        other_html,
    )


def _read_roughly(request: ToolRequest, beyond: str | None = None) -> ReceivedMail:
    head, _, text = decode_text(keep_beginning(request.body, MAX_TEXT), "").replace("\r\n", "\n").partition("\n\n")
    found = {name.lower(): value for name, value in reversed(_ROUGH_HEADER.findall(head))}
    subject = _SPACES.sub(" ", decode_encoded_words(found.get("subject", ""))).strip()
    sender = split_address(found.get("from", ""))[1] or request.headers.get("mail-from", "")
    names = request.names_in(subject, text)
    return ReceivedMail(
        keep_beginning(subject, MAX_SUBJECT),
        text,
        sender[:MAX_SUBJECT],
        job=request.job,
        names=names,
        agent=request.agent,
        beyond=beyond,
    )


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


def _read_texts(message: Message) -> tuple[str, str, str]:
    """Return the plain text, no HTML and the HTML that stands next to it; if the plain text is blank, the HTML's visible text and the HTML.

    Of several parts all are returned: some tools put the reason into the second one.
    """
    plain = [text for content_type, text in _text_parts(message) if content_type == "text/plain" and text.strip()]
    html = [text for content_type, text in _text_parts(message) if content_type == "text/html"]
    if plain:
        return keep_beginning("\n".join(plain), MAX_TEXT), "", "\n".join(html)[:_MAX_OTHER]
    return keep_beginning("\n".join(map(_visible_text, html)), MAX_TEXT), "\n".join(html)[:MAX_TEXT], ""


def _text_parts(message: Message) -> Iterator[tuple[str, str]]:
    for count, part in enumerate(message.walk()):
        if count >= MAX_PARTS:
            note_cut()
            return
        if part.is_multipart() or part.get_content_maintype() != "text":
            continue
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            yield (
                part.get_content_type(),
                decode_text(keep_beginning(payload, MAX_TEXT), str(part.get("content-type", ""))),
            )


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
