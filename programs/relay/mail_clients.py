"""Choose the mail client: the first on the administrator's list that can send without a window, with the reason. And load it.

Only a child loads a client. Refused before it is loaded: a client that would show a dialog, and one that would turn out to be another
client (pywin32 itself would load the host's default one, which may be Outlook Express).
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

from programs.relay.outcomes import Declined, RelayOutcome, RelayVerdict
from programs.relay.registry import CLIENTS, MailSettings, RegistryHive
from programs.relay.windows_calls import library

CLIENTS_KEY = r"SOFTWARE\Clients\Mail"
# Clients that never work in a service, by the beginning of their name and by their files.
NEVER_BY_NAME = {
    "outlook express": "Outlook Express shows dialogs and is incompatible, always",
    "windows mail": "Windows Mail shows dialogs and is incompatible, as Outlook Express was",
    "windows live mail": "Windows Live Mail shows dialogs and is incompatible",
    "outlook for windows": "the new Outlook (olk.exe) has no MAPI",
    "outlook (new)": "the new Outlook (olk.exe) has no MAPI",
    "olk": "the new Outlook (olk.exe) has no MAPI",
}
NEVER_BY_FILE = {"msoe.dll": "it is Outlook Express", "olk.exe": "it is the new Outlook, which has no MAPI"}
STUBS = ("mapi32.dll", "mapistub.dll")  # Windows' own: they would pass everything to the host's default client
MACHINES = {0x8664: "64-bit", 0x014C: "32-bit", 0xAA64: "ARM64"}
ONLY_SIMPLE = "this mail program can only hand mail over, without proof"  # Simple MAPI, which uses the spooler unasked
OPENED_BY_NAME = ("olmapi32.dll", "msmapi32.dll")  # pywin32 takes these if the process has them loaded

ReadMachine = Callable[[str], "str | None"]


@dataclass(frozen=True)
class ClientChoice:
    """The client that is used. `machine`: what its DLL is built for."""

    name: str
    dll: str
    machine: str
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the value of `ChildOrder.client`."""
        return asdict(self)


@dataclass(frozen=True)
class NoUsableClient:
    """No client can be used: the outcome that each message gets for it, and the reason for the administrator."""

    outcome: RelayOutcome
    reason: str


def choose_client(
    settings: MailSettings,
    hive: RegistryHive,
    *,
    unusable: Mapping[str, str] | None = None,
    machine_of: ReadMachine | None = None,
    our_machine: str = "",
) -> ClientChoice | NoUsableClient:
    """Choose the first client that can send without a window. The reason names each one that was passed over, and why.

    `unusable`: clients that opened a window or could not be loaded when the doctor tried them, with the reason.
    """
    read = machine_of or machine_of_file
    our_machine = our_machine or read(sys.executable) or "64-bit"
    passed: list[str] = []
    outcome = RelayOutcome.INCOMPATIBLE_CLIENT
    for name in settings.clients:
        found = _registered(hive, name, read, our_machine)
        if isinstance(found, ClientChoice) and found.name in (unusable or {}):
            found = NoUsableClient(outcome, f"{found.name}: {(unusable or {})[found.name]}")
        if isinstance(found, ClientChoice):
            before = f", passed over: {'; '.join(passed)}" if passed else ""
            place = "the first one listed" if not passed else "the first one that can send without a window"
            return ClientChoice(found.name, found.dll, found.machine, f"{place}{before}")
        passed.append(found.reason)
        outcome = found.outcome if found.outcome == RelayOutcome.BITNESS else outcome
    if not settings.clients:
        return NoUsableClient(outcome, f"{CLIENTS} lists no mail program")
    return NoUsableClient(outcome, f"no listed mail program can be used: {'; '.join(passed)}")


def never_used_because(name: str, files: tuple[str, ...] = ()) -> str | None:
    """Return why a client is never used, None if it may be. `files`: its DLLs and the program that it starts."""
    for start, why in NEVER_BY_NAME.items():
        if name.strip().lower().startswith(start):
            return why
    for file in files:
        for part, why in NEVER_BY_FILE.items():
            if part in file.lower():
                return why
    return None


def _registered(hive: RegistryHive, name: str, read: ReadMachine, our_machine: str) -> ClientChoice | NoUsableClient:
    r"""Look up a client under Clients\\Mail, first in the registry view of our own bitness."""
    views = (32, 64) if our_machine == "32-bit" else (64, 32)
    incompatible = partial(NoUsableClient, RelayOutcome.INCOMPATIBLE_CLIENT)
    refusal = incompatible(f"{name}: not installed")
    for view in views:
        key = next((k for k in hive.keys(CLIENTS_KEY, view) if k.lower() == name.lower()), None)
        if key is None:
            continue
        below = f"{CLIENTS_KEY}\\{key}"
        dll, simple = (_text(hive.read(below, value, view)) for value in ("DLLPathEx", "DLLPath"))
        command = _text(hive.read(f"{below}\\shell\\open\\command", "", view))
        why = never_used_because(key, (dll, simple, command))
        if why is not None:
            return incompatible(f"{key}: {why}")
        if not dll or _file_name(dll) in STUBS:
            has_simple = bool(simple) and _file_name(simple) not in STUBS
            refusal = incompatible(f"{key}: {ONLY_SIMPLE if has_simple else 'it has no MAPI of its own'}")
            continue
        machine = read(dll)
        is_default = _text(hive.read(CLIENTS_KEY, "", views[0])).lower() == key.lower()
        if machine is None:
            refusal = incompatible(f"{key}: {dll} does not exist or is not a DLL")
        elif machine != our_machine:
            reason = f"{key} is {machine}, this Python is {our_machine}: install a {machine} Python for the relay"
            refusal = NoUsableClient(RelayOutcome.BITNESS, reason)
        elif not is_default and _file_name(dll) not in OPENED_BY_NAME:
            # pywin32 loads the host's default client, or Outlook's DLL if that is loaded already: it would be another client.
            refusal = incompatible(f"{key}: only the host's default mail program can be used; make it the default")
        else:
            return ClientChoice(key, dll, machine)
    return refusal


def machine_of_file(path: str) -> str | None:
    """Return what a DLL or program is built for, by its PE header, without loading it: a mismatch would show a dialog."""
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


def _file_name(path: str) -> str:
    return PureWindowsPath(path).name.lower()


def load_client(client: Mapping[str, Any]) -> None:
    """Load the DLL of a choice, which pywin32 then finds. The host may have changed since it was chosen. Raises Declined."""
    path, name = str(client.get("dll", "")), client.get("name")
    machine, our_machine = machine_of_file(path), machine_of_file(sys.executable)
    if machine is None or (our_machine is not None and machine != our_machine):
        outcome = RelayOutcome.INCOMPATIBLE_CLIENT if machine is None else RelayOutcome.BITNESS
        reason = f"{name}: {path} is {machine or 'missing or not a DLL'}, this Python is {our_machine}"
        raise Declined(RelayVerdict(outcome, reason, {"client": name}))
    try:
        library(path)
    except OSError as error:
        reason = f"{name}: {path} cannot be loaded (error {getattr(error, 'winerror', error.errno)})"
        raise Declined(RelayVerdict(RelayOutcome.INCOMPATIBLE_CLIENT, reason, {"client": name})) from error
