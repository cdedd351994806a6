"""`tocsin setup mail` as an administrator uses it: on a terminal, or from a script; real mail servers, some of them wrong."""

import email
import email.policy
import gc
import re
import shlex
import ssl
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate
from typer.testing import CliRunner

from app.cli.setup_mail import cli
from programs.protocol import relay as wire
from tests.support.cli import serving_process, tocsin
from tests.support.dns_server import dns_server
from tests.support.graph_server import MAILBOX, graph_server_in_thread
from tests.support.self_signed import self_signed
from tests.support.smtp import Behave, SmtpServer
from tests.support.sources import ROOT
from tests.support.terminal import terminal
from tests.support.token_server import CLIENT_ID, REFRESH, SECRET, TENANT

ANN = {"ann@mail.test": "p:/@ss ü"}


SCRIPT = ["--yes", "--to", "ann@mail.test", "--system", "own", "--server"]


# A user's command ends with its process, which closes its connections; here the process goes on.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Undo that a command of this process logs to a stream that ends with it, and free the connections that it left to the end of a process."""
    kept = structlog.get_config()
    yield
    structlog.configure(**kept)
    gc.collect()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the command runs, without the settings of other tests."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOCSIN_CONFIG")
    return tmp_path


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
            person.expect("Set TOCSIN_MAIL_FROM to an address")
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


@pytest.mark.slow
def test_a_self_signed_certificate_is_trusted_after_its_fingerprint_was_compared(tmp_path: Path) -> None:
    with SelfSigned(tls="tls") as server, terminal(tmp_path, "setup", "mail", "--encryption", "tls") as person:
        person.answer("Mail address that alerts go to", "ann@mail.test")
        person.answer("Number or name [own]", "exchange")
        person.answer("Mail server", f"localhost:{server.port}")
        person.expect("!! TLS      the certificate is self-signed (SHA-256 ")
        person.answer("trust this one certificate?", "y")
        person.answer("Sender of every mail", "")
        person.answer("Did the mail arrive", "n")
        person.expect("junk folder")
        person.answer("Write these settings", "y")
        assert person.end() == 0
        assert Path(settings_in(tmp_path)["smtp_ca_file"]).read_text() == server.ca_file.read_text()


@pytest.mark.slow
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
    ("words", "expected"),
    [
        ([], "--to: is needed with --yes"),
        (["--to", "ann"], "--to: must be a mail address"),
        (["--to", "ann@mail.test", "--system", "own"], "--server: is needed with --yes"),
        (["--to", "ann@mail.test", "--system", "own", "--server", "a b"], "--server: must be a host"),
        (["--to", "ann@mail.test", "--system", "own", "--server", "localhost:1"], "Connection refused"),
        (["--to", "ann@mail.test", "--password-file", "missing"], "cannot read missing: No such file"),
        (["--to", "ann@mail.test", "--dns-server", "ns.example.org"], "--dns-server: must be an address"),
        (["--to", "ann@mail.test", "--system", "exchange-online"], "--client-id: is needed with --yes"),
        (["--to", "ann@mail.test", "--system", "exchange-online", "--via", "mapi"], "--via: one of: graph, smtp"),
        (["--to", "ann@mail.test", "--system", "google", "--via", "service-account", "--service-account", "missing"], "there is no file missing"),
        (["--to", "ann@mail.test", "--system", "outlook"], "no admin key"),
    ],
)  # fmt: skip
def test_a_script_learns_what_is_missing_and_nothing_is_written(here: Path, words: list[str], expected: str) -> None:
    done = CliRunner().invoke(cli, ["mail", "--yes", *words])
    assert done.exit_code != 0
    assert expected in f"{done.output} {done.exception}"
    assert not (here / "var" / "tocsin.toml").exists()


@pytest.mark.slow
def test_exchange_online_is_suggested_and_set_up_without_a_password(tmp_path: Path) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "tocsin.toml").write_text('smtp_url = "smtp://old.example.org"\n')
    mx = {("example.org", "MX"): ("0 example-org.mail.protection.outlook.com.",)}
    with graph_server_in_thread() as graph, dns_server(mx) as dns:
        urls = {"oauth_token_url": graph.tokens.url, "graph_url": graph.url}
        with terminal(tmp_path, "setup", "mail", "--dns-server", dns, **urls) as person:
            person.answer("Mail address that alerts go to", "ann@example.org")
            person.expect("example-org.mail.protection.outlook.com, which belongs to Exchange Online")
            person.answer("Number or name [exchange-online]", "")
            person.answer("Number or name [graph]", "")
            person.answer("Mailbox that sends [ann@example.org]", MAILBOX)
            person.answer("Number or name [certificate]", "secret")
            person.answer("Tenant: its id or domain [example.org]", TENANT)
            person.answer("Application (client) id", CLIENT_ID)
            person.answer("Client secret", "wrong")
            person.answer("Last day of the secret", "tomorrow")
            person.expect("must be a date")
            person.answer("Last day of the secret", "2031-12-31")
            person.expect("!! token    TOCSIN_OAUTH_CLIENT_SECRET is wrong")
            person.answer("Number or name [client-secret]", "")
            person.answer("Client secret", SECRET)
            person.expect("ok token    given for graph")
            person.answer(f"Sender of every mail [Tocsin <{MAILBOX}>]", "")
            person.expect("ok mail     sent: 202")
            person.answer("Did the mail arrive", "y")
            assert person.end() == 0
        assert len(graph.mails) == 1
    assert SECRET not in person.shown
    assert "Removed from var/tocsin.toml: smtp_url" in person.shown
    written = settings_in(tmp_path)
    assert (written["graph_mailbox"], written["oauth_client_secret"]) == (MAILBOX, SECRET)
    assert written["oauth_secret_expires"] == "2031-12-31"
    assert "smtp_url" not in written


