"""Mails of backup tools. The admin's mail rules come first, then the templates of known tools, then the words of subject and body."""

import re
from collections.abc import Sequence

from app.domain.mail_rule import MailRule, matching_rules
from app.intake.dialects.mails.job_name import name_job
from app.intake.dialects.mails.no_report import why_no_report
from app.intake.dialects.mails.received import ReceivedMail, parse_mail
from app.intake.dialects.mails.subject_words import fold, words_of_kind
from app.intake.dialects.mails.templates import make_mail_event, read_mail_words, read_template
from app.intake.dialects.make_event import doubt_success
from app.intake.dialects.tool_request import NotUnderstood, ToolRequest
from app.intake.language.reader import Meaning, Reading
from app.intake.parse import WireEvent
from app.intake.rule_events import decide, decide_by_rules, outcome_read

TOOL = "mail"
_HEADERS = 64 * 1024
_MARKS = (
    b"auto", b"precedence", b"list-id", b"list-post", b"multipart/report", b"x-failed-recipients", b"in-reply-to", b"mailer-daemon", b"mail-daemon",
    b"postmaster",
)  # fmt: skip
_LABEL_LIMIT = 200
_CODE = re.compile(r"\s[A-Z]{1,3}(?![^\s])")
_WORD = re.compile(r"[^\W_]{1,100}")


def read(request: ToolRequest, rules: Sequence[MailRule] = ()) -> Sequence[WireEvent]:
    """Return the events of one mail. A mail that proves neither success nor trouble is `unclear`, with its text."""
    return read_mail(parse_mail(request), request, rules)


def read_mail(mail: ReceivedMail, request: ToolRequest, rules: Sequence[MailRule] = ()) -> Sequence[WireEvent]:
    """Return the events of a parsed mail."""
    try:
        events = read_template(mail, request) or [_read_by_words(mail)]
    except NotUnderstood as cause:  # the subject is a known tool's, and the body does not say how it went
        events = [_read_by_words(mail, str(cause))]
    # Of a mail about several jobs, the words of the whole mail count.
    whole = events[0] if len(events) == 1 else _read_by_words(mail)
    matches = matching_rules(rules, mail.words, outcome_read(whole))
    if any(match.rule.outcome is not None for match in matches):
        # An outcome that a rule sets is that of the mail as a whole.
        events = [whole]
    if mail.sender:
        sender = mail.sender[:_LABEL_LIMIT]
        events = [{**event, "labels": {"sender": sender, **(event.get("labels") or {})}} for event in events]
    decided = [decide(event, matches) for event in events]
    if mail.beyond is not None:  # most of it was not read
        return [doubt_success(event, f"the mail was not read to its end: {mail.beyond}") for event in decided]
    return (
        decided if matches else decide_by_rules(decided, rules, TOOL)
    )  # taught rules know a text as its event shows it


def may_be_no_report(request: ToolRequest) -> bool:
    """Return False for nearly every mail, of which nothing more is looked at."""
    head = request.body[:_HEADERS].lower()
    return any(mark in head for mark in _MARKS)


def find_no_report(request: ToolRequest, rules: Sequence[MailRule]) -> tuple[ReceivedMail, str] | None:
    """Return a mail that reports nothing, such as a bounce, and why; None for a mail to be read. A mail that a rule fits is read."""
    if not may_be_no_report(request):
        return None
    mail = parse_mail(request)
    reason = why_no_report(mail)
    return None if reason is None or matching_rules(rules, mail.words) else (mail, reason)


def _read_by_words(mail: ReceivedMail, broken_template: str | None = None) -> WireEvent:
    reading = read_mail_words(mail)
    if broken_template is not None and reading.meaning is Meaning.SUCCESS:
        reading = Reading(Meaning.UNCLEAR, reading.words, broken_template[:200])
    remaining = name_job(mail.subject)
    # `Backup failed` names no job: two tools of one host would share it.
    is_job = any(word not in words_of_kind("generic") | words_of_kind("tie") for word in _WORD.findall(fold(remaining)))
    # `Job A` and `Backup DE` do: capital letters behind the first word are a name and no article.
    is_job = is_job or (not mail.subject.isupper() and _CODE.search(remaining) is not None)
    return make_mail_event(TOOL, mail, remaining if is_job else mail.sender or TOOL, reading=reading)
