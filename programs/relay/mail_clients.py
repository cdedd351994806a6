"""Chooses the mail client: the first on the administrator's list that is installed and may be used; and says why. Loads none."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

from programs.relay.outcomes import Outcome
from programs.relay.registry import CLIENTS, Hive, MailSettings

CLIENTS_KEY = r"SOFTWARE\Clients\Mail"
# Clients that never work in a service, by what their name begins with and by what they are made of.
NEVER_BY_NAME = {
    "outlook express": "Outlook Express shows dialogs and is incompatible, always",
    "windows mail": "Windows Mail shows dialogs and is incompatible, as Outlook Express was",
    "windows live mail": "Windows Live Mail shows dialogs and is incompatible",
    "outlook for windows": "the new Outlook (olk.exe) has no MAPI",
    "outlook (new)": "the new Outlook (olk.exe) has no MAPI",
    "olk": "the new Outlook (olk.exe) has no MAPI",
}
NEVER_BY_FILE = {"msoe.dll": "it is Outlook Express", "olk.exe": "it is the new Outlook, which has no MAPI"}
STUBS = ("mapi32.dll", "mapistub.dll")  # Windows' own: they would hand on to whatever client is the host's default
MACHINES = {0x8664: "64-bit", 0x014C: "32-bit", 0xAA64: "ARM64"}
OPENED_BY_NAME = ("olmapi32.dll", "msmapi32.dll")  # pywin32 takes these if the process has them loaded

ReadMachine = Callable[[str], "str | None"]


@dataclass(frozen=True)
class Choice:
    """The client that is used. `kind`: "extended" or "simple"; `machine`: what its DLL is made for."""

    name: str
    kind: str
    dll: str
    machine: str
    ours: str
    is_default: bool
    reason: str

    def as_json(self) -> dict[str, Any]:
        """Give the shape of `Order.client`."""
        return asdict(self)


@dataclass(frozen=True)
class NoChoice:
    """No client can be used: the outcome that this makes for each message, and why, in words for the administrator."""

    outcome: Outcome
    reason: str
    passed_over: tuple[str, ...] = ()


def choose(
    settings: MailSettings, hive: Hive, *, machine_of: ReadMachine | None = None, ours: str = ""
) -> Choice | NoChoice:
    """Choose. Each client of the list that is passed over is named with its reason."""
    read = machine_of or machine_of_file
    ours = ours or read(sys.executable) or "64-bit"
    passed: list[str] = []
    refusal: NoChoice | None = None
    for name in settings.clients:
        found = _registered(hive, name, read, ours)
        if isinstance(found, Choice):
            before = f" ({'; '.join(passed)})" if passed else ""
            place = "first" if not passed else "first usable one"
            return Choice(**{**found.as_json(), "reason": f"{place} of {CLIENTS} that is installed{before}"})
        passed.append(found.reason)
        refusal = refusal or (found if found.outcome == Outcome.BITNESS else None)
    if refusal is not None:
        return NoChoice(refusal.outcome, refusal.reason, tuple(passed))
    if not settings.clients:
        return NoChoice(Outcome.INCOMPATIBLE_CLIENT, f"{CLIENTS} lists no mail client")
    return NoChoice(
        Outcome.INCOMPATIBLE_CLIENT, "none of the listed mail clients can be used: " + "; ".join(passed), tuple(passed)
    )


def forbidden(name: str, files: tuple[str, ...] = ()) -> str | None:
    """Say why a client is never used, None if it may be. `files`: its DLLs and the program that it starts."""
    for start, why in NEVER_BY_NAME.items():
        if name.strip().lower().startswith(start):
            return why
    for file in files:
        for part, why in NEVER_BY_FILE.items():
            if part in file.lower():
                return why
    return None


def _registered(hive: Hive, name: str, read: ReadMachine, ours: str) -> Choice | NoChoice:
    """Look a client up under Clients\\Mail, in our own view first."""  # noqa: D301
    views = (32, 64) if ours == "32-bit" else (64, 32)
    refusal = NoChoice(Outcome.INCOMPATIBLE_CLIENT, f"{name}: not installed")
    for view in views:
        key = next((k for k in hive.keys(CLIENTS_KEY, view) if k.lower() == name.lower()), None)
        if key is None:
            continue
        below = f"{CLIENTS_KEY}\\{key}"
        extended, simple = (_text(hive.read(below, value, view)) for value in ("DLLPathEx", "DLLPath"))
        command = _text(hive.read(f"{below}\\shell\\open\\command", "", view))
        why = forbidden(key, (extended, simple, command))
        dll = next((one for one in (extended, simple) if one and PureWindowsPath(one).name.lower() not in STUBS), "")
        if why is not None:
            return NoChoice(Outcome.INCOMPATIBLE_CLIENT, f"{key}: {why}")
        if not dll:
            refusal = NoChoice(Outcome.INCOMPATIBLE_CLIENT, f"{key}: registered without a MAPI DLL of its own")
            continue
        machine = read(dll)
        if machine == ours:
            is_default = _text(hive.read(CLIENTS_KEY, "", views[0])).lower() == key.lower()
            return Choice(key, "extended" if dll == extended else "simple", dll, machine, ours, is_default, "")
        refusal = _unfit(key, dll, machine, ours)
    return refusal


def _unfit(name: str, dll: str, machine: str | None, ours: str) -> NoChoice:
    if machine is None:
        return NoChoice(Outcome.INCOMPATIBLE_CLIENT, f"{name}: {dll} is not there or is no DLL")
    return NoChoice(
        Outcome.BITNESS, f"{name} is {machine}, this Python is {ours}: install a {machine} Python for the relay"
    )


def machine_of_file(path: str) -> str | None:
    """Say for what a DLL or program is made, by its PE header, without loading it: a mismatch would show a dialog."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(64)
            if start[:2] != b"MZ":
                return None
            file.seek(struct.unpack_from("<I", start, 0x3C)[0])
            head = file.read(6)
    except (OSError, ValueError, struct.error):
        return None
    if len(head) < 6 or head[:4] != b"PE\0\0":  # noqa: PLR2004  (signature and machine)
        return None
    return MACHINES.get(struct.unpack_from("<H", head, 4)[0])


def _text(value: object) -> str:
    return value.strip().strip('"') if isinstance(value, str) else ""


def is_loadable(client: Mapping[str, Any]) -> bool:
    """Say whether pywin32 would load this client: it takes the host's default one, or Outlook's DLL if that is loaded already."""
    return bool(client.get("is_default")) or PureWindowsPath(str(client.get("dll", ""))).name.lower() in OPENED_BY_NAME
