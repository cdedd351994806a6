"""A wrong setting is reported at once, by name, in plain words, and never with the value of a secret."""

from pathlib import Path

import pytest

from app.core.errors import BadSettings
from app.core.settings import load_settings


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("TOCSIN_ADMIN_KEY", "hunter2", "TOCSIN_ADMIN_KEY: is too short: at least 16 characters"),
        ("TOCSIN_PORT", "many", "TOCSIN_PORT: must be a number from 0 to 65535"),
        ("TOCSIN_PORT", "70000", "TOCSIN_PORT: must be a number from 0 to 65535"),
        ("TOCSIN_BATCH_EVENTS", "1.5", "TOCSIN_BATCH_EVENTS: must be a number from 1 to 100000"),
        ("TOCSIN_RETRY_FOR_H", "0", "TOCSIN_RETRY_FOR_H: must be a number above 0, at most 720"),
        ("TOCSIN_SMTP_MESSAGES_PER_CONNECTION", "0", "TOCSIN_SMTP_MESSAGES_PER_CONNECTION: must be a number, at least 1"),
        ("TOCSIN_RETRY_FOR_H", "nan", "TOCSIN_RETRY_FOR_H: must be a number above 0, at most 720"),
        ("TOCSIN_WORKER", "perhaps", "TOCSIN_WORKER: must be true or false"),
        ("TOCSIN_LOG_FORMAT", "xml", "TOCSIN_LOG_FORMAT: must be text or json"),
        ("TOCSIN_BASE_URL", "tocsin.example", "TOCSIN_BASE_URL: must begin with http:// or https://"),
        ("TOCSIN_ADMIN_EMAIL", "ann", "TOCSIN_ADMIN_EMAIL: must be a mail address, such as ann@example.org"),
        ("TOCSIN_TIME_ZONE", "Mars", "TOCSIN_TIME_ZONE: is not a time zone: 'Mars'. Use a name of the IANA database, such as Europe/Berlin, a name of Windows, such as W. Europe Standard Time, or an offset in whole hours, such as UTC+1"),
        ("TOCSIN_MAIL_FROM", "Tocsin", "TOCSIN_MAIL_FROM: must contain a mail address, such as Tocsin <tocsin@example.org>"),
        ("TOCSIN_MAIL_FROM", "", "TOCSIN_MAIL_FROM: must contain a mail address, such as Tocsin <tocsin@example.org>"),
        ("TOCSIN_MAIL_FROM", "a b@c.org", "TOCSIN_MAIL_FROM: must contain a mail address, such as Tocsin <tocsin@example.org>"),
        ("TOCSIN_MAIL_FROM", "Tocsin tocsin@c.org", "TOCSIN_MAIL_FROM: must contain a mail address, such as Tocsin <tocsin@example.org>"),
        ("tocsin_smpt_url", "smtp://mail", "tocsin_smpt_url: there is no such setting"),
        ("Tocsin_Smtp_Ulr", "smtp://mail", "Tocsin_Smtp_Ulr: there is no such setting"),
    ],
)  # fmt: skip
def test_an_invalid_setting_is_described_in_plain_words(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings) as refused:
        load_settings()
    assert refused.value.detail == expected


@pytest.mark.parametrize("port", ["abc", "99999", "0", "-1", "5432x", "\u0665"])
def test_an_invalid_port_of_the_database_is_refused(port: str) -> None:
    with pytest.raises(BadSettings, match=r"^TOCSIN_DATABASE_URL: its port") as refused:
        load_settings(database_url=f"postgresql://tocsin:hunter2@db:{port}/tocsin")
    assert "hunter2" not in refused.value.detail


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p#x/?:y@db:5432/tocsin",
        "postgresql:///tocsin?host=/run/postgresql",
        "postgres://u@[::1]:5432/x",
        "postgresql://db/x",
    ],
)
def test_a_valid_database_url_is_accepted(url: str) -> None:
    assert load_settings(database_url=url).database.startswith("postgresql+asyncpg://")


@pytest.mark.parametrize(
    "url",
    [
        "smtp://u:hunter2@host?tls=maybe",
        "smtp://host:abc",
        "smtp://u:hunter2@host:99999",
        "smtp://u:hunter2@host?tsl=tls",
        "smtp://u:hunter2@mail.example.org:25?tls=none",
        "smtp://u@mail.example.org?auth=xoauth2",
        "smtps://u:hunter2@mail.example.org",
        "",
    ],
)
def test_a_mail_server_that_cannot_be_used_is_refused_before_anything_starts(url: str) -> None:
    with pytest.raises(BadSettings, match=r"^TOCSIN_(SMTP_URL|OAUTH_PROVIDER): ") as refused:
        load_settings(smtp_url=url)
    assert "hunter2" not in refused.value.detail


def test_files_that_cannot_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("missing.pem", "empty.pem"):
        with pytest.raises(BadSettings, match=f"^TOCSIN_SMTP_CA_FILE: cannot use .*{name}"):
            load_settings(smtp_ca_file=tmp_path / name)
    with pytest.raises(BadSettings, match=r"^TOCSIN_SMTP_OAUTH_TOKEN_FILE: cannot read .*token"):
        load_settings(smtp_oauth_token_file=tmp_path / "token")
    (tmp_path / "key").write_bytes(b"\xff\xfe\xfd")
    monkeypatch.setenv("TOCSIN_ADMIN_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(BadSettings, match=r"^TOCSIN_ADMIN_KEY_FILE: .*key is not text"):
        load_settings()


def test_a_wrong_secret_in_a_file_is_named_by_the_variable_that_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("short")
    monkeypatch.setenv("TOCSIN_ADMIN_KEY_FILE", str(tmp_path / "key"))
    with pytest.raises(BadSettings, match=r"^TOCSIN_ADMIN_KEY_FILE: is too short"):
        load_settings()
    monkeypatch.setenv("TOCSIN_ADMIN_KEY", "short")
    with pytest.raises(BadSettings, match=r"^TOCSIN_ADMIN_KEY: is too short"):
        load_settings()


def test_a_missing_or_invalid_settings_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "tocsin.toml"
    monkeypatch.setenv("TOCSIN_CONFIG", str(config))
    for text, expected in (
        (None, "cannot read .*tocsin.toml"),
        ("port 80", "tocsin.toml is not valid TOML"),
        ('smpt_url = "smtp://mail"\nPORT = 1', "tocsin.toml: there is no setting smpt_url, PORT"),
    ):
        if text is not None:
            config.write_text(text)
        with pytest.raises(BadSettings, match=f"^TOCSIN_CONFIG: .*{expected}"):
            load_settings()
    config.write_text('port = "x"')
    with pytest.raises(BadSettings, match=r"^TOCSIN_PORT: must be a number from 0 to 65535$"):
        load_settings()
    config.write_text('port = 8080\nlog_format = "json"')
    monkeypatch.setenv("TOCSIN_PORT", "9090")
    assert (load_settings().port, load_settings().log_format) == (9090, "json"), "the environment comes first"


def test_a_secret_in_a_file_is_found_whatever_the_case_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("an-admin-key-of-a-file\n")
    monkeypatch.setenv("tocsin_admin_key_file", str(tmp_path / "key"))
    found = load_settings().admin_key
    assert found is not None
    assert found.get_secret_value() == "an-admin-key-of-a-file"
