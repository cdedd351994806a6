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
    lines = [_smtp(), *_list(settings), _client(choice), _bitness(choice), _spooler(settings), _binding(facts)]
    lines += [_account(facts), _others(facts.programs), _spool(facts)]
    outcome = choice.outcome if isinstance(choice, NoUsableClient) else None
    if isinstance(choice, ClientChoice) and facts.mapi_binding:
        order = ChildOrder(mode="doctor", profile=profile, client=choice.as_json(), use_spooler=settings.use_spooler)
        verdict = run_child(order)
        lines += profile_lines(profile, settings, verdict)
        outcome = _outcome(settings, verdict)
    else:
        lines.append(
            DoctorPoint(
                "profile",
                FAIL,
                "not examined: there is no mail client to examine it with",
                "Correct the points above first.",
            )
        )
    lines.append(_test_message(facts.test_message))
    return DoctorReport(tuple(lines), outcome if any(line.state == FAIL for line in lines) else None)


def profile_lines(profile: str, settings: MailSettings, verdict: RelayVerdict) -> list[DoctorPoint]:
    """Judge what a child found in the profile. Findings that it sent before a hang or a dialog count."""
    found: Mapping[str, Any] = verdict.evidence.get("found") or {}
    lines = []
    if found.get("simple"):
        found_text = (
            'this client offers Simple MAPI only: no profile to examine, and no proof beyond "handed to the client"'
        )
        lines.append(
            DoctorPoint("profile", WARNING, found_text, "Prefer a client with Extended MAPI (DLLPathEx), or SMTP.")
        )
    else:
        lines.append(_profile(profile, found))
        if "providers" in found:
            lines += _pair(settings, [check.Provider(**row) for row in found["providers"]])
    lines.append(_logon(found, verdict))
    if "online" in found:
        lines.append(_online(found))
    return lines


def _smtp() -> DoctorPoint:
    return DoctorPoint(
        "smtp", OK, "SMTP is recommended and stays the fallback; MAPI is for hosts where only MAPI may send"
    )


def _list(settings: MailSettings) -> list[DoctorPoint]:
    if not settings.clients:
        remedy = f'Run `--set {CLIENTS}="Microsoft Outlook"`.'
        return [DoctorPoint("supported clients", FAIL, f"{CLIENTS} is not set or empty", remedy)]
    found_text = f"{'; '.join(settings.clients)} (from {settings.clients_from})"
    never = [f"{name}: {why}" for name in settings.clients if (why := never_used_because(name))]
    if never:
        return [
            DoctorPoint(
                "supported clients", WARNING, f"{found_text}; never used: {'; '.join(never)}", f"Take it off {CLIENTS}."
            )
        ]
    return [DoctorPoint("supported clients", OK, found_text)]


def _client(choice: ClientChoice | NoUsableClient) -> DoctorPoint:
    if isinstance(choice, NoUsableClient):
        return DoctorPoint(
            "mail client", FAIL, choice.reason, "Install Microsoft Outlook (not the new Outlook), or send by SMTP."
        )
    found_text = f"{choice.name}: {choice.reason}; {choice.kind} MAPI, {choice.dll}"
    if choice.kind == "extended" and not is_loaded_by_pywin32(choice.as_json()):
        remedy = f"Make {choice.name} the host's default mail client (HKLM\\{CLIENTS_KEY}, default value)."
        return DoctorPoint(
            "mail client", FAIL, f"{found_text}; pywin32 would load the host's default client instead", remedy
        )
    return DoctorPoint("mail client", OK, found_text)


def _bitness(choice: ClientChoice | NoUsableClient) -> DoctorPoint:
    if isinstance(choice, ClientChoice):
        return DoctorPoint("bitness", OK, f"client and Python are {choice.machine}")
    if choice.outcome == RelayOutcome.BITNESS:
        return DoctorPoint(
            "bitness", FAIL, choice.reason, "Install the relay again with a Python of the client's bitness."
        )
    return DoctorPoint("bitness", WARNING, "not compared: there is no mail client", "Correct the mail client first.")


def _spooler(settings: MailSettings) -> DoctorPoint:
    if not settings.use_spooler:
        return DoctorPoint("spooler", OK, "the MAPI spooler is not used")
    found_text = f"{SPOOLER} is set (in {settings.spooler_from}): THE MAPI SPOOLER IS USED. A service must not; mail can stay in the Outbox forever"
    remedy = f"Run `--set {SPOOLER}=0` (it writes HKLM\\{OUR_KEY}, which goes before the old key) and use a tight profile, or SMTP."
    return DoctorPoint("spooler", WARNING, found_text, remedy)


