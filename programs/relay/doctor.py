"""Examine this host: one line for each thing that sending over MAPI from a service needs, with what to do about it.

The profile is read in a child, as the relay's own process never loads MAPI. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from programs.protocol.relay import DoctorPoint
from programs.relay import profile_check as check
from programs.relay.conversation import ChildOrder
from programs.relay.host_facts import HostFacts
from programs.relay.mail_clients import (
    CLIENTS_KEY,
    ClientChoice,
    NoUsableClient,
    choose_client,
    is_loaded_by_pywin32,
    never_used_because,
)
from programs.relay.outcomes import EXAMINED, RelayOutcome, RelayVerdict
from programs.relay.registry import CLIENTS, OUR_KEY, SPOOLER, MailSettings, RegistryHive, read_settings

OK, WARNING, FAIL = "ok", "warning", "fail"
_SYSTEM_ACCOUNTS = {"S-1-5-18": "LocalSystem", "S-1-5-19": "LocalService", "S-1-5-20": "NetworkService"}
# Programs that use or offer MAPI. A second one on the host can hold the profile, or the mail.
OTHER_CLIENTS = {
    "outlook.exe": "Outlook",
    "msimn.exe": "Outlook Express",
    "winmail.exe": "Windows Mail",
    "wlmail.exe": "Windows Live Mail",
    "thunderbird.exe": "Thunderbird",
    "lync.exe": "Lync",
    "searchprotocolhost.exe": "",  # Windows Search reads profiles, but holds none
}


@dataclass(frozen=True)
class DoctorReport:
    """All points. `outcome` is what sending would end in now, None if nothing fails."""

    lines: tuple[DoctorPoint, ...]
    outcome: RelayOutcome | None = None

    @property
    def is_failing(self) -> bool:
        """Whether the relay must pause."""
        return any(line.state == FAIL for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        """Return what `doctor --json` prints."""
        lines = [
            {"point": point.name, "state": point.state, "found": point.found, "remedy": point.remedy}
            for point in self.lines
        ]
        return {"outcome": self.outcome.value if self.outcome else None, "lines": lines}


def examine(
    hive: RegistryHive, profile: str, facts: HostFacts, run_child: Callable[[ChildOrder], RelayVerdict]
) -> DoctorReport:
    """Examine everything. `run_child` runs one child in mode `doctor` and returns its verdict (programs.relay.watch.watch)."""
    settings = read_settings(hive)
    choice = choose_client(settings, hive)
    smtp = "SMTP is recommended and stays the fallback; MAPI is for hosts where only MAPI may send"
    lines = [DoctorPoint("smtp", OK, smtp), *_client_points(settings, choice), *_host_points(facts)]
    outcome = choice.outcome if isinstance(choice, NoUsableClient) else None
    if isinstance(choice, ClientChoice) and facts.mapi_binding:
        order = ChildOrder(mode="doctor", profile=profile, client=choice.as_json(), use_spooler=settings.use_spooler)
        verdict = run_child(order)
        lines += profile_lines(profile, settings, verdict)
        found: Mapping[str, Any] = verdict.evidence.get("found") or {}
        providers = [check.Provider(**row) for row in found.get("providers") or ()]
        if verdict.outcome != EXAMINED:
            outcome = RelayOutcome(verdict.outcome)
        elif not found.get("simple") and not settings.use_spooler and not check.tightness(providers)[0]:
            outcome = RelayOutcome.NOT_TIGHT
        elif found.get("logon") != "ok":
            outcome = RelayOutcome.LOGON_FAILED
    else:
        lines.append(
            DoctorPoint(
                "profile",
                FAIL,
                "not examined: there is no mail client to examine it with",
                "Correct the points above first.",
            )
        )
    if facts.test_message:
        lines.append(DoctorPoint("test message", OK, f"the last message left at {facts.test_message}"))
    else:
        remedy = "Run `send-test ADDRESS`, and check that it arrives."
        lines.append(DoctorPoint("test message", WARNING, "none has left yet", remedy))
    return DoctorReport(tuple(lines), outcome if any(line.state == FAIL for line in lines) else None)


def profile_lines(profile: str, settings: MailSettings, verdict: RelayVerdict) -> list[DoctorPoint]:
    """Judge what a child found in the profile. Findings that it sent before a hang or a dialog count."""
    found: Mapping[str, Any] = verdict.evidence.get("found") or {}
    lines = []
    names = [str(name) for name in found.get("profiles") or ()]
    if found.get("simple"):
        found_text = (
            'this client offers Simple MAPI only: no profile to examine, and no proof beyond "handed to the client"'
        )
        lines.append(
            DoctorPoint("profile", WARNING, found_text, "Prefer a client with Extended MAPI (DLLPathEx), or SMTP.")
        )
    elif not profile:
        lines.append(DoctorPoint("profile", FAIL, "no profile is named", "Install with `--profile NAME`."))
    elif not names and "profiles" not in found:
        found_text = "the list of profiles could not be read"
        lines.append(DoctorPoint("profile", FAIL, found_text, 'See the point "logon".'))
    elif profile.lower() not in {name.lower() for name in names}:
        found_text = f'"{profile}" is not there; there are: {", ".join(names) or "none"}'
        remedy = "Make it in Control Panel, Mail, while logged on as the service's account."
        lines.append(DoctorPoint("profile", FAIL, found_text, remedy))
    else:
        lines.append(DoctorPoint("profile", OK, f'"{profile}" is there'))
    if "providers" in found and not found.get("simple"):
        lines += _pair(settings, [check.Provider(**row) for row in found["providers"]])
    lines.append(_logon(found, verdict))
    if "online" not in found:
        return lines
    if not found.get("submits", True):
        found_text = "the default store cannot submit messages"
        lines.append(DoctorPoint("store", FAIL, found_text, "Make the Exchange mailbox the default data file."))
    elif found["online"]:
        found_text = "opened online, without a cache, so the Outbox shows what really left"
        lines.append(DoctorPoint("store", OK, found_text))
    else:
        found_text = "it has no online mode: the Outbox shows what left the cache"
        lines.append(DoctorPoint("store", WARNING, found_text, "Switch cached mode off for this account."))
    return lines


def _client_points(settings: MailSettings, choice: ClientChoice | NoUsableClient) -> list[DoctorPoint]:
    """Judge the administrator's settings and the mail client that they lead to."""
    lines = []
    found_text = f"{'; '.join(settings.clients)} (from {settings.clients_from})"
    never = [f"{name}: {why}" for name in settings.clients if (why := never_used_because(name))]
    if not settings.clients:
        remedy = f'Run `--set {CLIENTS}="Microsoft Outlook"`.'
        lines.append(DoctorPoint("supported clients", FAIL, f"{CLIENTS} is not set or empty", remedy))
    elif never:
        found_text = f"{found_text}; never used: {'; '.join(never)}"
        lines.append(DoctorPoint("supported clients", WARNING, found_text, f"Take it off {CLIENTS}."))
    else:
        lines.append(DoctorPoint("supported clients", OK, found_text))

    if isinstance(choice, NoUsableClient):
        remedy = "Install Microsoft Outlook (not the new Outlook), or send by SMTP."
        lines.append(DoctorPoint("mail client", FAIL, choice.reason, remedy))
        if choice.outcome == RelayOutcome.BITNESS:
            remedy = "Install the relay again with a Python of the client's bitness."
            lines.append(DoctorPoint("bitness", FAIL, choice.reason, remedy))
        else:
            found_text = "not compared: there is no mail client"
            lines.append(DoctorPoint("bitness", WARNING, found_text, "Correct the mail client first."))
    else:
        found_text = f"{choice.name}: {choice.reason}; {choice.kind} MAPI, {choice.dll}"
        if choice.kind == "extended" and not is_loaded_by_pywin32(choice.as_json()):
            found_text = f"{found_text}; pywin32 would load the host's default client instead"
            remedy = f"Make {choice.name} the host's default mail client (HKLM\\{CLIENTS_KEY}, default value)."
            lines.append(DoctorPoint("mail client", FAIL, found_text, remedy))
        else:
            lines.append(DoctorPoint("mail client", OK, found_text))
        lines.append(DoctorPoint("bitness", OK, f"client and Python are {choice.machine}"))

    if settings.use_spooler:
        found_text = f"{SPOOLER} is set (in {settings.spooler_from}): THE MAPI SPOOLER IS USED. A service must not; mail can stay in the Outbox forever"
        remedy = f"Run `--set {SPOOLER}=0` (it writes HKLM\\{OUR_KEY}, which goes before the old key) and use a tight profile, or SMTP."
        lines.append(DoctorPoint("spooler", WARNING, found_text, remedy))
    else:
        lines.append(DoctorPoint("spooler", OK, "the MAPI spooler is not used"))
    return lines


