"""The first keys are shown even where their file cannot be written: nothing else knows them."""

from pathlib import Path

from tests.support.cli import serving_process


def test_the_first_keys_are_shown_when_no_file_can_hold_them(postgres_database_url: str, tmp_path: Path) -> None:
    (tmp_path / "var" / "first-keys.env").mkdir(parents=True)
    settings = {
        "database_url": postgres_database_url,
        "var_dir": str(tmp_path / "var"),
        "secret": "s" * 32,
        "smtp_url": "smtp://127.0.0.1:9",
        "admin_email": "admin@example.org",
    }
    with serving_process(tmp_path, **settings) as served:
        assert "tocsin_admin_" in served.output
        assert "tocsin_enrol_" in served.output
        assert "could not be written to" in served.output
        assert "Traceback" not in served.output
