"""A mail as a mail program reads it: no text from outside may become a header, a tag or another mail."""

import base64
import unicodedata
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from typing import cast

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from app.compose import alert_mail, mime, summary_mail
from app.compose.render import RenderedMail
from app.core.mail_address import message_id_header
from app.core.unseen import without_unseen
from app.domain.alert import AlertKind
from app.domain.mail_views import Section
from app.domain.notice import NoticeKind
from tests.support.examples import examples
from tests.support.mail_views import NOW, job_line, make_alert_view, make_summary_view

BASE = "https://tocsin.example.org"
ID = "<msg_1@example.org>"
MAIL = RenderedMail("Backups Tue 24 Nov: all 412 ok (no. 118)", "text\n", "<p>html</p>\n")
HEADERS = [
    *("Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress"),
    *("X-Tocsin", "MIME-Version", "Content-Type"),
]
TAGS = {"html", "head", "meta", "title", "style", "body", "div", "table", "tbody", "tr", "td", "a", "br", "b", "span"}
UNSEEN = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\u200e\u200f"
NASTY = (
    *(
        "<script>alert(1)</script>",
        "</title></style><img src=x onerror=alert(1)>",
        "\r\nBcc: everybody@example.org\r\n\r\nhi",
    ),
    *(
        "\n.\nMAIL FROM:<x@y>",
        "a\x00b\x1b[31mred\x1b[0m\x07",
        "\u202egpj.exe\u2066",
        "{{ 7*7 }}{% raw %}",
        "=?utf-8?q?=0D=0ABcc:x?=",
    ),
    *(
        '" onmouseover="x',
        "javascript:alert(1)",
        "\ud800",
        "\x85\u2028\u2029\x0b\x0c",
        "Ünïcødé 備份 🔥" * 9,
        "--=_boundary",
        "x" * 3000,
    ),
)
anything = st.one_of(
    st.text(max_size=80), st.sampled_from(NASTY), st.tuples(st.text(max_size=20), st.sampled_from(NASTY)).map("".join)
)


# Shrinking a whole mail with a dozen texts takes minutes and shows no more than the failing example itself.
whole_mails = settings(max_examples=examples(60), deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))


def build(rendered: RenderedMail, **given: object) -> bytes:
    values = {
        "sender": "Tocsin <tocsin@example.org>",
        "to": "admin@example.org",
        "message_id": ID,
        "date": NOW,
        "in_reply_to": None,
        "references": (),
    }
    return mime.build(rendered, **{**values, **given})


def read(mail: bytes) -> EmailMessage:
    return cast("EmailMessage", message_from_bytes(mail, policy=default))


