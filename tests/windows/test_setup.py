"""`tocsin-relay setup` on a fresh host: from the one-time code to a test message that has left, and what it says where it cannot go on."""

import getpass
import time

import pytest

from tests.windows.site import Site

OUTLOOK_KEY = r"HKEY_CURRENT_USER\Software\Microsoft\Office\16.0\Outlook"
ME = getpass.getuser()


@pytest.fixture
def host(site: Site) -> Site:
    """A host on which the account has two mail profiles, as Outlook keeps them."""
    profiles = [f"[{OUTLOOK_KEY}\\Profiles\\{name}]" for name in ("Backup", "Internet")]
    site.lab.enter(f"[-{OUTLOOK_KEY}]", *profiles, f"[{OUTLOOK_KEY}]", '"DefaultProfile"="Backup"')
    return site


def new_code(site: Site) -> str:
    code: str = site.tell("POST", f"/v1/relays/{site.relay_id}:setup-code")["code"]
    return code


def set_up(site: Site, *words: str) -> str:
    return site.relay("setup", *words, TOCSIN_RELAY_KEY="")


def everything(site: Site, *more: str) -> tuple[str, ...]:
    return (
        "--server", site.service.url, "--code", new_code(site), "--account", ME, "--password", "Wine asks for none", *more,
    )  # fmt: skip


def test_one_command_sets_a_host_up_and_a_second_one_changes_it(host: Site, capsys: pytest.CaptureFixture[str]) -> None:
    started = time.monotonic()
    output = set_up(host, *everything(host, "--profile", "backup", "--test-to", "you@example.org"))
    taken = time.monotonic() - started
    with capsys.disabled():
        print(f"\nsetup took {taken:.1f} s:\n{output}")  # noqa: T201  (a figure of docs/mapi.md)
    for line in (
        f"ok   Service: {host.service.url}, on this host, without TLS. This host is relay",
        "ok   Mail client: Microsoft Outlook, 64-bit.",
        "--   Right: not set: Wine grants whatever it is asked for",
        "--   Password: not checked: Wine accepts every password.",
        'ok   Profile: "Backup". The account has: "Backup", "Internet".',
        f"ok   Service: runs as .\\{ME}",
        "none prevents it from sending.",
        "ok   Test: sent to you@example.org:",
        "Done.",
    ):  # fmt: skip
        assert line in output, output + host.log()
    assert len(host.left()) == 1
    host.fail("nightly")
    host.message("nightly", "sent")
    again = set_up(host)
    assert f'ok   Service: {host.service.url} knows this host as relay "mail01".' in again, again
    assert 'ok   Profile: "Backup"' in again, "what was set up stays, without an option"
    assert "--   Test: none was sent, as no address was given" in again
    assert "--   Password: not checked: the service keeps the one it has." in again
    assert "running" in host.relay("status")


WRONG = {
    "a wrong code": (("--code", "ABCD-EFGH-JKMN-PQRS-TVWX"), "this code is not valid"),
    "nobody there": (("--server", "http://127.0.0.1:9"), "Is the address right?"),
    "no address": (("--server", "tocsin.example.org"), "is not an address such as https://"),
    "an unknown account": (("--account", "nobody"), "Windows does not know .\\nobody"),
    "a system account": (("--account", "LocalSystem"), "it would have no mail profile"),
    "another profile": (("--profile", "Other"), 'has no "Other". It has: "Backup", "Internet"'),
    "no password": (("--password", ""), "Password of"),
}


def test_a_step_that_fails_says_what_to_do_and_starts_nothing(host: Site) -> None:
    for name, (words, expected) in WRONG.items():
        output = set_up(host, *everything(host, *words))
        assert expected in output, (name, output)
        assert output.count("setup: ") == 1, (name, output)
        assert "Traceback" not in output, name
    assert "RUNNING" not in host.lab.run("sc", "query", "TocsinRelay")


def test_a_doctor_that_fails_says_so_and_a_second_run_goes_on(host: Site) -> None:
    host.lab.steer(logon="0x8004011D")
    output = set_up(host, *everything(host, "--profile", "Backup"))
    assert "points prevent it from sending" in output, output
    host.lab.steer()
    assert "Done." in set_up(host, "--test-to", "you@example.org")
