"""Chooses a mail client from played registries: order, both views, what is never used, and bitness before anything is loaded."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from programs.relay.mail_clients import CLIENTS_KEY, ClientChoice, choose_client, machine_of_file
from programs.relay.outcomes import RelayOutcome
from programs.relay.registry import (
    OLD_KEY,
    OUR_KEY,
    BadSetting,
    MailSettings,
    read_settings,
    set_up,
    set_value,
)
from tests.support.fake_hive import FakeHive

OUTLOOK, EXPRESS = "Microsoft Outlook", "Outlook Express"
DLL = "C:\\Office\\OLMAPI32.DLL"


def _hive(*clients: str, view: int = 64, default: str = "", values: dict | None = None) -> FakeHive:
    hive = FakeHive({(view, CLIENTS_KEY): {"": default}})
    for name in clients:
        hive.content[(view, f"{CLIENTS_KEY}\\{name}")] = values or {"DLLPathEx": f"C:\\{name}\\olmapi32.dll"}
    return hive


def _choose(hive, *clients, machine="64-bit", ours="64-bit", unusable=None):
    read = lambda _path: machine  # noqa: E731
    return choose_client(MailSettings(clients), hive, unusable=unusable, machine_of=read, our_machine=ours)


def test_the_first_that_is_installed_is_used_whatever_the_hosts_default_is():
    hive = _hive(EXPRESS, OUTLOOK, "Other", default=EXPRESS)
    choice = _choose(hive, "Absent", EXPRESS, OUTLOOK, "Other")
    assert isinstance(choice, ClientChoice)
    assert choice.name == OUTLOOK
    assert "Absent: not installed" in choice.reason
    assert "Outlook Express" in choice.reason


@pytest.mark.parametrize(
    "name", [EXPRESS, "outlook express 6", "Windows Mail", "Windows Live Mail", "Outlook for Windows", "olk.exe"]
)
def test_some_clients_are_never_used(name):
    refused = _choose(_hive(name), name)
    assert refused.outcome == RelayOutcome.INCOMPATIBLE_CLIENT


@pytest.mark.parametrize(
    "values",
    [{"DLLPathEx": "C:\\x\\msoe.dll"}, {"DLLPath": "%sys%\\mapi32.dll"}, {"DLLPath": "c:\\MAPISTUB.DLL"}, {"x": "y"}],
)
def test_a_client_without_a_dll_of_its_own_or_with_a_forbidden_one_is_passed_over(values):
    refused = _choose(_hive("Friendly", values=values), "Friendly")
    assert refused.outcome == RelayOutcome.INCOMPATIBLE_CLIENT


def test_the_new_outlook_is_recognised_by_the_program_that_it_starts():
    hive = _hive("Outlook")
    hive.content[(64, f"{CLIENTS_KEY}\\Outlook\\shell\\open\\command")] = {"": '"C:\\Apps\\olk.exe" /x'}
    assert "no MAPI" in _choose(hive, "Outlook").reason


ONLY = {"DLLPath": "C:\\a.dll"}
BOTH = {"DLLPath": "C:\\a.dll", "DLLPathEx": "C:\\b.dll"}
EXTENDED = {"DLLPathEx": "C:\\x\\own.dll"}


@pytest.mark.parametrize(
    ("first", "default", "unusable", "why"),
    [
        (ONLY, "A", {}, "A: this mail program can only hand mail over, without proof"),
        (EXTENDED, "B", {}, "A: only the host's default mail program can be used; make it the default"),
        (EXTENDED, "A", {"A": "the mail client showed a window: Choose Profile (#32770)"}, "A: the mail client showed a window: Choose Profile"),
        ({"DLLPathEx": "C:\\mapi32.dll"}, "A", {}, "A: it has no MAPI of its own"),
        ({"DLLPathEx": "C:\\mapi32.dll", "DLLPath": "C:\\a.dll"}, "A", {}, "A: this mail program can only hand mail over"),
        ({"DLLPathEx": "C:\\msoe.dll"}, "A", {}, "A: it is Outlook Express"),
        (None, "", {}, "A: not installed"),
    ],
    ids=["Simple MAPI", "not the default", "opened a window", "Windows' stub", "stub and Simple MAPI", "never used", "not installed"],
)  # fmt: skip
def test_an_entry_that_cannot_be_used_without_a_window_is_named_and_passed_over(first, default, unusable, why):
    hive = _hive(OUTLOOK, default=default)
    if first is not None:
        hive.content[(64, f"{CLIENTS_KEY}\\A")] = first
    choice = _choose(hive, "A", OUTLOOK, unusable=unusable)
    assert isinstance(choice, ClientChoice), choice
    assert (choice.name, why in choice.reason) == (OUTLOOK, True), choice.reason
    refused = _choose(hive, "A", unusable=unusable)
    assert (refused.outcome, why in refused.reason) == (RelayOutcome.INCOMPATIBLE_CLIENT, True), refused.reason


def test_a_client_with_both_is_used_by_its_extended_mapi():
    assert _choose(_hive("A", values=BOTH, default="A"), "A").dll == "C:\\b.dll"


def test_a_client_of_the_other_view_is_found_and_its_bitness_named():
    refused = _choose(_hive(OUTLOOK, view=32), OUTLOOK, machine="32-bit")
    assert refused.outcome == RelayOutcome.BITNESS
    assert "install a 32-bit Python" in refused.reason
    assert isinstance(_choose(_hive(OUTLOOK, view=32), OUTLOOK, machine="32-bit", ours="32-bit"), ClientChoice)


def test_a_client_of_the_wrong_bitness_does_not_hide_one_that_fits():
    hive = _hive("A", "B")
    choice = choose_client(
        MailSettings(("A", "B")),
        hive,
        machine_of=lambda path: "32-bit" if "\\A\\" in path else "64-bit",
        our_machine="64-bit",
    )
    assert choice.name == "B"


def test_nothing_listed_and_nothing_installed_are_two_answers():
    assert "lists no" in _choose(_hive(OUTLOOK)).reason
    assert "not installed" in _choose(FakeHive(), OUTLOOK).reason


@pytest.mark.parametrize(
    ("content", "machine"),
    [
        (b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<H", 0x8664), "64-bit"),
        (b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<H", 0x014C), "32-bit"),
        (b"MZ" + bytes(58) + struct.pack("<I", 0xFFFFFFFF), None),
        (b"MZ", None),
        (b"", None),
        (b"#!/bin/sh", None),
    ],
)
def test_the_pe_header_shows_the_bitness(tmp_path, content, machine):
    path = tmp_path / "x.dll"
    path.write_bytes(content)
    assert machine_of_file(str(path)) == machine
    assert machine_of_file(str(tmp_path / "absent")) is None


def test_our_key_goes_before_the_old_one_value_by_value():
    hive = FakeHive(
        {
            (64, OLD_KEY): {"MailClientsSupported": [OUTLOOK], "MailUsingSpooler": 1},
            (64, OUR_KEY): {"MailClientsSupported": ["Mine"]},
        }
    )
    settings = read_settings(hive)
    assert (settings.clients, settings.use_spooler) == (("Mine",), True)
    assert settings.clients_from.endswith("Tocsin\\Relay")
    assert settings.spooler_from.endswith("Parameters")


def test_an_old_host_works_unchanged():
    hive = FakeHive({(32, OLD_KEY): {"mailclientssupported": f" {OUTLOOK} ;;Other;other"}})
    assert read_settings(hive).clients == (OUTLOOK, "Other")


@pytest.mark.parametrize(
    ("value", "is_set"), [(0, False), (1, True), (7, True), ("0", False), ("1", True), ([], False)]
)
def test_the_spooler_is_any_number_but_zero(value, is_set):
    assert read_settings(FakeHive({(64, OLD_KEY): {"MailUsingSpooler": value}})).use_spooler is is_set


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, (OUTLOOK,)),
        ({"MailClientsSupported": []}, (OUTLOOK,)),
        ({"MailClientsSupported": "Other"}, ("Other", OUTLOOK)),
        ({"MailClientsSupported": ["microsoft  OUTLOOK", "Other"]}, ("microsoft OUTLOOK", "Other")),
        ({"MailClientsSupported": [f"Client {number}" for number in range(80)]}, (*(f"Client {number}" for number in range(63)), OUTLOOK)),
    ],
    ids=["no list", "empty list", "a list without it", "a list with it", "a full list"],
)  # fmt: skip
def test_install_adds_outlook_to_a_list_that_lacks_it_and_changes_nothing_else(before, after):
    hive = FakeHive({(64, OLD_KEY): dict(before)})
    for _ in range(2):
        set_up(hive)
        assert read_settings(hive).clients == after
    assert hive.content[(64, OLD_KEY)] == before, "the key of the older software is never written to"


@pytest.mark.parametrize(
    "value",
    [
        [OUTLOOK, "Other"],
        "Microsoft Outlook;Other",
        "Microsoft Outlook, Other",
        '"Microsoft Outlook","Other"',
        '"Microsoft Outlook;Other"',
        '"Microsoft Outlook" "Other"',
        "'Microsoft Outlook'; 'Other'",
        "\u201cMicrosoft Outlook\u201d; \u201eOther\u201c",
        "\u00abMicrosoft Outlook\u00bb, \u00abOther\u00bb",
        "Microsoft Outlook\r\nOther\r\n",
        "Microsoft Outlook\nOther",
        "Microsoft Outlook\tOther",
        "Microsoft Outlook | Other",
        "Microsoft\u00a0Outlook;\u00a0Other\u00a0",
        "Microsoft  Outlook ; Other",
        "\ufeffMicrosoft Outlook;\u200bOther",
        "Microsoft Outlook\\0Other",
        "Microsoft Outlook\0Other\0\0",
        "Microsoft Outlook\uff1bOther",
        "Microsoft Outlook\uff0cOther",
        ["Microsoft Outlook; Other", "", "other"],
        ["  Microsoft Outlook", '"Other"'],
        ["Microsoft Outlook,", "Other,"],
        ";;Microsoft Outlook;;Other;;",
    ],
)
def test_the_separators_that_people_use_are_understood(value):
    assert read_settings(FakeHive({(64, OLD_KEY): {"MailClientsSupported": value}})).clients == (OUTLOOK, "Other")
    if isinstance(value, str):
        hive = FakeHive()
        set_value(hive, "MailClientsSupported", value)
        assert hive.content[(64, OUR_KEY)]["MailClientsSupported"] == [OUTLOOK, "Other"]


@given(
    st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20), min_size=1, max_size=5),
    st.sampled_from([";", ",", "\n", "\t", '"', " ; ", "\\0"]),
)
def test_any_names_come_back_whatever_separates_them(names, separator):
    once = tuple(
        {name.lower(): name for name in reversed(names)}[key] for key in dict.fromkeys(name.lower() for name in names)
    )
    read = read_settings(FakeHive({(64, OUR_KEY): {"MailClientsSupported": separator.join(names)}})).clients
    assert read == once


def test_settings_are_written_into_our_key_alone():
    hive = FakeHive({(64, OLD_KEY): {"MailUsingSpooler": 1}})
    set_value(hive, "mailusingspooler", "0")
    set_value(hive, "MailClientsSupported", "A; B")
    assert hive.content[(64, OLD_KEY)] == {"MailUsingSpooler": 1}
    assert hive.content[(64, OUR_KEY)] == {"MailUsingSpooler": 0, "MailClientsSupported": ["A", "B"]}
    assert read_settings(hive).use_spooler is False


@pytest.mark.parametrize(("name", "words"), [("MailUsingSpooler", "yes"), ("Run", "cmd.exe"), ("", "")])
def test_nothing_else_can_be_set(name, words):
    with pytest.raises(BadSetting):
        set_value(FakeHive(), name, words)


@given(st.one_of(st.text(), st.lists(st.text()), st.integers()))
def test_whatever_the_list_holds_a_name_is_never_a_path_in_the_registry(value):
    clients = read_settings(FakeHive({(64, OUR_KEY): {"MailClientsSupported": value}})).clients
    assert len(clients) <= 64
    assert all(" ".join(name.split()) == name and name for name in clients)
    assert not any(mark in name for name in clients for mark in '\\\0;,"\n')
