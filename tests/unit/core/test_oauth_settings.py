"""Which settings of OAuth2 fit together, and what is reported of those that do not. No message repeats a secret."""

import re
import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.core.errors import BadSettings
from app.core.oauth_settings import credential_end, read_client_certificate
from app.core.settings import load_settings
from tests.support.sources import ROOT
from tests.support.token_server import make_certificate, make_service_account, new_key, pem_of

APP = {
    "oauth_provider": "microsoft",
    "oauth_tenant": "example.org",
    "oauth_client_id": "id",
    "oauth_client_secret": "s3cret",
}
GOOGLE = {
    "oauth_provider": "google",
    "oauth_client_id": "id",
    "oauth_client_secret": "s3cret",
    "oauth_refresh_token": "s3cret",
}
WRONG = [
    ({"oauth_tenant": "example.org"}, "OAUTH_PROVIDER"),
    ({"graph_mailbox": "a@example.org"}, "OAUTH_PROVIDER"),
    ({"oauth_provider": "yahoo"}, "OAUTH_PROVIDER"),
    ({"oauth_provider": "microsoft"}, "OAUTH_TENANT"),
    (APP | {"oauth_tenant": "common"}, "OAUTH_TENANT"),
    (APP | {"oauth_tenant": "a/b"}, "OAUTH_TENANT"),
    (APP | {"oauth_client_id": None}, "OAUTH_CLIENT_ID"),
    (APP | {"oauth_client_secret": None}, "OAUTH_CERTIFICATE_FILE"),
    (APP | {"oauth_refresh_token": "s3cret"}, "OAUTH_PROVIDER"),
    (APP | {"oauth_cloud": "moon"}, "OAUTH_CLOUD"),
    (APP | {"oauth_secret_expires": "soon"}, "OAUTH_SECRET_EXPIRES"),
    (APP | {"oauth_token_url": "http://login.example.org/token"}, "OAUTH_TOKEN_URL"),
    (APP | {"oauth_token_url": "https://u:s3cret@login.example.org/token"}, "OAUTH_TOKEN_URL"),
    (APP | {"graph_url": "ftp://graph.example.org"}, "GRAPH_URL"),
    (APP | {"graph_url": "https://graph.example.org:99999"}, "GRAPH_URL"),
    (APP | {"graph_mailbox": "a b@example.org"}, "GRAPH_MAILBOX"),
    (GOOGLE | {"graph_mailbox": "a@example.org"}, "GRAPH_MAILBOX"),
    (GOOGLE | {"oauth_refresh_token": None}, "OAUTH_SERVICE_ACCOUNT_FILE"),
    (GOOGLE | {"oauth_service_account_file": "missing.json", "oauth_refresh_token": None}, "OAUTH_SERVICE_ACCOUNT_FILE"),
    (GOOGLE | {"oauth_service_account_file": "missing.json"}, "OAUTH_REFRESH_TOKEN"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "name"), WRONG)
def test_settings_that_do_not_fit_together_stop_the_start(given: dict[str, object], name: str) -> None:
    with pytest.raises(BadSettings, match=f"^TOCSIN_{name}: ") as wrong:
        load_settings(**given)
    assert "s3cret" not in wrong.value.detail


@pytest.mark.parametrize("given", [APP, GOOGLE, APP | {"graph_mailbox": "a@example.org", "oauth_cloud": "us_dod"}])
def test_settings_that_fit_together_are_taken(given: dict[str, object]) -> None:
    load_settings(**given)


def test_a_secret_may_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    monkeypatch.setenv("TOCSIN_OAUTH_CLIENT_SECRET_FILE", str(tmp_path / "secret"))
    settings = load_settings(**{name: value for name, value in APP.items() if name != "oauth_client_secret"})
    assert settings.oauth_client_secret is not None
    assert settings.oauth_client_secret.get_secret_value() == "s3cret"