def parts(mail: bytes) -> tuple[str, str]:
    plain, html = read(mail).iter_parts()
    read_text, read_html = (cast("EmailMessage", part).get_content().replace("\r\n", "\n") for part in (plain, html))
    return read_text, read_html


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def is_plain(text: str) -> bool:
    return not any(unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp") or sign in UNSEEN for sign in text)


def assert_safe(rendered: RenderedMail) -> None:
    mail = build(rendered)
    parsed = read(mail)
    assert [name for name in parsed if name not in HEADERS] == []
    assert len(parsed.keys()) == len(HEADERS)
    assert parsed.defects == []
    assert str(parsed["Subject"]) == rendered.subject.replace("=?", "= ?")
    assert is_plain(rendered.subject)
    assert mail.isascii()
    assert mail.count(b"\r\n") == mail.count(b"\n") == mail.count(b"\r")
    assert max(map(len, mail.split(b"\r\n"))) <= 998
    text, html = parts(mail)
    assert text == rendered.text
    assert is_plain(text.replace("\n", " "))
    assert is_plain(html.replace("\n", " "))
    assert "<script" not in html.lower()
    tags = Tags()
    tags.feed(html)
    assert {tag for tag, _ in tags.found} <= TAGS
    assert all(not name.startswith("on") for _, attributes in tags.found for name in attributes)
    assert all((a.get("href") or BASE).startswith(BASE) and "src" not in a for _, a in tags.found)


@whole_mails
@given(
    st.data(),
    st.sampled_from(AlertKind),
    st.sampled_from([NoticeKind.OPENED, NoticeKind.REPEATED, NoticeKind.RECOVERED]),
    st.integers(1, 3),
)
def test_no_text_of_an_alert_becomes_a_header_or_a_tag(data, kind, what, number) -> None:
    fields = (
        "message",
        "closed_reason",
        "acknowledged_by",
        "customer",
        "agent",
        "job",
        "activity",
        "reason",
        "log_tail",
        "time_zone",
    )
    given = {field: data.draw(anything, label=field) for field in fields}
    ids = {field: data.draw(anything, label=field) for field in ("id", "job_id", "agent_id", "run_id")}
    view = make_alert_view(kind=kind, what=what, closed_at=NOW, acknowledged_at=NOW, **given, **ids)
    assert_safe(alert_mail.render([view] * number, base_url=BASE))


@whole_mails
@given(st.data())
def test_no_text_of_a_summary_becomes_a_header_or_a_tag(data) -> None:
    fields = ("job_id", "customer", "agent", "job", "activity", "last_message")
    line = job_line(
        strip="fwmlco.oooooof",
        silenced_until=NOW,
        failing_since=NOW,
        **{field: data.draw(anything, label=field) for field in fields},
    )
    sections = tuple(Section(title, (line,), 0) for title in ("failed", "silenced", "ok", "new"))
    view = make_summary_view(
        sections=sections,
        schedule=data.draw(anything),
        time_zone=data.draw(anything),
        silent_agents=(data.draw(anything),),
    )
    assert_safe(summary_mail.render(view, base_url=BASE))


@settings(max_examples=examples(200), deadline=None)
@given(subject=st.text(max_size=160).map(lambda text: "".join(sign for sign in text if sign.isprintable())))
def test_a_subject_is_read_as_it_was_written(subject) -> None:
    rendered = RenderedMail(subject, "x\n", "x\n")
    assert str(read(build(rendered))["Subject"]) == without_unseen(subject).strip().replace("=?", "= ?")


def test_the_same_input_results_in_the_same_bytes() -> None:
    def once() -> bytes:
        return build(
            alert_mail.render([make_alert_view(), make_alert_view(2)], base_url=BASE),
            references=("<a@b>",),
            in_reply_to="<a@b>",
        )

    assert once() == once()
    assert build(MAIL, message_id="<other@b>") != build(MAIL)


def test_a_mail_has_the_headers_of_its_thread_and_suppresses_auto_replies() -> None:
    ids = tuple(f"<{'x' * 150}{n}@example.org>" for n in range(40))
    mail = read(build(MAIL, in_reply_to=ids[0], references=ids, message_id="<" + "y" * 200 + "@example.org>"))
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "All"
    assert mail["In-Reply-To"] == ids[0]
    assert mail["Message-ID"] == "<" + "y" * 200 + "@example.org>"
    references = str(mail["References"]).split()
    assert references[0] == ids[0]
    assert references[-1] == ids[-1]
    assert len(references) <= 21
    assert mail["Precedence"] is None


def test_the_date_is_the_one_passed_in() -> None:
    assert read(build(MAIL))["Date"].datetime == NOW
    local = datetime(2026, 11, 24, 2, 10, tzinfo=UTC) + timedelta(seconds=3)
    assert read(build(MAIL, date=local))["Date"].datetime == local


def test_html_comes_last_so_that_it_is_preferred() -> None:
    mail = read(build(MAIL))
    assert mail.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]


