"""Examines played hosts, good and bad: each point says what was found and what to do, and a failing one names its outcome."""

import json

import pytest

from programs.relay.doctor import DoctorReport, examine
from programs.relay.host_facts import HostFacts
from programs.relay.mail_clients import CLIENTS_KEY
from programs.relay.outcomes import EXAMINED, RelayOutcome, RelayVerdict
from programs.relay.profile_check import EXCHANGE_PRIVATE_STORE, Provider, tightness
from programs.relay.registry import OUR_KEY, FakeHive

EXCHANGE = [
    Provider(33, 0x2, "01", "MSEMS", "Mailbox", store=EXCHANGE_PRIVATE_STORE),
    Provider(35, 0, "01", "MSEMS", "Global Address List"),
    Provider(36, 0x100, "01", "MSEMS", "Exchange Transport", ordinal=0),
]
INTERNET = [
    Provider(33, 0x2, "01", "MSUPST MS", "Personal Folders"),
    Provider(36, 0, "02", "IMAIL", "Internet Mail", ordinal=0),
]
GOOD = HostFacts(account="CORP\\relay", account_sid="S-1-5-21-1", mapi_binding="pywin32 312", test_message="yesterday")


@pytest.fixture
def hive(tmp_path, monkeypatch):
    dll = tmp_path / "olmapi32.dll"
    dll.write_bytes(b"MZ" + bytes(58) + b"\x40\0\0\0" + b"PE\0\0\x64\x86")
    python = tmp_path / "python.exe"
    python.write_bytes(dll.read_bytes())
    monkeypatch.setattr("sys.executable", str(python))
    return FakeHive(
        {
            (64, OUR_KEY): {"MailClientsSupported": ["Microsoft Outlook"]},
            (64, f"{CLIENTS_KEY}\\Microsoft Outlook"): {"DLLPathEx": str(dll)},
        }
    )


def _child(verdict: str = EXAMINED, reason: str = "", **found):
    findings = {
        "profiles": ["Backup"],
        "providers": [one.as_json() for one in EXCHANGE],
        "logon": "ok",
        "online": True,
        **found,
    }
    return lambda _order: RelayVerdict(verdict, reason, {"found": {k: v for k, v in findings.items() if v is not None}})


def _states(report: DoctorReport) -> dict[str, str]:
    return {line.name: line.state for line in report.lines}


def test_a_good_host_has_nothing_to_mend(hive):
    report = examine(hive, "Backup", GOOD, _child())
    assert set(_states(report).values()) == {"ok"}
    assert (report.is_failing, report.outcome) == (False, None)
    assert not any(line.remedy for line in report.lines)
    assert json.loads(json.dumps(report.as_json()))["lines"][0]["point"] == "smtp"


def test_every_point_of_the_missions_list_has_its_line(hive):
    points = _states(examine(hive, "Backup", GOOD, _child()))
    assert {
        "smtp", "supported clients", "mail client", "bitness", "spooler", "profile", "tight pair", "default store",
        "transport order", "address book", "logon", "test message", "other mail clients", "service account", "pywin32", "store", "spool",
    } == set(points)  # fmt: skip


def test_a_profile_that_is_not_tight_fails(hive):
    report = examine(hive, "Backup", GOOD, _child(providers=[one.as_json() for one in INTERNET]))
    states = _states(report)
    assert (states["tight pair"], states["transport order"], states["default store"]) == ("fail", "fail", "warning")
    assert report.outcome == RelayOutcome.NOT_TIGHT


def test_the_spooler_is_allowed_with_a_loud_warning(hive):
    hive.write(OUR_KEY, "MailUsingSpooler", 1, 64)
    report = examine(hive, "Backup", GOOD, _child(providers=[one.as_json() for one in INTERNET]))
    line = next(line for line in report.lines if line.name == "spooler")
    assert (line.state, "THE MAPI SPOOLER IS USED" in line.found) == ("warning", True)
    assert not report.is_failing