def test_a_script_sets_up_smtp_with_an_access_token(tmp_path: Path) -> None:
    with graph_server_in_thread() as graph, SmtpServer() as server:
        (tmp_path / "secret").write_text(SECRET)
        (tmp_path / "refresh").write_text(REFRESH)
        words = [
            "--to",
            "ann@mail.test",
            "--system",
            "google",
            "--via",
            "refresh-token",
            "--server",
            f"localhost:{server.port}",
            "--yes",
        ]
        files = ["--client-id", CLIENT_ID, "--client-secret-file", "secret", "--refresh-token-file", "refresh"]
        refused = tocsin(tmp_path, "setup", "mail", *words, *files, oauth_token_url=graph.tokens.url)
        assert refused.returncode == 1
        assert "ok token    given for smtp" in refused.stdout
        assert "!! login    the server does not offer xoauth2" in refused.stdout
    assert not (tmp_path / "var" / "tocsin.toml").exists()


@pytest.mark.slow
def test_a_relay_for_outlook_is_created_followed_and_used_first(tmp_path: Path) -> None:
    with serving_process(tmp_path) as served:
        with terminal(tmp_path, "setup", "mail", port=served.port) as person:
            person.answer("Mail address that alerts go to", "admin@localhost")
            person.answer("Number or name [own]", "outlook")
            person.answer("Name of the Windows host", "mail01")
            person.expect("Waiting for the relay")
            [code] = set(re.findall(r"--code ([0-9A-Z-]+)", person.shown))
            with httpx.Client(base_url=f"http://127.0.0.1:{served.port}", trust_env=False, timeout=30) as client:
                relay = ScriptedHost(client, code)
                relay.beat()
                person.expect("ok relay    has reported")
                relay.send_all()
            person.expect("ok mail     ")
            person.answer("Did the mail arrive", "y")
            person.answer("Send mail of the recipient admin through Outlook first?", "y")
            assert person.end() == 0
        assert "admin: mapi" in person.shown


@pytest.mark.parametrize(
    "old",
    [
        "smtp://u:p:4ss@old.example.org",
        "smtp://u:p@4ss@old.example.org",
        "smtp://u:4ss@old.example.org smtp://v:4ss@b.example.org",
    ],
)
def test_the_servers_that_are_no_longer_used_are_shown_without_a_password(here: Path, old: str) -> None:
    (here / "var").mkdir()
    (here / "var" / "tocsin.toml").write_text(f'smtp_url = "{old}"\n')
    with SmtpServer() as server:
        done = CliRunner().invoke(cli, ["mail", *SCRIPT, f"localhost:{server.port}"])
    assert done.exit_code == 0, done.output
    assert "No longer used: smtp://u:...@old.example.org" in done.output
    assert "4ss" not in done.output


def test_the_old_server_can_be_kept_as_the_second_one(here: Path) -> None:
    (here / "var").mkdir()
    (here / "var" / "tocsin.toml").write_text('smtp_url = "smtp://u:4ss@old.example.org"\n')
    with SmtpServer() as server:
        answers = ["ann@mail.test", "own", f"localhost:{server.port}", "", "y", "y", ""]
        done = CliRunner().invoke(cli, ["mail"], input="\n".join(answers))
    assert done.exit_code == 0, done.output
    assert "Keep smtp://u:...@old.example.org for when the new server cannot be reached?" in done.output
    assert "No longer used" not in done.output
    assert settings_in(here)["smtp_url"] == f"smtp://localhost:{server.port}?tls=none smtp://u:4ss@old.example.org"


def test_before_the_first_start_only_the_settings_are_left_behind(here: Path) -> None:
    """Run as root, a secret or a lock of ours would keep the service, which runs as another user, from starting."""
    with SmtpServer() as server:
        done = CliRunner().invoke(cli, ["mail", *SCRIPT, f"localhost:{server.port}"])
    assert done.exit_code == 0, done.output
    assert [path.name for path in (here / "var").iterdir()] == ["tocsin.toml"]