@pytest.mark.parametrize(
    "text", ["備份失敗 " * 200, "plain words\n" * 50, "Ä" * 2000, "=" * 500, " \n. \n.\nFrom here\n", ""]
)
def test_bodies_are_read_as_they_were_written(text) -> None:
    assert parts(build(RenderedMail("x", text + "\n", f"<p>{text}</p>\n"))) == (text + "\n", f"<p>{text}</p>\n")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("Tocsin <tocsin@bücher.example>", "Tocsin <tocsin@xn--bcher-kva.example>"),
        ('"Bücherei, Amt" <tocsin@example.org>', '"Bücherei, Amt" <tocsin@example.org>'),
        ("tocsin@faß.example", "tocsin@xn--fa-hia.example"),
        ("tocsin@[192.0.2.1]", "tocsin@[192.0.2.1]"),
    ],
)
def test_a_non_ascii_sender_is_written_in_ascii(given, shown) -> None:
    mail = build(MAIL, sender=given)
    assert mail.isascii()
    assert str(read(mail)["From"]) == shown


def test_a_non_ascii_local_part_stays_as_it_is() -> None:
    mail = build(MAIL, to="jürgen@bücher.example")
    assert "jürgen@xn--bcher-kva.example".encode() in mail
    assert str(read(mail)["To"]) == "jürgen@xn--bcher-kva.example"


@pytest.mark.parametrize("to", ["nobody", "a@b@c", "x@y\r\nBcc: z@y", "a b@example.org", "", "x@\ud800"])
def test_an_invalid_recipient_adds_no_header(to) -> None:
    parsed = read(build(MAIL, to=to))
    assert str(parsed["To"]) == "undisclosed-recipients:;"
    assert parsed["Bcc"] is None


@pytest.mark.parametrize(
    "bad",
    [
        {"message_id": "x@y"},
        {"message_id": "<x@y>\r\nBcc: z@y"},
        {"in_reply_to": "<x y@z>"},
        {"references": ("<x@y>", "ü")},
        {"sender": "nobody"},
    ],
)
def test_an_id_or_sender_that_breaks_a_header_is_refused(bad) -> None:
    with pytest.raises(ValueError, match="is not a"):
        build(MAIL, **bad)


def test_outlooks_index_is_shared_by_a_conversation_and_sorts_by_time() -> None:
    conversation = mime.Conversation("alr_1", "nightly-sql: gesperrt für „nächtlich“ =?utf-8?q?x?=\r\nBcc: x@y", NOW)
    times = [
        NOW + later for later in (timedelta(minutes=1), timedelta(hours=1), timedelta(days=30), timedelta(days=900))
    ]
    mails = [read(build(MAIL, conversation=conversation))]
    mails += [read(build(MAIL, conversation=conversation, in_reply_to=ID, date=at)) for at in times]
    first, *others = [base64.b64decode(str(mail["Thread-Index"])) for mail in mails]
    assert len(first) == 22
    assert first[0] == 1
    # The first 48 bits of the time as Windows counts it: 100 ns since 1601.
    assert (int.from_bytes(first[:6], "big") << 16) / 1e7 - 11_644_473_600 == pytest.approx(NOW.timestamp(), abs=0.01)
    assert all(one[:22] == first and len(one) == 27 for one in others)
    assert [one[22:] for one in others] == sorted(one[22:] for one in others)
    assert {str(mail["Thread-Topic"]) for mail in mails} == {
        "nightly-sql: gesperrt für „nächtlich“ = ?utf-8?q?x?= Bcc: x@y"
    }
    assert all(mail["Bcc"] is None for mail in mails)
    other = read(build(MAIL, conversation=mime.Conversation("alr_2", "x", NOW)))
    assert base64.b64decode(str(other["Thread-Index"]))[6:] != first[6:]


def test_a_sender_whose_domain_is_not_ascii_has_an_ascii_message_id() -> None:
    assert message_id_header("msg_1", "Tocsin <tocsin@bücher.example>") == "<msg_1@xn--bcher-kva.example>"
    mail = read(build(MAIL, sender="tocsin@bücher.example", message_id=message_id_header("a", "tocsin@bücher.example")))
    assert str(mail["Message-ID"]).isascii()
