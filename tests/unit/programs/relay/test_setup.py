"""`tocsin-relay setup` where there is no Windows: the key comes, the rest is left out and named. And what it advises in words."""

import os
from pathlib import Path

import pytest

from programs.relay import settings as relay_settings
from programs.relay.program import main
from programs.relay.setup import RelaySetup, SetupAnswers, SetupFailed, remedy_for
from tests.support.running import CLIENT, serving


@pytest.mark.parametrize(
    ("problem", "advice"),
    [
        ("no answer from t: SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] self-signed", "--ca FILE"),
        ("no answer from t: SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] Hostname mismatch", "If the name is wrong"),
        ("no answer from t: ConnectionRefusedError: [Errno 111]", "Does a firewall block it?"),
        ("no answer from t: TimeoutError: timed out", "Does a firewall block it?"),
        ("no answer from t: gaierror: [Errno -2] Name or service not known", "Is the address right?"),
        ("the service answered 404", "at least the version of this relay?"),
        ("the service answered 401: 'this code is not valid'", "POST /v1/relays"),
        ("the service answered 409: 'it is paused: a window opened'", ":resume"),
        ("the service answered 429: 'wait a minute'", "POST /v1/relays"),
    ],
)  # fmt: skip
def test_each_failure_of_the_connection_has_its_advice(problem: str, advice: str) -> None:
    assert advice in remedy_for(problem)


@pytest.mark.slow
def test_away_from_windows_it_fetches_the_key_and_says_what_it_left_out(tmp_path: Path) -> None:
    with serving(tmp_path / "service") as service:
        admin = {"Authorization": f"Bearer {service.admin_key}"}
        made = CLIENT.post(f"{service.url}/v1/relays", json={"name": "mail01"}, headers=admin).json()
        code, folder = made["setup"]["code"], tmp_path / "relay"
        lines: list[str] = []

        def run(**answers: str) -> None:
            RelaySetup(folder, SetupAnswers(server=service.url, **answers), ["relay"], lines.append).run()

        run(code=code)
        assert 'This host is relay "mail01"; its key is stored.' in lines[0]
        assert lines[1].startswith("--   The rest (account, profile, service, test message) was left out")
        settings, key = relay_settings.load(folder)
        assert (settings.server, key[:13]) == (service.url, "tocsin_relay_")
        run()
        assert lines[2] == f'ok   Service: {service.url} knows this host as relay "mail01".', "again, without a code"
        run(code=code)
        assert lines[4] == (
            f'ok   Service: {service.url} knows this host as relay "mail01". '
            "The code was passed over: it was used before, or is wrong."
        ), "the same line pasted again"
        assert relay_settings.load(folder)[1] == key, "a code that was refused changes nothing"
        relay_settings.save(folder, settings, "tocsin_relay_wrong")
        with pytest.raises(SetupFailed, match="this code is not valid"):
            run(code=code)


def test_what_needs_windows_says_so_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [
        "--home",
        str(tmp_path),
        "install",
        "--server",
        "https://tocsin.example.org",
        "--profile",
        "p",
        "--key",
        "k",
    ]
    assert main(options) == 1
    assert capsys.readouterr().err == "install: this needs Windows (the registry)\n"


def test_a_set_up_that_is_ended_at_a_question_shows_no_trace(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    questioner, answerer = os.openpty()
    os.write(questioner, b"\x04")  # Ctrl+D
    with os.fdopen(answerer) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        assert main(["--home", str(tmp_path), "setup"]) == 1
    os.close(questioner)
    assert capsys.readouterr().err == "setup: ended by you; what was done is kept, and it can be run again\n"
