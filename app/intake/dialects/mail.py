"""A mail, as RFC 5322 has it, to its subject and text; then by the admin's mail rules, else by what mail_subjects.py knows."""

import email
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.message import Message
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser

from app.core.mail_address import split_address
from app.domain.mail_rule import MailRule
from app.intake.dialects import kopia
from app.intake.dialects.mail_subjects import Letter, by_subject
from app.intake.dialects.make_event import told
from app.intake.dialects.text import header_words, text_of
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.parse import WireEvent

TOOL = "mail"
TEXT_MOST, SUBJECT_MOST, PARTS_MOST = 1024 * 1024, 1000, 100
_SPACES = re.compile(r"\s+")


def read(said: ToolRequest, rules: Sequence[MailRule] = ()) -> Sequence[WireEvent]:
    """Give the events of one mail. Raises NotUnderstood for one whose subject says nothing to us."""
    letter = _opened(said)
    for rule in rules:
        stars = rule.read(letter.subject)
        if stars is not None:
            job = rule.job_of(stars) or said.job or letter.sender or TOOL
            return [_event(letter, job, rule.outcome.value, rule.activity.value, {"mail_rule": rule.id})]
    if kopia.is_kopia(letter.subject):  # its subject says "Successfully" of partial snapshots too
        shown = letter.html or letter.text
        return kopia.read(replace(said, headers={"subject": letter.subject}, body=shown.encode("utf-8", "replace")))
    found = by_subject(letter)
    if found is None:
        raise NotUnderstood(f"a mail with the subject {letter.subject[:200]!r}; a mail rule can tell what it means")
    return found


def _event(letter: Letter, job: str, outcome: str, activity: str, extra: dict[str, object]) -> WireEvent:
    return told(
        TOOL,
        job=job,
        activity=activity,
        phase="finished",
        outcome=outcome,
        at=letter.at,
        message=letter.subject,
        log=letter.text,
        key=letter.key,
        extra=extra,
    )


def _opened(said: ToolRequest) -> Letter:
    try:
        mail = email.message_from_bytes(said.body)
        subject = _header(mail, "subject")
        text, html = _texts(mail)
    except (RecursionError, ValueError, LookupError, TypeError, AttributeError, IndexError) as cause:
        # The library's parser ends in any of these on mails that break the rules.
        raise NotUnderstood("a mail that cannot be opened") from cause
    sender = split_address(_header(mail, "from"))[1]
    # With date and subject: a device that gives all its mails one Message-ID, or an empty one, would be heard once and never again.
    named = "message-id", "date", "subject"
    key = " ".join([str(said.job), *(_header(mail, name) for name in named)]) if mail["message-id"] else None
    return Letter(subject[:SUBJECT_MOST], text, sender, _date(mail), said.job, key, html)


def _header(mail: Message, name: str) -> str:
    given = next((str(value) for header, value in mail.raw_items() if header.lower() == name), "")
    raw = _unescaped(given[: SUBJECT_MOST * 4])
    return _SPACES.sub(" ", header_words(raw)).strip()


def _unescaped(header: str) -> str:
    """Give a header's bytes beyond ASCII, which the library keeps as surrogates, as what senders put there unpacked: UTF-8, else western."""
    raw = header.encode("utf-8", "surrogateescape")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("cp1252", "replace")


def _date(mail: Message) -> datetime | None:
    try:
        found = parsedate_to_datetime(_header(mail, "date"))
        return found.astimezone(UTC) if found.tzinfo is not None else None
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _texts(mail: Message) -> tuple[str, str]:
    """Give the plain text, or if that is blank the HTML's words and itself; of several parts all, for some tools put the reason into the second."""
    plain = [text for kind, text in _parts(mail) if kind == "text/plain" and text.strip()]
    html = [] if plain else [text for kind, text in _parts(mail) if kind == "text/html"]
    return "\n".join(plain or map(_words_of, html))[:TEXT_MOST], "\n".join(html)[:TEXT_MOST]


def _parts(mail: Message) -> Iterator[tuple[str, str]]:
    for count, part in enumerate(mail.walk()):
        if count >= PARTS_MOST:
            return
        if part.is_multipart() or part.get_content_maintype() != "text":
            continue
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes):
            yield part.get_content_type(), text_of(payload[:TEXT_MOST], str(part.get("content-type", "")))


class _Words(HTMLParser):
    """Collects what a reader of an HTML mail would see."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        """Break lines where a reader sees them broken."""
        self._hidden += tag in ("script", "style", "head", "title")
        if tag in ("br", "p", "div", "tr", "li", "h1", "h2", "h3"):
            self.words.append("\n")
        elif tag in ("td", "th"):
            self.words.append("  ")

    def handle_endtag(self, tag: str) -> None:
        """Show again what follows a hidden part."""
        self._hidden -= tag in ("script", "style", "head", "title") and self._hidden > 0

    def handle_data(self, data: str) -> None:
        """Keep what is seen."""
        if not self._hidden:
            self.words.append(data)


def _words_of(html: str) -> str:
    words = _Words()
    words.feed(html)
    lines = (" ".join(line.split()) for line in "".join(words.words).split("\n"))
    return "\n".join(line for line in lines if line)
