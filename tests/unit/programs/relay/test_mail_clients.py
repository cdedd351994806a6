"""Chooses a mail client from played registries: order, both views, what is never used, and bitness before anything is loaded."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from programs.relay.mail_clients import CLIENTS_KEY, ClientChoice, choose_client, is_loaded_by_pywin32, machine_of_file
from programs.relay.outcomes import RelayOutcome
from programs.relay.registry import (
    OLD_KEY,
    OUR_KEY,
    BadSetting,
    FakeHive,
    MailSettings,
    read_settings,
    set_up,
    set_value,
)

OUTLOOK, EXPRESS = "Microsoft Outlook", "Outlook Express"
DLL = "C:\\Office\\OLMAPI32.DLL"


def _hive(*clients: str, view: int = 64, default: str = "", values: dict | None = None) -> FakeHive:
    hive = FakeHive({(view, CLIENTS_KEY): {"": default}})
    for name in clients:
        hive.content[(view, f"{CLIENTS_KEY}\\{name}")] = values or {"DLLPathEx": f"C:\\{name}\\olmapi32.dll"}
    return hive


def _choose(hive, *clients, machine="64-bit", ours="64-bit"):
    return choose_client(MailSettings(clients), hive, machine_of=lambda _path: machine, our_machine=ours)


def test_the_first_that_is_installed_is_used_whatever_the_hosts_default_is():
    hive = _hive(EXPRESS, OUTLOOK, "Other", default=EXPRESS)
    choice = _choose(hive, "Absent", EXPRESS, OUTLOOK, "Other")
    assert isinstance(choice, ClientChoice)
    assert (choice.name, choice.is_default) == (OUTLOOK, False)
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


def test_extended_goes_before_simple():
    both = {"DLLPath": "C:\\a.dll", "DLLPathEx": "C:\\b.dll"}
    assert _choose(_hive("A", values=both), "A").kind == "extended"
    assert _choose(_hive("A", values={"DLLPath": "C:\\a.dll"}), "A").kind == "simple"


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
    ("dll", "is_default", "loadable"),
    [("C:\\x\\OLMAPI32.dll", False, True), ("C:\\x\\own.dll", True, True), ("C:\\x\\own.dll", False, False)],
)
def test_pywin32_finds_outlooks_dll_or_the_hosts_default(dll, is_default, loadable):
    assert is_loaded_by_pywin32({"dll": dll, "is_default": is_default}) is loadable


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


def test_setup_lists_outlook_once_and_changes_no_existing_list():
    hive = FakeHive({(64, OLD_KEY): {"x": 1}})
    set_up(hive)
    assert read_settings(hive).clients == (OUTLOOK,)
    old = FakeHive({(64, OLD_KEY): {"MailClientsSupported": "Other"}})
    set_up(old)
    assert read_settings(old).clients == ("Other",)


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
    assert all(name.strip() == name and name and "\\" not in name and "\0" not in name for name in clients)
