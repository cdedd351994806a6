"""The file of settings after `tocsin setup mail`: new values are read, and every other line is as it was."""

import os
import stat
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.settings_file import edit_toml, plan_changes, write
from app.core.errors import BadSettings
from app.core.settings import load_settings

HERE = Path("tocsin.toml")
OLD = """# Our mail
port = 8080   # behind the proxy

smtp_url = "smtp://old.example.org"  # to be replaced
'mail_from' = "Old <old@example.org>"
time_zone = "Europe/Berlin"
"""


@pytest.mark.parametrize(
    ("old", "changes", "new"),
    [
        ("", {"smtp_url": "smtp://a"}, 'smtp_url = "smtp://a"\n'),
        ("", {"smtp_url": None}, ""),
        ("port = 1", {"smtp_url": "smtp://a"}, 'port = 1\nsmtp_url = "smtp://a"\n'),
        ("# only a note\n", {"mail_from": "T <t@x>"}, '# only a note\nmail_from = "T <t@x>"\n'),
        ("port = 1\r\nsmtp_url = 'b'\r\n", {"smtp_url": "smtp://a"}, 'port = 1\r\nsmtp_url = "smtp://a"\n'),
        ('smtp_url="b"\nport = 1\n', {"smtp_url": None}, "port = 1\n"),
        ('"smtp_url" = "b"\n', {"smtp_url": "c"}, 'smtp_url = "c"\n'),
        ('smtp_url_other = "b"\n', {"smtp_url": "c"}, 'smtp_url_other = "b"\nsmtp_url = "c"\n'),
    ],
)
def test_only_the_lines_of_these_settings_change(old: str, changes: dict[str, str | None], new: str) -> None:
    assert edit_toml(old, changes, HERE) == new


def test_other_lines_and_their_comments_are_kept() -> None:
    lines = edit_toml(OLD, {"smtp_url": "smtp://new", "mail_from": "New <new@example.org>"}, HERE).splitlines()
    assert [line for line in OLD.splitlines() if line in lines] == [OLD.splitlines()[number] for number in (0, 1, 2, 5)]
    assert tomllib.loads("\n".join(lines)) == {
        "port": 8080,
        "smtp_url": "smtp://new",
        "mail_from": "New <new@example.org>",
        "time_zone": "Europe/Berlin",
    }


@given(st.dictionaries(st.sampled_from(["smtp_url", "mail_from", "port"]), st.text(), max_size=3), st.text())
def test_any_text_is_read_again_as_it_was_written(others: dict[str, str], value: str) -> None:
    old = edit_toml("", others, HERE)
    assert tomllib.loads(edit_toml(old, {"smtp_url": value}, HERE)) == others | {"smtp_url": value}


@pytest.mark.parametrize(
    "old",
    ['smtp_url = """\nsmtp://a"""\n', "[table]\nport = 1\n", 'mail_from = """\nsmtp_url = 1\n"""\n'],
)
def test_a_file_that_cannot_be_changed_line_by_line_is_refused(old: str) -> None:
    with pytest.raises(BadSettings, match="cannot be changed line by line"):
        edit_toml(old, {"smtp_url": "smtp://new"}, HERE)


def test_a_file_that_is_no_toml_is_refused() -> None:
    with pytest.raises(BadSettings, match=r"tocsin\.toml is not valid TOML"):
        edit_toml("port: 1\n", {}, HERE)


def test_what_is_written_is_read_at_the_next_start_and_only_by_the_owner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TOCSIN_CONFIG")
    write(plan_changes({"smtp_url": "smtp://mail.example.org", "admin_email": "ann@example.org"}, {}))
    settings = load_settings()
    assert settings.smtp_url is not None
    assert settings.smtp_url.get_secret_value() == "smtp://mail.example.org"
    assert stat.S_IMODE((tmp_path / "var" / "tocsin.toml").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["tocsin.toml"]


def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "tocsin.toml"
    config.write_text("port = 1\n")
    config.chmod(0o644)
    link = tmp_path / "link.toml"
    link.symlink_to(config)
    monkeypatch.setenv("TOCSIN_CONFIG", str(link))
    write(plan_changes({"smtp_url": "smtp://mail.example.org"}, os.environ))
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert config.read_text() == 'port = 1\nsmtp_url = "smtp://mail.example.org"\n'


def test_a_secret_goes_to_the_file_that_the_environment_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_CONFIG", str(tmp_path / "tocsin.toml"))
    named = tmp_path / "smtp_url"
    plan = plan_changes({"smtp_url": "smtp://new", "mail_from": "T <t@x>"}, {"TOCSIN_SMTP_URL_FILE": str(named)})
    write(plan)
    assert named.read_text() == "smtp://new\n"
    assert (tmp_path / "tocsin.toml").read_text() == 'mail_from = "T <t@x>"\n'
    assert plan.hidden_by == {}


def test_a_variable_that_hides_the_file_is_named() -> None:
    plan = plan_changes(
        {"smtp_url": "smtp://new", "mail_from": "T <t@x>"},
        {"Tocsin_Smtp_Url": "smtp://old", "TOCSIN_MAIL_FROM": "T <t@x>"},
    )
    assert plan.hidden_by == {"smtp_url": "Tocsin_Smtp_Url"}


def test_a_folder_that_cannot_be_written_leaves_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TOCSIN_CONFIG", str(tmp_path / "file" / "tocsin.toml"))
    with pytest.raises(BadSettings, match="cannot read"):
        plan_changes({"smtp_url": "smtp://new"}, {})
