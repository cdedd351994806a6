"""What an administrator reads when a step towards the mail server fails, and which answer is asked for again."""

import contextlib
import ssl
from pathlib import Path
from typing import Any

import pytest

from app.cli.mail_setup import smtp_check
from app.cli.mail_setup.smtp_check import Answer, Step, Trial, check_server
from app.core.smtp_url import SmtpServer as Server
from app.core.smtp_url import Tls
from tests.support.ports import lasting_port
from tests.support.smtp import Behave, SmtpServer
from tests.support.wrong_server import answering

ANN = {"ann": "right"}


async def check(
    port: int,
    tls: Tls = Tls.NONE,
    user: str | None = None,
    password: str | None = None,
    *,
    host: str = "localhost",
    ca: Path | None = None,
) -> list[Step]:
    trial = Trial(Server(host, port, tls, user, password), ssl.create_default_context(cafile=ca))
    async with contextlib.aclosing(check_server(trial)) as steps:
        return [step async for step in steps]


@pytest.mark.parametrize("tls", [Tls.STARTTLS, Tls.TLS])
async def test_each_step_is_shown_to_the_login(tls: Tls) -> None:
    with SmtpServer(tls=tls.value, users=ANN) as server:
        steps = await check(server.port, tls, "ann", "right", ca=server.ca_file)
    assert [(step.name, step.fault) for step in steps] == [
        (name, None) for name in ("DNS", "connect", "TLS", "EHLO", "login")
    ]
    assert steps[2].text == "TLSv1.3, and the certificate is valid"
    assert steps[3].offers_login
    assert steps[4].text == "as ann: 235 2.7.0 Authentication successful"


@pytest.mark.parametrize(
    ("behave", "tls_offered", "tls", "login", "failed", "fault", "words", "advice"),
    [
        ({}, "none", Tls.NONE, ("ann", "wrong"), "login", Answer.PASSWORD, "535 5.7.8", "User or password is wrong"),
        ({"AUTH": "535 5.7.139 Authentication unsuccessful, basic authentication is disabled"}, "none", Tls.NONE, ("ann", "right"), "login", Answer.PASSWORD, "5.7.139", "choose Exchange Online"),
        ({"AUTH": "535 5.7.3 Authentication unsuccessful"}, "none", Tls.NONE, ("ann", "right"), "login", Answer.PASSWORD, "5.7.3", "receive connector"),
        ({"AUTH": "534 5.7.9 Application-specific password required"}, "none", Tls.NONE, ("ann", "right"), "login", Answer.PASSWORD, "534", "app password"),
        ({"EHLO": "550 5.7.1 your name is not welcome", "HELO": "550 5.7.1 your name is not welcome"}, "none", Tls.NONE, None, "EHLO", Answer.EHLO_NAME, "550 5.7.1 your name is not welcome", "full name in DNS"),
        ({"CONNECT": "554 5.7.1 we do not talk to you"}, "none", Tls.NONE, None, "connect", Answer.SERVER, "554 5.7.1 we do not talk to you", "refuses this host"),
        ({}, "none", Tls.STARTTLS, None, "TLS", Answer.ENCRYPTION, "STARTTLS", "does not offer this encryption"),
        ({}, "none", Tls.TLS, None, "TLS", Answer.ENCRYPTION, "", "Port 465 usually needs `tls`"),
        ({}, "starttls", Tls.STARTTLS, None, "TLS", Answer.AUTHORITY, "which this host does not know", "Enter the PEM file"),
        ({}, "tls", Tls.TLS, None, "TLS", Answer.AUTHORITY, "which this host does not know", "Enter the PEM file"),
        ({"STARTTLS": "454 4.7.0 TLS not available"}, "starttls", Tls.STARTTLS, None, "TLS", Answer.ENCRYPTION, "454 4.7.0 TLS not available", "Try port 465"),
    ],
)  # fmt: skip
async def test_a_failed_step_is_shown_in_the_servers_words_with_what_to_do(
    behave: dict[str, str],
    tls_offered: Any,
    tls: Tls,
    login: tuple[str, str] | None,
    failed: str,
    fault: Answer,
    words: str,
    advice: str,
) -> None:
    with SmtpServer(Behave(answers=behave), tls=tls_offered, users=ANN) as server:
        *before, last = await check(server.port, tls, *(login or ()))
    assert all(step.fault is None for step in before)
    assert (last.name, last.fault) == (failed, fault)
    assert words in last.text
    assert advice in last.advice


async def test_a_name_that_dns_does_not_know_is_reported_first() -> None:
    [step] = await check(25, host="a" * 64 + ".test")
    assert (step.name, step.fault) == ("DNS", Answer.SERVER)


async def test_a_port_on_which_nothing_listens_is_named() -> None:
    port = lasting_port()
    _, step = await check(port, host="127.0.0.1")
    assert (step.name, step.fault) == ("connect", Answer.SERVER)
    assert step.text == f"port {port}: 127.0.0.1: Connection refused"
    assert "587 (STARTTLS)" in step.advice


async def test_a_server_of_another_protocol_is_recognised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_check, "STEP_S", 0.5)  # it waits for a request, and we for its greeting
    with answering([b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as port:
        *_, step = await check(port, host="127.0.0.1")
    assert (step.name, step.fault) == ("connect", Answer.SERVER)
    assert "no SMTP server" in step.advice


async def test_a_server_without_a_login_is_distinguished_from_a_wrong_password() -> None:
    with SmtpServer() as server:
        *_, step = await check(server.port, Tls.NONE, "ann", "right")
    assert (step.name, step.fault) == ("login", Answer.USER)
    assert step.text == "the server does not offer plain, but: no login at all"


async def test_a_password_never_leaves_without_encryption() -> None:
    with SmtpServer(users=ANN) as server:
        *_, step = await check(server.port, Tls.NONE, "ann", "right", host="0.0.0.0")
        assert (step.name, step.fault) == ("login", Answer.ENCRYPTION)
        assert server.count("AUTH") == 0


async def test_a_certificate_for_another_name_lists_its_names() -> None:
    with SmtpServer(tls="starttls") as server:
        *_, step = await check(server.port, Tls.STARTTLS, host="0.0.0.0", ca=server.ca_file)
    assert (step.name, step.fault) == ("TLS", Answer.SERVER)
    assert step.text == "the certificate is not for 0.0.0.0, but for localhost, 127.0.0.1"


async def test_a_server_that_is_silent_ends_the_step() -> None:
    with SmtpServer(Behave(hang_up="EHLO")) as server:
        *_, step = await check(server.port)
    assert (step.name, step.fault) == ("EHLO", Answer.SERVER)
