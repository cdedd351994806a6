"""Which mails report nothing: bounces, receipts and replies, and never a machine's report."""

import pytest

from app.intake.dialects import mail
from app.intake.dialects.tool_request import ToolRequest

REPORT = b"Content-Type: multipart/report; report-type=%s; boundary=a\r\n\r\n--a\r\n\r\nx\r\n--a--\r\n"
REPLY_TO = "In-Reply-To: <1@tocsin>\r\n"


@pytest.mark.parametrize(
    ("headers", "body", "reason"),
    [
        ("Subject: Out of office\r\nAuto-Submitted: auto-replied\r\n" + REPLY_TO, "I am back on Monday.", "automatic reply"),
        ("Subject: Automatic reply: Docs\r\nAuto-Submitted: auto-generated\r\n", "I am away.", "automatic reply"),
        ("Subject: Automatische Antwort: Docs\r\nX-Auto-Response-Suppress: All\r\n", "Nicht da.", "automatic reply"),
        ("Subject: Re: Docs failed\r\nAuto-Submitted: auto-replied\r\n" + REPLY_TO, "Ticket 5 was opened.", "automatic reply"),
        ("Subject: Away\r\nPrecedence: auto_reply\r\n", "Back soon.", "automatic reply"),
        ("From: MAILER-DAEMON@mx\r\nSubject: Undelivered Mail Returned to Sender\r\n", "failed", "delivered"),
        ("Subject: Mail delivery failed\r\nX-Failed-Recipients: a@b\r\n", "no such user", "delivered"),
        ("Subject: Lunch\r\nList-Id: <all.example.org>\r\n", "Who joins on Friday?", "mailing list"),
        # Reports of machines, which use the same headers
        ("Subject: Cron <root@a> b\r\nAuto-Submitted: auto-generated\r\n", "rsync error", None),
        ("Subject: Docs failed\r\nPrecedence: bulk\r\n", "", None),
        ("Subject: Docs failed\r\nAuto-Submitted: auto-replied\r\n", "marked wrongly: it answers no mail", None),
        ("Subject: Docs failed\r\nX-Auto-Response-Suppress: All\r\n", "", None),
        ("Subject: Docs failed\r\nList-Id: <backups.example.org>\r\nPrecedence: list\r\n", "", None),
        ("Subject: Backup of Docs completed successfully\r\nList-Id: <backups.example.org>\r\n", "", None),
        ("Subject: Lunch\r\nList-Id: <backups.example.org>\r\n", "The copy of Docs failed.", None),
        ("Subject: Hello\r\nAuto-Submitted: auto-generated\r\n", "nothing", None),
        ("Subject: Hello\r\n", "nothing", None),
    ],
)  # fmt: skip
def test_only_replies_bounces_and_talk_report_nothing(headers: str, body: str, reason: str | None):
    found = mail.find_no_report(ToolRequest(body=f"{headers}\r\n{body}\r\n".encode()), ())
    assert (found is None) == (reason is None)
    assert found is None or (reason or "") in found[1]


@pytest.mark.parametrize(
    ("kind", "reason"),
    [(b"delivery-status", "delivered"), (b"disposition-notification", "read receipt"), (b"feedback-report", None)],
)
def test_reports_of_mail_servers_are_recognised_by_their_type(kind: bytes, reason: str | None):
    found = mail.find_no_report(ToolRequest(body=b"Subject: Report on Docs\r\n" + REPORT % kind), ())
    assert (found[1] if found else None) is None if reason is None else found is not None and reason in found[1]
