"""What `tocsin doctor` says of the access to Microsoft 365 and Google."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.cli.access_checks import access_notes, access_troubles
from app.core.settings import load_settings
from tests.support.graph_server import graph_server
from tests.support.token_server import make_certificate


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, []),
        ({"oauth_client_secret": "wrong"}, ["The transport graph gets no access token: TOCSIN_OAUTH_CLIENT_SECRET"]),
        ({"oauth_secret_expires": (datetime.now(UTC) + timedelta(days=29)).date()}, ["The secret in TOCSIN_OAUTH_CLIENT_SECRET"]),
        ({"oauth_secret_expires": (datetime.now(UTC) + timedelta(days=32)).date()}, []),
    ],
)  # fmt: skip
async def test_the_doctor_asks_for_a_token_and_sends_nothing(changed: dict[str, object], words: list[str]) -> None:
    async with graph_server() as server:
        settings = load_settings(**(server.settings | changed))
        troubles = await access_troubles(settings, datetime.now(UTC))
        assert server.requests == []
    assert len(troubles) == len(words)
    assert all(trouble.startswith(part) for trouble, part in zip(troubles, words, strict=True))
    assert all(trouble.endswith(".") and "wrong-secret" not in trouble for trouble in troubles)


async def test_a_certificate_that_has_ended_is_reported_and_one_that_is_away_is_named(tmp_path: Path) -> None:
    async with graph_server() as server:
        server.tokens.certificate = make_certificate(tmp_path / "app.pem", days=-1)
        given = server.settings | {"oauth_client_secret": None, "oauth_certificate_file": tmp_path / "app.pem"}
        settings = load_settings(**given)
        (trouble,) = await access_troubles(settings, datetime.now(UTC))
    assert trouble.startswith("The certificate in TOCSIN_OAUTH_CERTIFICATE_FILE expired on")


async def test_what_is_worth_knowing_is_a_note() -> None:
    async with graph_server() as server:
        given = server.settings | {"mail_from": "Tocsin <backup@example.org>"}
        notes = list(access_notes(load_settings(**given)))
    assert [note.partition(" ")[0] for note in notes] == ["Tocsin", "Mails", "Only"]
    assert list(access_notes(load_settings())) == []