def test_a_certificate_file_is_read_in_any_order_and_with_its_chain(tmp_path: Path) -> None:
    key = new_key()
    certificate = make_certificate(tmp_path / "own.pem", key=key)
    other = make_certificate(tmp_path / "other.pem").public_bytes(serialization.Encoding.PEM)
    own = certificate.public_bytes(serialization.Encoding.PEM)
    found = []
    for parts in ((own, pem_of(key)), (pem_of(key), own), (other, own, pem_of(key)), (pem_of(key), own, other)):
        (tmp_path / "app.pem").write_bytes(b"Bag Attributes\n" + b"".join(parts))
        found.append(read_client_certificate(tmp_path / "app.pem"))
    assert {one.thumbprint for one in found} == {found[0].thumbprint}
    assert len(found[0].thumbprint) == 43
    assert "PRIVATE" not in repr(found[0])


def test_a_certificate_file_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    key = new_key()
    own = make_certificate(tmp_path / "own.pem", key=key).public_bytes(serialization.Encoding.PEM)
    locked = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"pw")
    )
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for content, reason in (
        (b"", "contains no certificate"),
        (pem_of(key), "contains no certificate"),
        (own, "contains no private key"),
        (own + locked, "has a password"),
        (own + curve, "must be an RSA key"),
        (own + pem_of(new_key()), "does not belong to the private key"),
        (b"\xff\xfe", "is not text"),
    ):
        (tmp_path / "app.pem").write_bytes(content)
        with pytest.raises(BadSettings, match=f"^TOCSIN_OAUTH_CERTIFICATE_FILE: .*{reason}"):
            load_settings(**(APP | {"oauth_client_secret": None, "oauth_certificate_file": tmp_path / "app.pem"}))


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"client_email": "a", "private_key_id": "b", "private_key": 7}', "\x00"]
)
def test_a_file_that_is_no_service_account_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(BadSettings, match=r"^TOCSIN_OAUTH_SERVICE_ACCOUNT_FILE: "):
        load_settings(oauth_provider="google", oauth_service_account_file=tmp_path / "a.json")


def test_what_ends_is_known(tmp_path: Path) -> None:
    make_certificate(tmp_path / "app.pem", days=10)
    with_file = load_settings(**(APP | {"oauth_client_secret": None, "oauth_certificate_file": tmp_path / "app.pem"}))
    name, end = credential_end(with_file.oauth) or ("", datetime.now(UTC))
    assert "CERTIFICATE" in name
    assert abs(end - datetime.now(UTC) - timedelta(days=10)) < timedelta(minutes=1)
    with_day = load_settings(**APP, oauth_secret_expires=date(2027, 6, 30))
    assert credential_end(with_day.oauth) == (
        "the secret in TOCSIN_OAUTH_CLIENT_SECRET",
        datetime(2027, 6, 30, tzinfo=UTC),
    )
    assert credential_end(load_settings(**APP).oauth) is None
    make_service_account(tmp_path / "a.json")
    google = load_settings(oauth_provider="google", oauth_service_account_file=tmp_path / "a.json")
    assert credential_end(google.oauth) is None


@pytest.mark.needs("openssl")
def test_the_certificate_that_the_guide_makes_is_taken(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "graph.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```console\n((?:    \$ (?:openssl|cat|chmod) .*\n)+)", page)
    commands = block.replace("    $ ", "").replace("/etc/tocsin/", "")
    subprocess.run(["bash", "-ec", commands], cwd=tmp_path, check=True, capture_output=True)
    settings = load_settings(**(APP | {"oauth_client_secret": None, "oauth_certificate_file": tmp_path / "tocsin.pem"}))
    assert credential_end(settings.oauth) is not None
    assert (tmp_path / "tocsin.pem").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("given", "sender"),
    [
        ({}, "Tocsin <tocsin@localhost>"),
        (APP | {"graph_mailbox": "a@example.org"}, "Tocsin <a@example.org>"),
        (APP | {"graph_mailbox": "a@example.org", "mail_from": "B <b@example.org>"}, "B <b@example.org>"),
    ],
)
def test_mails_are_from_the_mailbox_that_sends_them(given: dict[str, object], sender: str) -> None:
    assert load_settings(**given).mail_from == sender
