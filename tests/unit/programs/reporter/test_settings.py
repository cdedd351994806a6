"""The reporter's settings: which one holds, and what is refused without showing the key."""

from pathlib import Path

import pytest

from programs.reporter.settings import ReporterSettings, load

KEY = "tocsin_agent_secret"


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tocsin-report.conf"
    monkeypatch.setenv("TOCSIN_REPORT_CONFIG", str(path))
    monkeypatch.setenv("TOCSIN_REPORT_SPOOL", str(tmp_path / "spool"))
    return path


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_options_come_before_the_environment_and_that_before_the_file(config: Path, monkeypatch: pytest.MonkeyPatch):
    write(config, f"# ours\n\nurl = https://file.example.org\nkey = {KEY}\nagent = 'from the file'\n")
    assert load({}).url == "https://file.example.org"
    monkeypatch.setenv("TOCSIN_REPORT_URL", "https://environment.example.org")
    found = load({})
    assert (found.url, found.key, found.agent, found.trouble) == (
        "https://environment.example.org",
        KEY,
        "from the file",
        "",
    )
    assert load({"url": "https://option.example.org", "agent": ""}).url == "https://option.example.org"


def test_a_key_file_is_read_if_its_owner_alone_may(config: Path, tmp_path: Path):
    file = write(tmp_path / "key", KEY + "\n")
    write(config, f"url = https://tocsin.example.org\nkey_file = {file}\n", 0o644)
    assert (load({}).key, load({}).trouble) == (KEY, "")
    for mode in (0o640, 0o604, 0o620):
        file.chmod(mode)
        assert (load({}).key, load({}).trouble) == (
            "",
            f"{file} holds the key and may be read by others: chmod 600 {file}",
        )


def test_a_settings_file_with_the_key_in_it_is_a_key_file(config: Path):
    write(config, f"url = https://tocsin.example.org\nkey = {KEY}\n", 0o644)
    assert "chmod 600" in load({}).trouble
    assert KEY not in load({}).trouble


@pytest.mark.parametrize("line", ["adress = x", "url", "= x", "key_file: x", "\x00"])
def test_a_line_that_says_nothing_is_named(config: Path, line: str):
    write(config, f"url = https://tocsin.example.org\n{line}\n")
    assert load({}).trouble.startswith(f"{config}, line 2: ") or line == "= x"


def test_no_settings_at_all_say_what_to_do(config: Path):
    assert load({}).trouble == "no key: set TOCSIN_REPORT_KEY_FILE to a file that holds it"
    assert "TOCSIN_REPORT_URL" in load({"key_file": str(write(config.parent / "key", KEY))}).trouble


@pytest.mark.parametrize("key", ["two words", "a\nb", "schlüssel", "a\tb"])
def test_an_invalid_key_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, key: str):
    monkeypatch.setenv("TOCSIN_REPORT_URL", "https://tocsin.example.org")
    monkeypatch.setenv("TOCSIN_REPORT_KEY", key)
    assert load({}).key == ""
    assert load({}).trouble
    assert key not in load({}).trouble


def test_settings_show_no_key():
    assert KEY not in repr(ReporterSettings("https://tocsin.example.org", KEY))