def test_a_setting_of_the_environment_that_would_win_is_named(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SMTP_URL", "smtp://old.example.org")
    with SmtpServer() as server:
        done = CliRunner().invoke(cli, ["mail", *SCRIPT, f"localhost:{server.port}"])
    assert done.exit_code == 0, done.output
    assert "! TOCSIN_SMTP_URL is set in the environment and overrides the file" in done.output
    assert "smtp_url" in settings_in(here)


def test_settings_of_mail_that_are_wrong_can_be_set_up_again(here: Path) -> None:
    (here / "var").mkdir()
    (here / "var" / "tocsin.toml").write_text('smtp_url = "wrong"\nport = 8123\n')
    with SmtpServer() as server:
        done = CliRunner().invoke(cli, ["mail", *SCRIPT, f"localhost:{server.port}"])
    assert done.exit_code == 0, done.output
    assert "! TOCSIN_SMTP_URL: must look like" in done.output
    assert settings_in(here)["port"] == 8123


MAIL_PAGE = (ROOT / "docs" / "mail.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("system", ["own", "exchange", "google", "provider"])
def test_the_command_of_a_section_of_the_mail_page_sends_a_mail_and_writes_the_settings(
    here: Path, system: str
) -> None:
    """As it stands there, but for the address of the mail server and its authority."""
    words = _words_on_the_page(system)
    user = words[words.index("--user") + 1] if "--user" in words else None
    (here / "password").write_text("secret\n")
    users = {user: "secret"} if user else {}
    with SmtpServer(tls="starttls", users=users) as server, dns_server({}) as dns:
        ours = {
            "--server": f"localhost:{server.port}",
            "--encryption": "starttls",
            "--ca-file": str(server.ca_file),
            "--dns-server": dns,
        }
        words = [*words, *(word for option in ours if option not in words for word in (option, ours[option]))]
        words = [ours.get(before, word) for before, word in zip(["", *words], words, strict=False)]
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 0, done.output
        assert [(mail.user, mail.recipients) for mail in server.messages] == [(user, ("you@example.org",))]
    assert settings_in(here)["admin_email"] == "you@example.org"


@pytest.mark.needs("openssl")
def test_the_steps_for_exchange_online_of_the_mail_page_send_a_mail(here: Path) -> None:
    [(make_certificate, uploaded)] = re.findall(r"`(openssl req [^`]+ -out (\S+) [^`]+)`", MAIL_PAGE)
    subprocess.run(["bash", "-c", make_certificate], check=True, capture_output=True, timeout=60)
    with graph_server_in_thread() as graph, dns_server({}) as dns:
        graph.tokens.certificate = load_pem_x509_certificate((here / uploaded).read_bytes())
        words = [*_words_on_the_page("exchange-online"), "--dns-server", dns]
        done = tocsin(here, "setup", *words, oauth_token_url=graph.tokens.url, graph_url=graph.url)
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(graph.mails) == 1
    assert settings_in(here)["oauth_certificate_file"] == str(here / "tocsin.pem")


def _words_on_the_page(system: str) -> list[str]:
    [line] = re.findall(rf"tocsin setup (mail --yes --system {system} .*)", MAIL_PAGE)
    return shlex.split(line)


class ScriptedHost:
    """A Windows host that exchanges its code for a key and says that it sends what it gets."""

    def __init__(self, client: httpx.Client, code: str) -> None:
        self._client = client
        key = self._post(wire.SETUP, {"code": code, "host": "MAIL01"})["key"]
        self._client.headers["Authorization"] = f"Bearer {key}"

    def beat(self) -> None:
        self._post(wire.HEARTBEAT, wire.RelayHeartbeat(version="0.1.0", host="MAIL01").as_json())

    def send_all(self) -> None:
        leased = self._post(wire.LEASE, {"most": 10, "wait_s": 20, "holding": []})["messages"]
        claims = [{"id": one["id"], "token": one["token"]} for one in leased]
        self._post(wire.BEGIN, {"messages": claims})
        receipts = [wire.RelayReceipt(one["id"], one["token"], wire.SENT, "left the Outbox", {}) for one in claims]
        self._post(wire.RECEIPTS, wire.RelayReceipts(receipts).as_json())

    def _post(self, path: str, body: object) -> Any:
        answer = self._client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


class SelfSigned(SmtpServer):
    """A mail server with a certificate that it made itself, as Exchange and Postfix have after their installation."""

    def _make_certificate(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate = self_signed("localhost", self.ca_file)
        context.load_cert_chain(self.ca_file)
        self.ca_file.write_bytes(certificate.public_bytes(Encoding.PEM))
        return context
