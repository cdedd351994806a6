"""Examines played hosts, good and bad: each point says what was found and what to do, and a failing one names its outcome."""

import json

import pytest

from programs.relay.doctor import QUESTIONS, DoctorReport, examine, look_again
from programs.relay.host_facts import HostFacts
from programs.relay.mail_clients import CLIENTS_KEY
from programs.relay.outcomes import EXAMINED, RelayOutcome, RelayVerdict
from programs.relay.profile_check import EXCHANGE_PRIVATE_STORE, Provider, tightness
from programs.relay.registry import OUR_KEY
from tests.support.fake_hive import FakeHive

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
        "characters",
    } == set(points)  # fmt: skip


def test_every_point_is_a_question_with_an_answer_and_keeps_its_name_for_machines(hive):
    report = examine(hive, "Backup", GOOD, _child())
    for line in report.lines:
        assert line.question == QUESTIONS[line.name]
        assert line.question.endswith("?")
    asked = {line.name: line for line in report.lines}
    assert asked["tight pair"].question == "Will mail leave without Outlook open?"
    assert asked["tight pair"].found.startswith("Yes: ")
    assert asked["service account"].found == "CORP\\relay, which is the account of the service"
    printed = next(one for one in report.as_json()["lines"] if one["point"] == "tight pair")
    assert set(printed) == {"point", "question", "state", "found", "remedy"}


@pytest.mark.parametrize(
    ("facts", "is_own"),
    [
        ({"account": "CORP\\relay", "service_account": "CORP\\relay"}, True),
        ({"account": "CORP\\relay", "service_account": ".\\relay"}, True),
        ({"account": "CORP\\relay", "service_account": "relay@corp.example"}, True),
        ({"account": "CORP\\admin", "service_account": "CORP\\relay"}, False),
        ({"account": "HOST\\relay", "account_sid": "S-1", "service_account": "CORP\\relay", "service_sid": "S-2"}, False),
        ({"account": "CORP\\Relay", "account_sid": "S-1", "service_account": "old-name", "service_sid": "S-1"}, True),
        ({"account": "CORP\\admin"}, True),
    ],
    ids=["the same", "of this host", "by its mail name", "another", "another domain's", "renamed", "no service"],
)  # fmt: skip
def test_the_report_of_another_account_is_not_valid_for_the_service(hive, facts, is_own):
    report = examine(hive, "Backup", HostFacts(mapi_binding="x", **facts), _child())
    assert report.is_service_account is is_own
    answer = next(line.found for line in report.lines if line.name == "service account")
    assert ("this report is not valid for the service" in answer) is not is_own
    assert facts["account"] in answer


def _with_two_clients(hive: FakeHive, tmp_path) -> None:
    """List another client before Outlook; both can be loaded."""
    other = tmp_path / "other.dll"
    other.write_bytes((tmp_path / "olmapi32.dll").read_bytes())
    hive.write(OUR_KEY, "MailClientsSupported", ["Other", "Microsoft Outlook"], 64)
    hive.write(CLIENTS_KEY, "", "Other", 64)
    hive.write(f"{CLIENTS_KEY}\\Other", "DLLPathEx", str(other), 64)


@pytest.mark.parametrize("how", ["needs_ui", "incompatible_client"])
def test_a_client_that_opened_a_window_is_passed_over_for_the_next(hive, tmp_path, how):
    _with_two_clients(hive, tmp_path)
    tried = []

    def run_child(order):
        tried.append(order.client["name"])
        return RelayVerdict(how, "a window: Choose Profile", {}) if tried[-1] == "Other" else _child()(order)

    report = examine(hive, "Backup", GOOD, run_child)
    assert (tried, report.is_failing) == (["Other", "Microsoft Outlook"], False)
    assert report.unusable == {"Other": "a window: Choose Profile"}
    answer = next(line.found for line in report.lines if line.name == "mail client")
    assert "passed over: Other: a window: Choose Profile" in answer


def test_where_every_client_opens_a_window_the_first_is_the_one_to_mend(hive, tmp_path):
    _with_two_clients(hive, tmp_path)
    report = examine(
        hive, "Backup", GOOD, lambda order: RelayVerdict("needs_ui", f"a window of {order.client['name']}")
    )
    assert (report.outcome, report.unusable) == (RelayOutcome.NEEDS_UI, {})
    assert next(line.found for line in report.lines if line.name == "logon") == "No: a window of Other"


def test_a_mail_program_that_starts_later_is_seen_and_one_that_ends_too(hive):
    report = examine(hive, "Backup", GOOD, _child())
    assert look_again(report, ["explorer.exe"]) is report, "nothing new is reported"
    running = look_again(report, ["explorer.exe", "OUTLOOK.EXE"])
    assert _states(running) == {**_states(report), "other mail clients": "warning"}
    assert look_again(running, ["outlook.exe"]) is running
    assert look_again(running, []) == report


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
    assert "counts as `handed_over`, not as sent" in line.found
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


def test_a_host_with_only_simple_mapi_learns_it_plainly_and_no_child_runs(hive):
    hive.content[(64, f"{CLIENTS_KEY}\\Microsoft Outlook")] = {"DLLPath": "C:\\old.dll"}
    report = examine(hive, "Backup", GOOD, lambda _order: pytest.fail("a child ran"))
    assert report.outcome == RelayOutcome.INCOMPATIBLE_CLIENT
    line = next(line for line in report.lines if line.name == "mail client")
    assert (line.state, "this mail program can only hand mail over, without proof" in line.found) == ("fail", True)


@pytest.mark.parametrize(("is_unicode", "state"), [(True, "ok"), (False, "warning"), (None, "ok")])
def test_a_mailbox_without_unicode_is_warned_about(hive, is_unicode, state):
    assert _states(examine(hive, "Backup", GOOD, _child(unicode=is_unicode)))["characters"] == state


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
