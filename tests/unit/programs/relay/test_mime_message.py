"""Reads MIME: what the service composes, and what nobody should. Never an error but BadMime, never unbounded, never a silent loss."""

from datetime import UTC, datetime
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.compose.mime import build
from app.compose.render import RenderedMail
from programs.relay.mime_message import BadMime, MimeMessage, read_mime
from programs.relay.properties import characters_lost

HEAD = b"To: ops@example.com\r\n"
TO = "ops@example.com"


def _composed(*, to: str = TO, subject: str = "FAILED café 日本 on sql01", headers: tuple = ()) -> bytes:
    mail = RenderedMail(subject=subject, text="plain ünïcode\n", html="<p>pägé</p>\n", headers=headers)
    return build(
        mail,
        sender="Tocsin <tocsin@example.com>",
        to=to,
        message_id="<abc@tocsin>",
        date=datetime(2026, 11, 26, tzinfo=UTC),
        in_reply_to="<first@tocsin>",
        references=("<first@tocsin>", "<second@tocsin>"),
    )


def test_a_mail_of_the_service_is_read_completely():
    listed = (("X-Tocsin", "alert; opened"), ("List-Unsubscribe", "<https://tocsin.example.org/u/1>"))
    read = read_mime(_composed(headers=listed), TO)
    assert (read.recipient, read.subject) == (TO, "FAILED café 日本 on sql01")
    assert (read.text, read.html) == ("plain ünïcode\n", "<p>pägé</p>\n")
    assert (read.message_id, read.in_reply_to) == ("<abc@tocsin>", "<first@tocsin>")
    assert read.references == "<first@tocsin> <second@tocsin>"
    assert read.kept == (("Auto-Submitted", "auto-generated"), ("X-Auto-Response-Suppress", "All"), *listed)


@pytest.mark.parametrize("to", ["käthe@example.com", "ops@bücher.example", "ops@[192.0.2.1]"])
def test_an_address_of_any_script_and_an_address_literal_are_recipients(to):
    assert read_mime(_composed(to=to), to).recipient == to


@pytest.mark.parametrize("to", ["", "nobody", "a b@c", "<a@b@c>", "a@b, c@d", "a@b\r\nBcc: c@d", "x" * 251 + "@b.c"])
def test_a_message_for_nobody_says_so(to):
    with pytest.raises(BadMime) as caught:
        read_mime(HEAD + b"\r\nx", to)
    assert caught.value.no_recipient


def test_a_part_that_the_relay_does_not_send_is_refused_and_not_left_out():
    picture, file, mail = EmailMessage(), EmailMessage(), EmailMessage()
    for one in (picture, file, mail):
        one.set_content("text")
    picture.add_alternative('<img src="cid:logo">', subtype="html")
    picture.get_payload()[1].add_related(b"\x89PNG", "image", "png", cid="<logo>")
    file.add_attachment(b"log\n", maintype="text", subtype="plain", filename="backup.log")
    mail.add_attachment(file)
    for one, kind in ((picture, "image/png"), (file, "text/plain"), (mail, "message/rfc822")):
        with pytest.raises(BadMime, match=f"a part that the relay does not send: {kind}"):
            read_mime(one.as_bytes(), TO)


@pytest.mark.parametrize(
    "content",
    [
        HEAD + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\nContent-Type: text/x\r\n\r\nx\r\n" * 600,
        HEAD + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(60)),
        HEAD + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000)),
    ],
    ids=["parts", "depth", "great depth"],
)
def test_too_much_is_refused_without_a_crash(content):
    with pytest.raises(BadMime):
        read_mime(content, TO)


@pytest.mark.parametrize(
    "charset", ["rot13", "base64", "idna", "undefined", "utf-16", "no\x00such", "unicode_escape", ""]
)
def test_an_odd_charset_never_stops_a_message(charset):
    content = HEAD + b'Content-Type: text/plain; charset="' + charset.encode() + b'"\r\n\r\nhello'
    assert isinstance(read_mime(content, TO).text, str)


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
    read = read_mime(HEAD + b"Subject: " + subject + b"\r\n\r\nx", TO)
    assert len(read.subject) <= 500
    assert read.subject.isprintable()


HEADERS = st.sampled_from(
    [
        b"To",
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
        read = read_mime(content, TO)
    except BadMime:
        return
    _holds(read)


@given(st.binary(max_size=400))
def test_noise_is_a_message_or_a_refusal(content):
    try:
        _holds(read_mime(HEAD + content, TO))
    except BadMime:
        return


def _holds(read: MimeMessage) -> None:
    lines = [read.subject, read.message_id, read.references, *(value for _, value in read.kept)]
    assert not any(c in line for line in lines for c in "\r\n\0\u2028")
    for text in (read.text, read.html, read.subject):
        text.encode("utf-16-le")


@pytest.mark.parametrize(
    ("ours", "kept", "lost"),
    [
        ("café 漢字", "café 漢字", 0),
        ("café 漢字", "café ??", 2),
        ("café?", "caf??", 1),
        ("why?", "why?", 0),
        ("plain", None, 0),  # the store returns no such property, or only as a stream
        ("☕ text", "a text of its own, made from the HTML", 0),
        ("漢字", "????", 2),
    ],
)
def test_only_question_marks_in_place_of_characters_count_as_lost(ours, kept, lost):
    assert characters_lost(ours, kept) == lost


@given(st.text())
def test_a_store_without_unicode_never_loses_more_than_there_was(text):
    kept = text.encode("cp1252", "replace").decode("cp1252")
    assert 0 <= characters_lost(text, kept) <= sum(not character.isascii() for character in text)
    assert characters_lost(text, text) == 0
