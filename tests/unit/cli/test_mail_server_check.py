"""What the doctor says of mail servers that it asks."""

from app.cli.mail_server_check import check_mail_servers
from app.core.settings import load_settings
from tests.support.smtp import Behave, SmtpServer


async def test_each_server_is_asked_and_what_to_mend_is_named_without_a_secret() -> None:
    with SmtpServer() as gone:
        pass
    refuses = Behave(answers=dict.fromkeys(["EHLO", "HELO"], "504 5.5.2 Helo command rejected"))
    with SmtpServer() as well, SmtpServer(refuses) as strict, SmtpServer(users={"u": "right"}) as locked:
        urls = [f"localhost:{one.port}?tls=none" for one in (well, strict, gone)]
        given = " ".join([*(f"smtp://{url}" for url in urls), f"smtp://u:hunter2@localhost:{locked.port}?tls=none"])
        lines = await check_mail_servers(load_settings(smtp_url=given))
        assert well.messages == []
        assert well.count("QUIT") == 1
    name, away, login = lines
    assert f"localhost:{strict.port} cannot be used now: ehlo_name 504 5.5.2" in name
    assert "TOCSIN_SMTP_EHLO_NAME" in name
    assert f"localhost:{gone.port} cannot be used now: connect" in away
    assert f"localhost:{locked.port} cannot be used now: auth 535" in login
    assert "hunter2" not in "".join(lines)


async def test_without_a_mail_server_there_is_nothing_to_ask() -> None:
    assert await check_mail_servers(load_settings()) == []