def _host_points(facts: HostFacts) -> list[DoctorPoint]:
    """Judge pywin32, the account, other programs with MAPI, and the spool."""
    lines = [
        DoctorPoint("pywin32", OK, facts.mapi_binding)
        if facts.mapi_binding
        else DoctorPoint("pywin32", FAIL, "pywin32 cannot be imported", "Run `py -m pip install pywin32`.")
    ]

    who = facts.account or facts.account_sid or "unknown"
    if facts.account_sid in _SYSTEM_ACCOUNTS:
        found_text = f"runs as {_SYSTEM_ACCOUNTS[facts.account_sid]}, which has no mail profile"
        remedy = "Install the service with `--account DOMAIN\\user`, whose profile it is."
        lines.append(DoctorPoint("service account", FAIL, found_text, remedy))
    elif facts.service_account and _user(facts.service_account) != _user(facts.account):
        found_text = f"this is {who}, the service runs as {facts.service_account}: profiles belong to an account"
        remedy = f"Run doctor as {facts.service_account}, or ask the service for its report."
        lines.append(DoctorPoint("service account", WARNING, found_text, remedy))
    else:
        lines.append(DoctorPoint("service account", OK, f"runs as {who}"))

    running = sorted({OTHER_CLIENTS[name.lower()] for name in facts.programs if OTHER_CLIENTS.get(name.lower())})
    if running:
        remedy = "Close it and keep it from starting: no other MAPI client may run on this host."
        lines.append(DoctorPoint("other mail clients", WARNING, f"running: {', '.join(running)}", remedy))
    else:
        lines.append(DoctorPoint("other mail clients", OK, "none is running"))

    if facts.spool_trouble:
        found_text = f"cannot be written to: {facts.spool_trouble}"
        lines.append(DoctorPoint("spool", FAIL, found_text, "Make room on its disk."))
    elif facts.spool_kept:
        found_text = f"was damaged and replaced by a new one; the old one is kept as {facts.spool_kept}"
        lines.append(DoctorPoint("spool", WARNING, found_text, "Check the disk, then delete the old one."))
    else:
        lines.append(DoctorPoint("spool", OK, "can be written to"))
    return lines


