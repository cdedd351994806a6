"""Reads MIME: what the service composes, what others compose, and what nobody should. Never an error but BadMime, never unbounded."""

from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from programs.relay.mime_message import MAX_ATTACHMENTS, MAX_RECIPIENTS, BadMime, MimeMessage, read_mime
from programs.relay.mime_text import MAX_NAME

HEAD = b"To: ops@example.com\r\n"


def _mail_with(**headers: str) -> EmailMessage:
    mail = EmailMessage()
    for name, value in {"From": "tocsin@example.com", "To": "ops@example.com", "Subject": "s", **headers}.items():
        mail[name.replace("_", "-")] = value
    return mail


def test_a_mail_of_the_service_is_read_completely():
    mail = _mail_with(
        To="Käthe Ops <ops@example.com>, Second <two@example.com>",
        Cc="three@example.com",
        Subject="FAILED café 日本 on sql01",
        Message_ID="<abc@tocsin>",
        In_Reply_To="<first@tocsin>",
        References="<first@tocsin> <second@tocsin>",
        Importance="high",
        Auto_Submitted="auto-generated",
        X_Tocsin_Message="msg_1",
        X_Mailer="other",
    )
    mail.set_content("plain ünïcode\n")
    mail.add_alternative('<p>page <img src="cid:logo"></p>', subtype="html")
    mail.get_payload()[1].add_related(b"\x89PNG", "image", "png", cid="<logo>", filename="logo.png")
    mail.add_attachment(b"log\n", maintype="text", subtype="plain", filename="béta.log")
    read = read_mime(mail.as_bytes())
    assert read.subject == "FAILED café 日本 on sql01"
    assert [(one.kind, one.name, one.address) for one in read.recipients] == [
        ("to", "Käthe Ops", "ops@example.com"),
        ("to", "Second", "two@example.com"),
        ("cc", "three@example.com", "three@example.com"),
    ]
    assert (read.text, "page" in read.html) == ("plain ünïcode\n", True)
    assert (read.message_id, read.in_reply_to) == ("<abc@tocsin>", "<first@tocsin>")
    assert read.references == "<first@tocsin> <second@tocsin>"
    assert read.is_urgent
    assert read.kept == (("Auto-Submitted", "auto-generated"), ("X-Tocsin-Message", "msg_1"))
    logo, log = read.attachments
    assert (logo.name, logo.content_id, logo.is_inline, logo.content) == ("logo.png", "logo", True, b"\x89PNG")
    assert (log.name, log.is_inline, log.content) == ("béta.log", False, b"log\n")


def test_an_address_literal_hides_no_other_recipient():
    read = read_mime(b"To: ops@[192.0.2.1], Ann <ann@example.com>\r\n\r\n")
    assert "ann@example.com" in [one.address for one in read.recipients]


def test_the_order_says_who_gets_it_and_the_header_only_their_names():
    mail = _mail_with(To="Ops <OPS@example.com>, other@example.com")
    mail.set_content("x")
    read = read_mime(mail.as_bytes(), ["ops@example.com", "new@example.com"])
    assert [(one.name, one.address) for one in read.recipients] == [
        ("Ops", "OPS@example.com"),
        ("new@example.com", "new@example.com"),
    ]


@pytest.mark.parametrize("to", [b"undisclosed-recipients:;", b"nobody", b"", b"a b@c", b'"x@y" <>', b"<a@b@c>"])
def test_a_message_for_nobody_says_so(to):
    with pytest.raises(BadMime) as caught:
        read_mime(b"To: " + to + b"\r\nSubject: x\r\n\r\nx")
    assert caught.value.no_recipient


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Windows\\system32\\x.dll", "x.dll"),
        ("CON", "_CON"),
        ("lpt1.txt", "_lpt1.txt"),
        ("a<b>:c|d?.log", "a_b__c_d_.log"),
        (" . ", "attachment-1"),
    ],
)
def test_a_file_name_is_not_a_path_and_not_reserved_by_windows(stated, name):
    mail = _mail_with()
    mail.set_content("x")
    mail.add_attachment(b"1", maintype="application", subtype="octet-stream", filename=stated)
    assert read_mime(mail.as_bytes()).attachments[0].name == name


