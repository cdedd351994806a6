"""`tocsin setup mail` as an administrator uses it: on a terminal, or from a script; real mail servers, some of them wrong."""

import email
import email.policy
import ssl
import tomllib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.cli import serving_process, tocsin
from tests.support.dns_server import dns_server
from tests.support.self_signed import self_signed
from tests.support.smtp import Behave, SmtpServer
from tests.support.terminal import terminal

ANN = {"ann@mail.test": "p:/@ss ü"}


def settings_in(folder: Path) -> dict[str, str]:
    return tomllib.loads((folder / "var" / "tocsin.toml").read_text(encoding="utf-8"))


def test_wrong_answers_are_named_and_corrected_until_a_mail_has_come(tmp_path: Path) -> None:
    with SmtpServer(tls="starttls", users=ANN) as server:
        with terminal(tmp_path, "setup", "mail", "--encryption", "starttls") as person:
            person.answer("Mail address that alerts go to", "ann")
            person.expect("must be a mail address")
            person.answer("Mail address that alerts go to", "ann@mail.test")
            person.answer("Number or name [own]", "")
            person.answer("Mail server", "not a server")
            person.expect("must be a host or host:port")
            person.answer("Mail server", f"localhost:{server.port}")
            person.expect("!! TLS      the certificate was issued by")
            person.answer("Number or name [authority]", "")
            person.answer("PEM file", "/nowhere.pem")
            person.expect("cannot read /nowhere.pem")
            person.answer("PEM file", str(server.ca_file))
            person.answer("User, or - for no login [ann@mail.test]", "")
            person.answer("Password of ann@mail.test", "wrong")
            person.expect("!! login    535 5.7.8")
            person.answer("Number or name [password]", "")
            person.answer("Password of ann@mail.test", ANN["ann@mail.test"])
            person.expect("ok login    as ann@mail.test: 235")
            server.behave = Behave(
                answers={"MAIL": "550 5.7.60 SMTP; Client does not have permissions to send as this sender"}
            )
            person.answer("Sender of every mail [Tocsin <ann@mail.test>]", "Tocsin <other@mail.test>")
            person.expect("550 5.7.60 SMTP; Client does not have permissions")
            server.behave = Behave()
            person.answer("Number or name [sender]", "")
            person.answer("Sender of every mail", "Tocsin <ann@mail.test>")
            person.expect("ok mail     sent: 250")
            person.answer("Did the mail arrive at ann@mail.test?", "y")
            assert person.end() == 0
        [mail] = server.messages
    assert (
        email.message_from_bytes(mail.data, policy=email.policy.default)["Subject"]
        == "Test from Tocsin: alerts reach you here"
    )
    assert (mail.sender, mail.recipients, mail.user, mail.is_encrypted) == (
        "ann@mail.test",
        ("ann@mail.test",),
        "ann@mail.test",
        True,
    )
    assert settings_in(tmp_path)["admin_email"] == "ann@mail.test"
    assert ANN["ann@mail.test"] not in person.shown
    assert "p%3A%2F%40ss" not in person.shown


