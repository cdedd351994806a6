"""Notices about mails, as a mail server writes them, and their way back to our mail listener."""

import aiosmtplib


def notice(
    recipient: str,
    *,
    action: str = "failed",
    status: str = "5.1.1",
    words: str = "550 5.1.1 no such user",
    copy: str = "",
) -> bytes:
    """Return a delivery status notification (RFC 3464); `copy` are the headers of the mail that it is about."""
    text = f"""From: MAILER-DAEMON@mx.example.net
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

It did not arrive.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; {recipient}
Action: {action}
Status: {status}
Diagnostic-Code: smtp; {words}

--b
Content-Type: text/rfc822-headers

{copy}
--b--
"""
    return text.replace("\r\n", "\n").replace("\n", "\r\n").encode()


async def send_back(port: int, to: str, mail: bytes, *, sender: str = "") -> str:
    """Send a mail to our listener as a mail server does: with an empty sender, so that nothing is ever sent about it. Return the answer."""
    async with aiosmtplib.SMTP(hostname="127.0.0.1", port=port) as client:
        return (await client.sendmail(sender, to, mail))[1]