def test_an_attached_mail_stays_one_file():
    inner = _mail_with(Subject="inner")
    inner.set_content("inner text")
    mail = _mail_with()
    mail.set_content("outer")
    mail.add_attachment(inner)
    read = read_mime(mail.as_bytes())
    assert read.text == "outer\n"
    assert b"inner text" in read.attachments[0].content


@pytest.mark.parametrize(
    "content",
    [
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\nContent-Type: text/x\r\n\r\nx\r\n" * 600,
        HEAD + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(60)),
        HEAD
        + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        + b'--b\r\nContent-Disposition: attachment; filename="x"\r\n\r\nx\r\n' * (MAX_ATTACHMENTS + 2),
        b"To: " + b", ".join(b"a%d@example.com" % n for n in range(MAX_RECIPIENTS + 5)) + b"\r\n\r\nx",
    ],
    ids=["parts", "depth", "attachments", "recipients"],
)
def test_too_much_is_refused(content):
    with pytest.raises(BadMime):
        read_mime(content)


def test_deep_nesting_is_refused_and_no_crash():
    content = HEAD
    for n in range(3000):
        content += b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n)
    with pytest.raises(BadMime):
        read_mime(content)


@pytest.mark.parametrize(
    "charset", ["rot13", "base64", "idna", "undefined", "utf-16", "no\x00such", "unicode_escape", ""]
)
def test_an_odd_charset_never_stops_a_message(charset):
    content = HEAD + b'Content-Type: text/plain; charset="' + charset.encode() + b'"\r\n\r\nhello'
    assert isinstance(read_mime(content).text, str)


@pytest.mark.parametrize(
    "subject",
    [
        b"=?utf-8?q?a=0D=0ABcc:_x@y?=",
        b"=?no-such?q?x?=",
        b"=?utf-8?b?!!!?=",
        b"a\x00b",
        b"caf\xc3\xa9",
        b"\xff\xfe",
        b"x" * 5000,
    ],
)
def test_a_subject_is_one_bounded_harmless_line(subject):
    read = read_mime(HEAD + b"Subject: " + subject + b"\r\n\r\nx")
    assert len(read.subject) <= 500
    assert read.subject.isprintable()


HEADERS = st.sampled_from(
    [
        b"To",
        b"Cc",
        b"Subject",
        b"Content-Type",
        b"Content-Transfer-Encoding",
        b"Content-Disposition",
        b"Message-ID",
        b"X-Tocsin-A",
        b"References",
    ]
)
VALUES = st.one_of(
    st.binary(max_size=80),
    st.sampled_from(
        [
            b"multipart/mixed; boundary=b",
            b"text/html; charset=utf-8",
            b"base64",
            b"quoted-printable",
            b"attachment; filename*=x''%ff",
            b"message/rfc822",
            b'"a',
            b"=?utf-8?b?w6k=?= <a@b.c>",
            b"x-uuencode",
        ]
    ),
)


@given(
    st.lists(st.tuples(HEADERS, VALUES), max_size=8),
    st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([b"--b\r\n", b"\r\n--b--\r\n"])), max_size=6),
)
def test_whatever_the_bytes_are_the_answer_is_a_message_or_a_refusal(headers, body):
    content = HEAD + b"".join(name + b": " + value + b"\r\n" for name, value in headers) + b"\r\n" + b"".join(body)
    try:
        read = read_mime(content)
    except BadMime:
        return
    _holds(read)


@given(st.binary(max_size=400))
def test_noise_is_a_message_or_a_refusal(content):
    try:
        _holds(read_mime(HEAD + content))
    except BadMime:
        return


def _holds(read: MimeMessage) -> None:
    lines = [read.subject, read.message_id, read.references, *(value for _, value in read.kept)]
    lines += [word for one in read.recipients for word in (one.name, one.address)]
    lines += [word for one in read.attachments for word in (one.name, one.content_id, one.mime_type)]
    assert not any(c in line for line in lines for c in "\r\n\0\u2028")
    assert all(len(one.name) <= MAX_NAME + 1 and not set(one.name) & set('/\\:*?"<>|') for one in read.attachments)
    assert read.recipients
    read.text.encode("utf-16-le")
    read.html.encode("utf-16-le")
    read.subject.encode("utf-16-le")