def test_an_end_in_the_middle_leaves_the_old_settings(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    old = '# mine\nsmtp_url = "smtp://old.example.org"\nadmin_email = "ann@mail.test"\n'
    (tmp_path / "var" / "tocsin.toml").write_text(old)
    with SmtpServer() as server, terminal(tmp_path, "setup", "mail") as person:
        person.answer("Mail address that alerts go to [ann@mail.test]", "")
        person.answer("Number or name [own]", "")
        person.answer("Mail server", f"localhost:{server.port}")
        person.answer("Sender of every mail", "")
        person.expect("Did the mail arrive")
        person.interrupt()
        assert person.end() == 1
    assert "Nothing was written." in person.shown
    assert (tmp_path / "var" / "tocsin.toml").read_text() == old
    assert len(server.messages) == 1


def test_a_self_signed_certificate_is_trusted_after_its_fingerprint_was_compared(tmp_path: Path) -> None:
    with SelfSigned(tls="tls") as server, terminal(tmp_path, "setup", "mail", "--encryption", "tls") as person:
        person.answer("Mail address that alerts go to", "ann@mail.test")
        person.answer("Number or name [own]", "exchange")
        person.answer("Mail server", f"localhost:{server.port}")
        person.expect("!! TLS      the certificate is self-signed (SHA-256 ")
        person.answer("alone to be trusted?", "y")
        person.answer("Sender of every mail", "")
        person.answer("Did the mail arrive", "n")
        person.expect("junk folder")
        person.answer("Write these settings", "y")
        assert person.end() == 0
        assert Path(settings_in(tmp_path)["smtp_ca_file"]).read_text() == server.ca_file.read_text()


def test_a_script_sets_up_mail_for_a_running_service_which_then_uses_it(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(ANN["ann@mail.test"] + "\n")
    with SmtpServer(users=ANN) as server, dns_server({("example.org", "MX"): ("1 smtp.google.com.",)}) as dns:
        words = [
            "--system",
            "own",
            "--to",
            "ann@example.org",
            "--server",
            f"localhost:{server.port}",
            "--user",
            "ann@mail.test",
            "--yes",
        ]
        with serving_process(tmp_path):
            done = tocsin(tmp_path, "setup", "mail", *words, "--password-file", "password", "--dns-server", dns)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "example.org receives its mail at smtp.google.com, which belongs to Google." in done.stdout
        assert "The service still uses the old settings: restart it" in done.stdout
        assert "ü" not in done.stdout + done.stderr
        with serving_process(tmp_path) as served:
            assert "Mail goes to   ann@example.org over SMTP" in served.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--yes"], "--to: is needed with --yes"),
        (["--yes", "--to", "ann"], "--to: must be a mail address"),
        (["--yes", "--to", "ann@mail.test", "--system", "own"], "--server: is needed with --yes"),
        (["--yes", "--to", "ann@mail.test", "--system", "own", "--server", "localhost:1"], "Connection refused"),
        (["--yes", "--to", "ann@mail.test", "--password-file", "missing"], "cannot read missing: No such file"),
        (["--yes", "--to", "ann@mail.test", "--dns-server", "ns.example.org"], "--dns-server: must be an address"),
    ],
)
def test_a_script_is_told_what_is_missing_and_nothing_is_written(tmp_path: Path, words: list[str], said: str) -> None:
    done = tocsin(tmp_path, "setup", "mail", *words)
    assert done.returncode in (1, 2)
    assert said in done.stdout + done.stderr
    assert not (tmp_path / "var" / "tocsin.toml").exists()


def test_a_setting_of_the_environment_that_would_win_is_named(tmp_path: Path) -> None:
    with SmtpServer() as server:
        words = ["--yes", "--to", "ann@mail.test", "--system", "own", "--server", f"localhost:{server.port}"]
        done = tocsin(tmp_path, "setup", "mail", *words, smtp_url="smtp://old.example.org")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "! TOCSIN_SMTP_URL is set in the environment and comes first" in done.stdout


def test_settings_of_mail_that_are_wrong_can_be_set_up_again(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "tocsin.toml").write_text('smtp_url = "wrong"\nport = 8123\n')
    with SmtpServer() as server:
        words = ["--yes", "--to", "ann@mail.test", "--system", "own", "--server", f"localhost:{server.port}"]
        done = tocsin(tmp_path, "setup", "mail", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "! TOCSIN_SMTP_URL: must look like" in done.stdout
    assert settings_in(tmp_path)["port"] == 8123


class SelfSigned(SmtpServer):
    """A mail server with a certificate that it made itself, as Exchange and Postfix have after their installation."""

    def _make_certificate(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate = self_signed("localhost", self.ca_file)
        context.load_cert_chain(self.ca_file)
        self.ca_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        return context