def _pair(settings: MailSettings, providers: Sequence[check.Provider]) -> list[DoctorPoint]:
    store, order = check.default_store(providers), check.transports(providers)
    books = check.address_books(providers)
    is_tight, why = check.tightness(providers)
    state = OK if is_tight else WARNING if settings.use_spooler else FAIL
    remedy = (
        "" if is_tight else "Use a profile with one Exchange account as the default store and first transport, or SMTP."
    )
    lines = [DoctorPoint("tight pair", state, why, remedy)]
    if store is None:
        lines.append(DoctorPoint("default store", FAIL, "none", "Make the Exchange mailbox the default data file."))
    elif store.is_exchange and store.store in ("", check.EXCHANGE_PRIVATE_STORE):
        lines.append(DoctorPoint("default store", OK, f'"{store.name}" ({store.service})'))
    else:
        found_text = f'"{store.name}" ({store.service}) is not Exchange\'s private store'
        lines.append(
            DoctorPoint("default store", WARNING, found_text, "Make the Exchange mailbox the default data file.")
        )
    names = ", ".join(f'"{provider.name}" ({provider.service})' for provider in order) or "none"
    first = bool(order) and store is not None and order[0].service_uid == store.service_uid
    lines.append(
        DoctorPoint(
            "transport order", OK if first else state, names, "" if first else "Move the store's transport to the top."
        )
    )
    if books:
        lines.append(DoctorPoint("address book", OK, ", ".join(f'"{provider.name}"' for provider in books)))
    else:
        lines.append(
            DoctorPoint("address book", WARNING, "the profile has none", "Add an address book to the profile.")
        )
    return lines


def _logon(found: Mapping[str, Any], verdict: RelayVerdict) -> DoctorPoint:
    if found.get("logon") == "ok":
        return DoctorPoint(
            "logon", OK, f"without a dialog, in {verdict.evidence.get('seconds', 0)} s with the child's start"
        )
    remedies = {
        RelayOutcome.NEEDS_UI: "Log on as the service's account, open the client with this profile and answer its question for good.",
        RelayOutcome.TIMEOUT: "Open the client by hand with this profile: it will show what it waits for.",
        RelayOutcome.PROFILE_MISSING: "Make the profile while logged on as the service's account.",
        RelayOutcome.LOGON_FAILED: "Check the account's password and its right to the mailbox.",
        RelayOutcome.INCOMPATIBLE_CLIENT: "Make the chosen client the host's default mail client, or repair it.",
    }
    remedy = (
        remedies.get(RelayOutcome(verdict.outcome), "Try again; if it fails again, open the client by hand.")
        if verdict.outcome != EXAMINED
        else ""
    )
    return DoctorPoint("logon", FAIL, verdict.reason, remedy)


def _user(account: str) -> str:
    return account.replace("/", "\\").rsplit("\\", 1)[-1].split("@")[0].lower()