def _binding(facts: HostFacts) -> DoctorPoint:
    if facts.mapi_binding:
        return DoctorPoint("pywin32", OK, facts.mapi_binding)
    return DoctorPoint("pywin32", FAIL, "pywin32 cannot be imported", "Run `py -m pip install pywin32`.")


def _account(facts: HostFacts) -> DoctorPoint:
    who = facts.account or facts.account_sid or "unknown"
    if facts.account_sid in _SYSTEM_ACCOUNTS:
        found_text = f"runs as {_SYSTEM_ACCOUNTS[facts.account_sid]}, which has no mail profile"
        return DoctorPoint(
            "service account",
            FAIL,
            found_text,
            "Install the service with `--account DOMAIN\\user`, whose profile it is.",
        )
    if facts.service_account and _user(facts.service_account) != _user(facts.account):
        found_text = f"this is {who}, the service runs as {facts.service_account}: profiles belong to an account"
        return DoctorPoint(
            "service account",
            WARNING,
            found_text,
            f"Run doctor as {facts.service_account}, or ask the service for its report.",
        )
    return DoctorPoint("service account", OK, f"runs as {who}")


def _others(programs: Sequence[str]) -> DoctorPoint:
    running = sorted({OTHER_CLIENTS[name.lower()] for name in programs if OTHER_CLIENTS.get(name.lower())})
    if not running:
        return DoctorPoint("other mail clients", OK, "none is running")
    found_text = f"running: {', '.join(running)}"
    return DoctorPoint(
        "other mail clients",
        WARNING,
        found_text,
        "Close it and keep it from starting: no other MAPI client may run on this host.",
    )


def _spool(facts: HostFacts) -> DoctorPoint:
    if facts.spool_trouble:
        return DoctorPoint("spool", FAIL, f"cannot be written to: {facts.spool_trouble}", "Make room on its disk.")
    if facts.spool_kept:
        found_text = f"was damaged and replaced by a new one; the old one is kept as {facts.spool_kept}"
        return DoctorPoint("spool", WARNING, found_text, "Check the disk, then delete the old one.")
    return DoctorPoint("spool", OK, "can be written to")


def _profile(profile: str, found: Mapping[str, Any]) -> DoctorPoint:
    names = [str(name) for name in found.get("profiles") or ()]
    make = "Make it in Control Panel, Mail, while logged on as the service's account."
    if not profile:
        return DoctorPoint("profile", FAIL, "no profile is named", "Install with `--profile NAME`.")
    if not names and "profiles" not in found:
        return DoctorPoint("profile", FAIL, "the list of profiles could not be read", 'See the point "logon".')
    if profile.lower() not in {name.lower() for name in names}:
        return DoctorPoint("profile", FAIL, f'"{profile}" is not there; there are: {", ".join(names) or "none"}', make)
    return DoctorPoint("profile", OK, f'"{profile}" is there')


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


def _online(found: Mapping[str, Any]) -> DoctorPoint:
    if not found.get("submits", True):
        return DoctorPoint(
            "store",
            FAIL,
            "the default store cannot submit messages",
            "Make the Exchange mailbox the default data file.",
        )
    if found["online"]:
        return DoctorPoint("store", OK, "opened online, without a cache, so the Outbox shows what really left")
    return DoctorPoint(
        "store",
        WARNING,
        "it has no online mode: the Outbox shows what left the cache",
        "Switch cached mode off for this account.",
    )


def _test_message(when: str) -> DoctorPoint:
    if when:
        return DoctorPoint("test message", OK, f"the last message left at {when}")
    return DoctorPoint(
        "test message", WARNING, "none has left yet", "Run `send-test ADDRESS`, and check that it arrives."
    )


def _outcome(settings: MailSettings, verdict: RelayVerdict) -> RelayOutcome | None:
    found: Mapping[str, Any] = verdict.evidence.get("found") or {}
    if verdict.outcome != EXAMINED:
        return RelayOutcome(verdict.outcome)
    providers = [check.Provider(**row) for row in found.get("providers") or ()]
    if not found.get("simple") and not settings.use_spooler and not check.tightness(providers)[0]:
        return RelayOutcome.NOT_TIGHT
    return RelayOutcome.LOGON_FAILED if found.get("logon") != "ok" else None


def _user(account: str) -> str:
    return account.replace("/", "\\").rsplit("\\", 1)[-1].split("@")[0].lower()
