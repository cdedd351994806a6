"""A mail that somebody other than its recipient looks at has no link that acts in the name of the recipient."""

from email import message_from_bytes, policy
from email.message import EmailMessage

from app.compose.link_tokens import mail_without_tokens, without_tokens

SIGNATURE = "0123456789abcdef" * 2
ANSWER = f"https://tocsin.test/answer/alr_1.rcp_2.6a.{SIGNATURE}"
LEAVE = f"https://tocsin.test/unsubscribe/sch_1.rcp_2.{SIGNATURE}"


def test_signed_links_are_taken_out_and_others_stay():
    text = f"<a href='{ANSWER}?silence=4h'>quiet</a> {LEAVE}. See https://tocsin.test/proof/alr_1"
    shown = without_tokens(text)
    assert SIGNATURE not in shown
    assert "/answer/hidden?silence=4h'" in shown
    assert shown.endswith("See https://tocsin.test/proof/alr_1")


def test_no_part_and_no_header_of_a_mail_keeps_a_signature():
    mail = EmailMessage(policy=policy.SMTP)
    mail["Subject"], mail["List-Unsubscribe"] = "Grüße", f"<{LEAVE}>"
    mail.set_content(f"{'long ' * 30}{ANSWER}\n{LEAVE}\nGrüße\n", cte="quoted-printable")
    mail.add_alternative(f"<p>Grüße <a href='{ANSWER}'>yes</a></p>", subtype="html", cte="base64")
    read = message_from_bytes(mail_without_tokens(mail.as_bytes()), policy=policy.default)
    assert SIGNATURE not in read.as_string()
    assert read["List-Unsubscribe"] is None
    bodies = [read.get_body((kind,)) for kind in ("plain", "html")]
    for body in bodies:
        assert body is not None
        assert SIGNATURE not in body.get_content()
        assert "Grüße" in body.get_content()


def test_a_mail_without_such_links_stays_as_it_was_sent():
    mail = b"Subject: ok\r\nX-Odd:  kept\r\n\r\nnothing to answer\r\n"
    assert mail_without_tokens(mail) == mail
