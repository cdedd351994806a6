"""Mails about mails, in the forms that mail systems write: what each says, of whom, and with which status."""

import csv
import time
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.deliver.bounce_reader import find_our_message, looks_like_notice, read_report
from app.domain.returned_mail import RAW_MOST, ReturnKind, is_permanent_failure
from tests.support.sources import ROOT

FOLDER = ROOT / "tests" / "corpus" / "bounces"
OURS = "msg_0193a5f2c4d10123456789abcdef"


@cache
def rows() -> list[tuple[str, ...]]:
    """Return file, kind, recipient, status and whether there is no such mailbox, of each mail of the corpus."""
    lines = (FOLDER / "bounces.tsv").read_text(encoding="utf-8").splitlines()
    return [tuple(row) for row in csv.reader(lines[1:], delimiter="\t")]


@cache
def mail_of(name: str) -> bytes:
    return (FOLDER / f"{name}.eml").read_bytes()


@pytest.mark.parametrize(
    ("name", "kind", "recipient", "status", "is_permanent"), rows(), ids=[row[0] for row in rows()]
)
def test_each_form_is_read(name: str, kind: str, recipient: str, status: str, is_permanent: str):
    report = read_report(mail_of(name))
    found = (report.kind.value, report.recipient or "-", report.status or "-", "yes" if report.is_permanent else "-")
    assert found == (kind, recipient, status, is_permanent), report.words


@pytest.mark.parametrize("name", [row[0] for row in rows() if row[1] in ("bounced", "delayed")])
def test_a_notice_is_recognised_by_its_headers_and_keeps_words_of_the_other_side(name: str):
    mail = mail_of(name)
    assert looks_like_notice(mail.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    words = read_report(mail).words
    assert 0 < len(words) <= 600
    assert "The backup failed" not in words  # ours, in the copy


def test_every_file_has_a_row():
    assert {path.stem for path in FOLDER.glob("*.eml")} == {row[0] for row in rows()}


@pytest.mark.parametrize(
    "name", ["postfix-unknown-user", "gmail-no-such-user", "qmail-no-mailbox", "exim-unknown", "office365-not-found"]
)
def test_our_message_is_found_in_what_comes_back(name: str):
    assert find_our_message(mail_of(name))[1] == OURS


def test_the_envelope_id_is_found():
    assert find_our_message(mail_of("postfix-unknown-user"))[0] == OURS
    assert find_our_message(mail_of("gmail-no-such-user"))[0] is None


def test_a_mail_of_somebody_else_names_none_of_ours():
    assert find_our_message(mail_of("newsletter")) == (None, None)
    assert not looks_like_notice(mail_of("newsletter"))
    assert not looks_like_notice(mail_of("person-who-answers"))


@pytest.mark.parametrize(
    ("status", "words", "expected"),
    [
        ("5.1.1", "", True),
        ("5.1.10", "", True),
        ("5.1.2", "", True),
        ("5.2.1", "", True),
        ("5.4.4", "", True),
        ("5.2.2", "mailbox full", False),
        ("5.7.1", "user unknown to our policy", False),
        ("4.4.7", "message expired", False),
        ("5.0.0", "550 no such user here", True),
        ("5.0.0", "rejected by policy", False),
        (None, "554 delivery error: This user doesn't have an account", True),
        (None, "550 Mailbox is full", False),
        (None, "Sorry, I couldn't find any host named nowhere.example", True),
    ],
)
def test_what_is_permanent(status: str | None, words: str, expected: bool):
    assert is_permanent_failure(status, words) is expected


@given(st.binary(max_size=4000))
def test_any_bytes_are_read(raw: bytes):
    assert isinstance(read_report(raw).kind, ReturnKind)
    looks_like_notice(raw)
    find_our_message(raw)


@given(st.data())
def test_any_damage_to_a_notice_is_read(data: st.DataObject):
    mail = bytearray(mail_of(data.draw(st.sampled_from([row[0] for row in rows()]))))
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(mail)))
        end = min(len(mail), start + data.draw(st.integers(0, 60)))
        mail[start:end] = data.draw(st.binary(max_size=20))
    report = read_report(bytes(mail))
    report.words.encode()  # what the database must store
    assert "\x00" not in report.words + (report.recipient or "")
    find_our_message(bytes(mail))


def test_a_hostile_mail_of_the_largest_size_is_read():
    size = RAW_MOST
    nested = b"".join(b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(6000))[
        :size
    ]
    for raw in (
        nested,
        b"A" * size,
        b"a: b\r\n" * (size // 6),
        b"<" * size,
        b"From: mailer-daemon@x\r\n\r\n" + b"5.1.1 " * 40_000,
    ):
        read_report(raw)
        find_our_message(raw)


def test_unclosed_tags_do_not_hold_up_the_service():
    # A pattern keeps every other thread waiting: with one that tried each beginning with each end, this took over 20 s.
    head = b'From: mailer-daemon@x\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    raw = head + b"".join(b"--b\r\nContent-Type: text/html\r\n\r\n" + b"<style " * 9300 + b"\r\n" for _ in range(4))
    begun = time.process_time()
    read_report(raw[:RAW_MOST])
    assert time.process_time() - begun < 8


def test_style_sheets_and_scripts_are_no_words():
    raw = b"Subject: Undelivered\r\nReturn-Path: <>\r\nContent-Type: text/html\r\n\r\n<style>p {}</style><p>550 5.1.1 no such user</p><SCRIPT>x()</script>"
    assert read_report(raw).words == "550 5.1.1 no such user"


def test_a_notice_over_which_the_library_stumbles_is_read_by_its_words():
    raw = b"Return-Path: <>\r\nSubject: Undelivered Mail Returned to Sender\r\n\r\n550 5.1.1 no such user\r\n"
    report = read_report(raw)
    assert (report.kind, report.status) == (ReturnKind.BOUNCED, "5.1.1")


def test_a_hostile_mail_leaves_no_traceback_in_the_log(caplog: pytest.LogCaptureFixture):
    read_report(b"Subject: x\r\nFrom: " + b"(" * 30_000 + b"\r\n\r\nx")
    assert not caplog.text
