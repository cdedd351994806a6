"""The URL that is written from answers means these answers, whatever characters they have."""

from hypothesis import given
from hypothesis import strategies as st

from app.cli.mail_setup.smtp import SmtpAnswers
from app.core.smtp_url import SmtpServer, Tls, read_smtp_urls

HOSTS = st.sampled_from(["mail.example.org", "192.0.2.1", "2001:db8::1", "localhost"])
TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(HOSTS, st.integers(1, 65535), st.sampled_from([Tls.STARTTLS, Tls.TLS]), TEXT, TEXT)
def test_a_login_is_read_as_it_was_typed(host: str, port: int, tls: Tls, user: str, password: str) -> None:
    answers = SmtpAnswers(host, port, tls, user, password)
    assert read_smtp_urls(answers.url()) == (SmtpServer(host, port, tls, user, password),)


@given(HOSTS, st.integers(1, 65535), st.sampled_from(list(Tls)))
def test_without_a_user_there_is_no_login(host: str, port: int, tls: Tls) -> None:
    assert read_smtp_urls(SmtpAnswers(host, port, tls).url()) == (SmtpServer(host, port, tls),)