@pytest.mark.parametrize(
    ("verdict", "found", "outcome"),
    [
        ("needs_ui", {"logon": None, "online": None}, "needs_ui"),
        ("timeout", {"logon": None, "online": None, "providers": None}, "timeout"),
        ("logon_failed", {"logon": None, "online": None}, "logon_failed"),
        (
            "profile_missing",
            {"profiles": ["Other"], "providers": None, "logon": None, "online": None},
            "profile_missing",
        ),
        ("transient", {"profiles": None, "providers": None, "logon": None, "online": None}, "transient"),
    ],
)
def test_a_logon_that_fails_says_how_and_what_was_found_before_counts(hive, verdict, found, outcome):
    report = examine(hive, "Backup", GOOD, _child(verdict, "why", **found))
    assert _states(report)["logon"] == "fail"
    assert report.outcome == outcome


def test_nothing_installed_runs_no_child():
    def no_child(_order):
        raise AssertionError("no client, no child")

    report = examine(FakeHive(), "Backup", GOOD, no_child)
    assert report.outcome == RelayOutcome.INCOMPATIBLE_CLIENT
    assert {"supported clients", "mail client", "profile"} <= {
        line.name for line in report.lines if line.state == "fail"
    }
    assert all(line.remedy for line in report.lines if line.state != "ok")


@pytest.mark.parametrize(
    ("around", "point", "state"),
    [
        (HostFacts(account_sid="S-1-5-18", mapi_binding="x"), "service account", "fail"),
        (
            HostFacts(account="CORP\\admin", service_account="CORP\\relay", mapi_binding="x"),
            "service account",
            "warning",
        ),
        (HostFacts(account="CORP\\relay", service_account=".\\relay", mapi_binding="x"), "service account", "ok"),
        (HostFacts(programs=("OUTLOOK.EXE", "explorer.exe"), mapi_binding="x"), "other mail clients", "warning"),
        (HostFacts(), "pywin32", "fail"),
        (HostFacts(mapi_binding="x"), "test message", "warning"),
        (HostFacts(mapi_binding="x", spool_trouble="database or disk is full"), "spool", "fail"),
        (HostFacts(mapi_binding="x", spool_kept="spool.db.damaged-20261124-010203"), "spool", "warning"),
    ],
)
def test_the_surroundings_are_judged(hive, around, point, state):
    assert _states(examine(hive, "Backup", around, _child()))[point] == state


def test_a_simple_client_is_warned_about(hive):
    report = examine(hive, "", GOOD, _child(simple=True, profiles=None, providers=None, online=None))
    assert _states(report)["profile"] == "warning"
    assert not report.is_failing


@pytest.mark.parametrize(
    ("providers", "is_tight"),
    [
        (EXCHANGE, True),
        (INTERNET, False),
        ([], False),
        (EXCHANGE[:2], False),
        ([EXCHANGE[0], Provider(36, 0, "01", "MSEMS", "t")], True),
        ([EXCHANGE[0], Provider(36, 0x100, "02", "MSEMS", "t")], False),
        ([Provider(33, 0x2, "01", "X", "s"), Provider(36, 0, "01", "X", "t")], False),
        ([Provider(33, 0x2, "01", "X", "s"), Provider(36, 0x100, "01", "X", "t")], True),
        ([Provider(33, 0x2, "", "MSEMS", "s"), Provider(36, 0, "", "MSEMS", "t")], False),
        ([*EXCHANGE, Provider(36, 0, "02", "IMAIL", "i", ordinal=-1)], False),
        ([*EXCHANGE, Provider(36, 0, "02", "IMAIL", "i", ordinal=1)], True),
        ([Provider(33, 0x1, "01", "MSEMS", "not the default"), EXCHANGE[2]], False),
    ],
)
def test_tight_means_that_the_first_transport_belongs_to_the_default_store(providers, is_tight):
    assert tightness(providers)[0] is is_tight
