"""The misbehaving SMTP server does what its script says: other tests rest on it."""

import base64
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.smtp import Behave, SmtpServer

MAIL = b"Subject: x\r\n\r\n.a dot, then text\r\n"


@contextmanager
def client(server: SmtpServer) -> Iterator[smtplib.SMTP]:
    link: smtplib.SMTP
    if server.tls == "tls":
        link = smtplib.SMTP_SSL("localhost", server.port, context=trust(server), timeout=5)
    else:
        link = smtplib.SMTP(server.host, server.port, timeout=5)
    try:
        yield link
    finally:
        link.close()


def trust(server: SmtpServer) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(server.ca_file))


def send(link: smtplib.SMTP) -> None:
    link.sendmail("from@x.test", ["to@x.test"], MAIL)


def test_keeps_messages_byte_for_byte_and_counts_connections():
    with SmtpServer() as server:
        for _ in range(2):
            with client(server) as link:
                send(link)
        first, second = server.messages
        assert (first.sender, first.recipients, first.data) == ("from@x.test", ("to@x.test",), MAIL)
        assert (first.connection, second.connection, server.connections) == (1, 2, 2)
        assert first.user is None
        assert not first.is_encrypted


@pytest.mark.parametrize("place", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("code", [451, 550])
def test_refuses_at_the_scripted_place_and_then_behaves_again(place: str, code: int):
    with SmtpServer(Behave(answers={place: f"{code} no"})) as server, client(server) as link:
        with pytest.raises((smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)) as refused:
            send(link)
        assert str(code) in str(refused.value)
        assert server.messages == []
        server.behave = Behave()
        link.rset()  # smtplib does not after a refused DATA
        send(link)
        assert len(server.messages) == 1


def test_421_also_closes():
    with (
        SmtpServer(Behave(answers={"CONNECT": "421 busy"})) as server,
        pytest.raises(smtplib.SMTPConnectError),
        client(server),
    ):
        pass


@pytest.mark.parametrize(("place", "kept"), [("CONNECT", 0), ("EHLO", 0), ("MAIL", 0), ("BODY", 0), ("DOT", 1)])
def test_disconnects_at_the_scripted_place(place: str, kept: int):
    with SmtpServer(Behave(hang_up=place)) as server:
        with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)), client(server) as link:
            send(link)
        assert len(server.messages) == kept
        assert server.count(place) == 1


@pytest.mark.parametrize(("place", "kept"), [("RCPT", 0), ("DOT", 1)])
def test_is_slow_at_the_scripted_place(place: str, kept: int):
    with SmtpServer(Behave(delays={place: 0.5})) as server:
        with (
            smtplib.SMTP(server.host, server.port, timeout=0.2) as link,
            pytest.raises((TimeoutError, smtplib.SMTPServerDisconnected)),
        ):
            send(link)
        assert len(server.messages) == kept


@pytest.mark.parametrize("tls", ["starttls", "tls"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_encrypts_and_checks_the_password(tls: str, mechanism: str):
    with SmtpServer(tls=tls, users={"u": "right"}, mechanisms=(mechanism,)) as server:
        for password in ("wrong", "right"):
            with client(server) as link:
                if tls == "starttls":
                    link.starttls(context=trust(server))
                if password == "wrong":
                    with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
                        link.login("u", password)
                else:
                    link.login("u", password)
                    send(link)
        assert [(message.user, message.is_encrypted) for message in server.messages] == [("u", True)]


def test_insists_on_starttls_and_on_login():
    with SmtpServer(tls="starttls", users={"u": "p"}) as server, client(server) as link:
        with pytest.raises(smtplib.SMTPSenderRefused, match="530"):
            send(link)
        link.starttls(context=trust(server))
        with pytest.raises(smtplib.SMTPSenderRefused, match="530"):
            send(link)


def test_is_not_trusted_without_its_authority():
    with SmtpServer(tls="starttls") as server, client(server) as link, pytest.raises(ssl.SSLError):
        link.starttls(context=ssl.create_default_context())


def test_checks_access_tokens_and_challenges_a_wrong_one():
    def packed(token: str) -> str:
        return base64.b64encode(f"user=u\x01auth=Bearer {token}\x01\x01".encode()).decode()

    long = "t" * 3000
    with SmtpServer(tokens={"u": long}) as server, client(server) as link:
        link.ehlo()
        assert link.docmd("AUTH", "XOAUTH2 " + packed("wrong"))[0] == 334
        assert link.docmd("")[0] == 535
        assert link.docmd("AUTH", "XOAUTH2 " + packed(long))[0] == 235
        send(link)
        assert server.messages[0].user == "u"


def test_closes_when_idle_and_after_too_many_messages():
    with SmtpServer(Behave(idle_close_s=0.2, max_messages=1)) as server:
        with client(server) as link:
            send(link)
            with pytest.raises(smtplib.SMTPSenderRefused, match="421"):
                send(link)
        with client(server) as link:
            code, _ = link.ehlo()  # on a busy machine the server has closed before it
            assert code == 421 or link.getreply()[0] == 421
            with pytest.raises(smtplib.SMTPServerDisconnected):
                link.noop()
        assert server.open_connections == 0


def test_stops_while_clients_are_connected_and_waiting():
    with SmtpServer(Behave(delays={"NOOP": 60})) as server:
        link = smtplib.SMTP(server.host, server.port, timeout=5)
        link.putcmd("NOOP")
    with pytest.raises((smtplib.SMTPServerDisconnected, ConnectionError)):
        link.getreply()
    link.close()


def test_waiting_for_messages_ends():
    with SmtpServer() as server, pytest.raises(TimeoutError, match="0 of 1"):
        server.wait_for(1, timeout_s=0.05)
