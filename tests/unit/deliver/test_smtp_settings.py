"""What the SMTP URL in the settings means, and which URLs are refused."""

import ssl
from pathlib import Path

import pytest

from app.core.errors import BadSettings
from app.core.secret import Secret
from app.core.settings import load_settings
from app.deliver.transports import build_transports
from app.deliver.transports.smtp import SmtpTransport
from app.domain.message import takes_json


@pytest.mark.parametrize(
    "url",
    [
        "smtp://host:587?tls=maybe",
        "smtp://host:587?tls",
        "smtp://host:587?tls=none&tls=tls",
        "smtp://host:587?ssl=1",
        "smtp://host:587?auth=cram&tls=tls",
        "smtp://host:587?auth=plain",
        "smtp://u@host:587",
        "smtp://:hunter2@host:587",
        "smtp://u:hunter2@host:25?tls=none",
        "smtp://u:hunter2@localhost.example.org:25?tls=none",
        "smtp://u:hunter2@host:587?auth=xoauth2",
        "smtp://u@host:587?auth=xoauth2",
        "smtp://u:hunter2#x@host:587",
        "smtp://u:hunter2?x@host:587",
        "smtp://u:hunter2/x@host:587",
        "smtp://host:587/path",
        "smtp://host:99999",
        "smtp://host:0",
    ],
)
def test_an_unsafe_or_unknown_url_is_refused_without_showing_the_password(url: str):
    with pytest.raises(BadSettings, match=r"TOCSIN_(SMTP_URL|OAUTH_PROVIDER): ") as refused:
        build_transports(load_settings(smtp_url=url), Secret("s" * 32))
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "port", "tls"),
    [
        ("smtp://mail.example.org", 587, "starttls"),
        ("smtp://u:p@mail.example.org:587", 587, "starttls"),
        ("smtp://u:p@mail.example.org:465", 465, "tls"),
        ("smtp://mail.example.org?tls=tls", 465, "tls"),
        ("smtp://mail.example.org?tls=none", 25, "none"),
        ("smtp://mail.example.org:2525", 2525, "starttls"),
        ("smtp://localhost", 25, "none"),
        ("smtp://u:p@127.0.0.1:1025", 1025, "none"),
        ("smtp://[::1]:1025/", 1025, "none"),
        ("smtp://localhost:1025?tls=starttls", 1025, "starttls"),
        ("smtp://localhost:587", 587, "starttls"),
    ],
)
def test_tls_is_the_default(url: str, port: int, tls: str):
    server = SmtpTransport.from_settings(load_settings(smtp_url=url))._servers[0].pool.access.server
    assert (server.port, server.tls) == (port, tls)
    assert "u:p" not in repr(server)


def test_an_authority_that_cannot_be_read_is_refused(tmp_path: Path):
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(BadSettings, match="TOCSIN_SMTP_CA_FILE: "):
            SmtpTransport.from_settings(load_settings(smtp_url="smtp://host", smtp_ca_file=tmp_path / name))


def test_a_sender_that_is_not_an_address_is_refused():
    with pytest.raises(BadSettings, match="TOCSIN_MAIL_FROM: "):
        SmtpTransport.from_settings(load_settings(smtp_url="smtp://host", mail_from="Tocsin"))


def test_certificates_are_always_verified():
    access = SmtpTransport.from_settings(load_settings(smtp_url="smtp://host"))._servers[0].pool.access
    assert access.tls.verify_mode is ssl.CERT_REQUIRED
    assert access.tls.check_hostname


async def test_the_smtp_transport_exists_only_when_configured(tmp_path: Path):
    without = build_transports(load_settings(var_dir=tmp_path), Secret("s" * 32))
    with_it = build_transports(load_settings(var_dir=tmp_path, smtp_url="smtp://localhost"), Secret("s" * 32))
    assert sorted(kind for kind in without if not takes_json(kind)) == ["file"]
    assert sorted(kind for kind in with_it if not takes_json(kind)) == ["file", "smtp"]
    assert "webhook" in without
    for transport in (*without.values(), *with_it.values()):
        await transport.close()
