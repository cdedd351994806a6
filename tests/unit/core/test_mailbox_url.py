"""The URL of the mailbox: what it means, and which are refused, never with the password in the words."""

import pytest

from app.core.errors import BadSettings
from app.core.mailbox_url import MailboxServer, read_mailbox_url
from app.core.settings import load_settings
from app.core.smtp_url import Tls


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("imaps://ann:pw@mail.example.org", MailboxServer("mail.example.org", 993, Tls.TLS, "ann", "pw", "INBOX")),
        ("imaps://ann:pw@mail.example.org/", MailboxServer("mail.example.org", 993, Tls.TLS, "ann", "pw", "INBOX")),
        ("imap://ann:pw@mail.example.org/INBOX", MailboxServer("mail.example.org", 143, Tls.STARTTLS, "ann", "pw", "INBOX")),
        ("imap://a:b@localhost:1143?tls=none", MailboxServer("localhost", 1143, Tls.NONE, "a", "b", "INBOX")),
        ("imaps://ann%40x.org:a%2Fb%40@h/Bounces%2FNew?move=Read%20ones",
         MailboxServer("h", 993, Tls.TLS, "ann@x.org", "a/b@", "Bounces/New", "Read ones")),
        ("imaps://ann%40x.org@outlook.office365.com/INBOX?auth=xoauth2",
         MailboxServer("outlook.office365.com", 993, Tls.TLS, "ann@x.org", None, "INBOX")),
    ],
)  # fmt: skip
def test_a_url_means_a_mailbox(url: str, expected: MailboxServer):
    assert read_mailbox_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "pop3://ann:s3cret@h",
        "imaps://h/INBOX",
        "imaps://ann@h",
        "imaps://ann:s3cret@h?auth=xoauth2",
        "imaps://ann:s3cret@h?auth=plain",
        "imaps://ann:s3cret@h?tls=none",
        "imap://ann:s3cret@mail.example.org?tls=none",
        "imaps://ann:s3cret@h:0",
        "imaps://ann:s3cret@h:99999999",
        "imaps://ann:s3cret@h/INBOX?move=INBOX",
        "imaps://ann:s3cret@h/IN%0d%0aBOX",
        "imaps://ann:s3cret@h/?folder=x",
        "imaps://ann:s3cret@h/#x",
    ],
)
def test_a_url_that_is_wrong_is_refused_without_its_password(url: str):
    with pytest.raises(BadSettings, match="TOCSIN_MAILBOX_URL") as refused:
        read_mailbox_url(url)
    assert "s3cret" not in str(refused.value)


def test_a_repr_shows_no_password():
    assert "s3cret" not in repr(read_mailbox_url("imaps://ann:s3cret@h"))


def test_access_tokens_need_a_provider():
    with pytest.raises(BadSettings, match="TOCSIN_OAUTH_PROVIDER"):
        load_settings(mailbox_url="imaps://ann@h/INBOX?auth=xoauth2")
