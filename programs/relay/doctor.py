"""Examine this host: a question and its answer for each thing that sending over MAPI from a service needs, with what to do about it.

The profile is read in a child, as the relay's own process never loads MAPI. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from programs.protocol.relay import DoctorPoint
from programs.relay import profile_check as check
from programs.relay.conversation import ChildOrder
from programs.relay.host_facts import HostFacts
from programs.relay.mail_clients import ClientChoice, NoUsableClient, choose_client, never_used_because
from programs.relay.outcomes import EXAMINED, RelayOutcome, RelayVerdict
from programs.relay.registry import CLIENTS, OUR_KEY, SPOOLER, MailSettings, RegistryHive, read_settings

OK, WARNING, FAIL = "ok", "warning", "fail"
# The stable name of each point, for machines, and its question, for people who do not know the terms of MAPI.
QUESTIONS = {
    "smtp": "Could SMTP send these mails instead?",
    "supported clients": "Which mail programs may be used?",
    "mail client": "Which of them can send without a window?",
    "bitness": "Can this Python load that mail program?",
    "spooler": "Does mail go directly to Exchange, without the MAPI spooler?",
    "pywin32": "Is the library for MAPI installed?",
    "service account": "Which account runs this check?",
    "other mail clients": "Is the relay the only mail program that runs on this host?",
    "spool": "Can this host's disk keep messages until they have left?",
    "profile": "Does the mail profile exist?",
    "tight pair": "Will mail leave without Outlook open?",
    "default store": "Is the Exchange mailbox the profile's default?",
    "transport order": "Is Exchange the first to take the mail?",
    "address book": "Does the profile have an address book?",
    "logon": "Can the relay log on without a window?",
    "store": "Can the mailbox send, and show what has left?",
    "characters": "Can the mailbox keep every character?",
    "test message": "Has a mail left this host before?",
}
_DEFAULT_STORE = "Make the Exchange mailbox the default data file."
_SYSTEM_ACCOUNTS = {"S-1-5-18": "LocalSystem", "S-1-5-19": "LocalService", "S-1-5-20": "NetworkService"}
# Programs that use MAPI. A second one on the host can lock the profile, keep the mail, or open a window that nobody answers.
OTHER_CLIENTS = {
    "outlook.exe": "Outlook",
    "msimn.exe": "Outlook Express",
    "winmail.exe": "Windows Mail",
    "wlmail.exe": "Windows Live Mail",
    "thunderbird.exe": "Thunderbird",
    "emclient.exe": "eM Client",
    "lync.exe": "Skype for Business",
    "ucmapi.exe": "Skype for Business",
    "nlnotes.exe": "Notes",
    "grpwise.exe": "GroupWise",
    "scanpst.exe": "the repair tool for data files",
}


@dataclass(frozen=True)
class DoctorReport:
    """All points. `outcome` is how sending a message would end now, None if nothing fails. `unusable`: mail programs that could not be used.

    `looked_as` is the account that ran the check; unless `is_service_account`, the report is not valid for the service.
    """

    lines: tuple[DoctorPoint, ...]
    outcome: RelayOutcome | None = None
    unusable: Mapping[str, str] = field(default_factory=dict)
    looked_as: str = ""
    is_service_account: bool = True

    @property
    def is_failing(self) -> bool:
        """Whether the relay must pause."""
        return any(line.state == FAIL for line in self.lines)

    @property
    def conclusion(self) -> str:
        """The last line for people: whether the relay can send, or that this account cannot know."""
        if not self.is_service_account:
            return f"This check ran as {self.looked_as}, which has other mail profiles than the service: this report is not valid for the service."
        failing = sum(line.state == FAIL for line in self.lines)
        return f"{failing} point(s) prevent the relay from sending." if failing else "The relay can send."

    def as_json(self) -> dict[str, Any]:
        """Return what `doctor --json` prints."""
        return {
            "outcome": self.outcome.value if self.outcome else None,
            "looked_as": self.looked_as,
            "is_service_account": self.is_service_account,
            "conclusion": self.conclusion,
            "lines": [{"point" if key == "name" else key: value for key, value in vars(line).items()} for line in self.lines],
        }  # fmt: skip


def examine(
    hive: RegistryHive, profile: str, facts: HostFacts, run_child: Callable[[ChildOrder], RelayVerdict]
) -> DoctorReport:
    """Examine everything. `run_child` runs one child in mode `doctor` and returns its verdict (programs.relay.watch.watch).

    A mail program that opens a window or cannot be loaded is passed over for the next one on the list, if there is one.
    """
    settings = read_settings(hive)
    tried: list[tuple[ClientChoice, RelayVerdict]] = []
    unusable: dict[str, str] = {}
    choice = choose_client(settings, hive)
    while isinstance(choice, ClientChoice) and facts.mapi_binding:
        order = ChildOrder(mode="doctor", profile=profile, client=choice.as_json(), use_spooler=settings.use_spooler)
        verdict = run_child(order)
        tried.append((choice, verdict))
        if verdict.outcome not in (RelayOutcome.NEEDS_UI, RelayOutcome.INCOMPATIBLE_CLIENT):
            break
        unusable[choice.name] = verdict.reason
        choice = choose_client(settings, hive, unusable=unusable)
    if tried and isinstance(choice, NoUsableClient):
        choice, unusable = tried[0][0], {}  # none works: the first is what there is to mend

    advice = (
        "Prefer SMTP if you can use it: it is simpler, and its proof is better. SMTP can also send what MAPI cannot."
    )
    lines = [_point("smtp", OK, advice), *_client_points(settings, choice), *_host_points(facts)]
    outcome = choice.outcome if isinstance(choice, NoUsableClient) else None
    if tried:
        verdict = next(verdict for client, verdict in tried if client.name == getattr(choice, "name", ""))
        lines += profile_lines(profile, settings, verdict)
        outcome = _outcome_of(settings, verdict)
    else:
        found = "Not checked: there is no mail program that can open the profile"
        lines.append(_point("profile", FAIL, found, "Correct the points above first."))
    yes = f"Yes: the last one left at {facts.test_message}" if facts.test_message else ""
    lines.append(
        _judged("test message", yes, "Not yet", "Run `send-test ADDRESS`, and check that it arrives.", WARNING)
    )
    is_failing = any(line.state == FAIL for line in lines)
    looked_as = facts.account or facts.account_sid or "an unknown account"
    return DoctorReport(
        tuple(lines), outcome if is_failing else None, unusable, looked_as, is_service_account=facts.is_service_account
    )


def look_again(report: DoctorReport, programs: Sequence[str]) -> DoctorReport:
    """Return the report with the present answer about other mail programs; the same report if that has not changed."""
    now = _other_clients(programs)
    lines = tuple(now if line.name == now.name else line for line in report.lines)
    return report if lines == report.lines else replace(report, lines=lines)


def _point(name: str, state: str, found: str, remedy: str = "") -> DoctorPoint:
    return DoctorPoint(name, state, found, remedy, QUESTIONS[name])


def _judged(name: str, yes: str, no: str, remedy: str, state: str = FAIL) -> DoctorPoint:
    """Return a point with the answer `yes`, or, if that is empty, with the answer `no`, what to do about it, and `state`."""
    return _point(name, OK, yes) if yes else _point(name, state, no, remedy)


def _outcome_of(settings: MailSettings, verdict: RelayVerdict) -> RelayOutcome | None:
    """Return what sending would end in by the verdict of a child that looked."""
    found: Mapping[str, Any] = verdict.evidence.get("found") or {}
    if verdict.outcome != EXAMINED:
        return RelayOutcome(verdict.outcome)
    is_tight = check.tightness([check.Provider(**row) for row in found.get("providers") or ()])[0]
    if not is_tight and not settings.use_spooler:
        return RelayOutcome.NOT_TIGHT
    return None if found.get("logon") == "ok" else RelayOutcome.LOGON_FAILED


def profile_lines(profile: str, settings: MailSettings, verdict: RelayVerdict) -> list[DoctorPoint]:
    """Judge what a child found in the profile. Findings that it sent before a hang or a dialog count."""
    found: Mapping[str, Any] = verdict.evidence.get("found") or {}
    names = [str(name) for name in found.get("profiles") or ()]
    lines = []
    if not profile:
        lines.append(_point("profile", FAIL, "No: no profile is configured", "Install with `--profile NAME`."))
    elif not names and "profiles" not in found:
        text = "Not known: the list of profiles could not be read"
        lines.append(_point("profile", FAIL, text, f'See "{QUESTIONS["logon"]}".'))
    elif profile.lower() not in {name.lower() for name in names}:
        text = f'No: "{profile}" does not exist. These exist: {", ".join(names) or "none"}'
        remedy = "Create it in Control Panel, Mail, while logged on as the service's account."
        lines.append(_point("profile", FAIL, text, remedy))
    else:
        lines.append(_point("profile", OK, f'Yes: "{profile}"'))
    if "providers" in found:
        lines += _pair(settings, [check.Provider(**row) for row in found["providers"]])
    lines.append(_logon(found, verdict))
    if "online" not in found:
        return lines
    if found.get("submits", True):
        yes = "Yes: it can send, and shows the state on the server" if found["online"] else ""
        no = "It can send, but shows only the copy on this host (cached mode): a mail that left the copy may still not be on the server"
        lines.append(_judged("store", yes, no, "Switch off cached mode for this account.", WARNING))
    else:
        lines.append(_point("store", FAIL, "No: the default mailbox cannot send", _DEFAULT_STORE))
    yes = "Yes: the mailbox keeps Unicode" if found.get("unicode", True) else ""
    no = "No: the mailbox keeps only the characters of this host's code page, and replaces all others by question marks"
    remedy = (
        "Use a Unicode mailbox. Until then, mails that would lose characters go by the next transport, if there is one."
    )
    return [*lines, _judged("characters", yes, no, remedy, WARNING)]


def _client_points(settings: MailSettings, choice: ClientChoice | NoUsableClient) -> list[DoctorPoint]:
    """Judge the administrator's settings and the mail client that they lead to."""
    lines = []
    listed = f"{'; '.join(settings.clients)} (from {settings.clients_from})"
    never = [f"{name}: {why}" for name in settings.clients if (why := never_used_because(name))]
    if not settings.clients:
        remedy = f'Run `--set {CLIENTS}="Microsoft Outlook"`.'
        lines.append(_point("supported clients", FAIL, f"None: {CLIENTS} is not set or empty", remedy))
    elif never:
        text = f"{listed}; never used: {'; '.join(never)}"
        lines.append(_point("supported clients", WARNING, text, f"Remove it from {CLIENTS}."))
    else:
        lines.append(_point("supported clients", OK, listed))

    if isinstance(choice, NoUsableClient):
        remedy = "Install Microsoft Outlook (not the new Outlook), or send by SMTP; until then messages go by the next transport."
        lines.append(_point("mail client", FAIL, f"None: {choice.reason}", remedy))
        is_bitness = choice.outcome == RelayOutcome.BITNESS
        text = f"No: {choice.reason}" if is_bitness else "Not compared: there is no mail program"
        remedy = "Install the relay again with that Python." if is_bitness else "Correct the mail program first."
        lines.append(_point("bitness", FAIL if is_bitness else WARNING, text, remedy))
    else:
        lines.append(_point("mail client", OK, f"{choice.name}: {choice.reason}; {choice.dll}"))
        lines.append(_point("bitness", OK, f"Yes: both are {choice.machine}"))

    yes = "" if settings.use_spooler else "Yes: the MAPI spooler, which a service must not use, is not used"
    no = (
        f"No: {SPOOLER} is set (in {settings.spooler_from}), so THE MAPI SPOOLER IS USED. A service must not: mail can stay in the "
        "Outbox forever. What the spooler takes counts as `handed_over`, not as sent, and alerts go by the next transport, too"
    )
    remedy = f"Run `--set {SPOOLER}=0` (it writes HKLM\\{OUR_KEY}, which overrides the old key) and use an Exchange profile, or SMTP."
    return [*lines, _judged("spooler", yes, no, remedy, WARNING)]


def _host_points(facts: HostFacts) -> list[DoctorPoint]:
    """Judge pywin32, the account, other programs with MAPI, and the spool."""
    yes = f"Yes: {facts.mapi_binding}" if facts.mapi_binding else ""
    lines = [_judged("pywin32", yes, "No: pywin32 cannot be imported", "Run `py -m pip install pywin32`.")]
    who = facts.account or facts.account_sid or "an unknown account"
    if facts.account_sid in _SYSTEM_ACCOUNTS:
        text = f"{_SYSTEM_ACCOUNTS[facts.account_sid]}, which has no mail profile"
        remedy = "Install the service with `--account DOMAIN\\user`, an account that has a mail profile."
        lines.append(_point("service account", FAIL, text, remedy))
    else:
        yes = f"{who}, which is the account of the service" if facts.is_service_account else ""
        no = f"{who}, but the service runs as {facts.service_account}. Each account has its own profiles: this report is not valid for the service"
        remedy = f"Run doctor as {facts.service_account}, or ask the service for its report."
        lines.append(_judged("service account", yes, no, remedy, WARNING))
    lines.append(_other_clients(facts.programs))

    if facts.spool_trouble:
        lines.append(_point("spool", FAIL, f"No: {facts.spool_trouble}", "Free space on its disk."))
    else:
        yes = "" if facts.spool_kept else "Yes"
        no = f"Yes, but the spool was damaged and replaced by a new one; the old one is kept as {facts.spool_kept}"
        lines.append(_judged("spool", yes, no, "Check the disk, then delete the old one.", WARNING))
    return lines


def _other_clients(programs: Sequence[str]) -> DoctorPoint:
    running = sorted({OTHER_CLIENTS[name.lower()] for name in programs if name.lower() in OTHER_CLIENTS})
    remedy = "Close it and prevent it from starting: no other program with MAPI may run on this host."
    yes = "" if running else "Yes: no other mail program is running"
    return _judged("other mail clients", yes, f"No: {', '.join(running)} is running", remedy, WARNING)


def _pair(settings: MailSettings, providers: Sequence[check.Provider]) -> list[DoctorPoint]:
    store, order = check.default_store(providers), check.transports(providers)
    is_tight, why = check.tightness(providers)
    state = WARNING if settings.use_spooler else FAIL
    remedy = "Use a profile with one Exchange account as the default store and first transport, or SMTP."
    lines = [_judged("tight pair", f"Yes: {why}" if is_tight else "", f"No: {why}", remedy, state)]
    named = "the profile has no default" if store is None else f'"{store.name}" ({store.service})'
    yes = f"Yes: {named}" if store and store.is_exchange and store.store in ("", check.EXCHANGE_PRIVATE_STORE) else ""
    lines.append(_judged("default store", yes, f"No: {named}", _DEFAULT_STORE, WARNING if store else FAIL))
    names = ", ".join(f'"{provider.name}" ({provider.service})' for provider in order) or "none"
    yes = f"Yes: {names}" if order and store and order[0].service_uid == store.service_uid else ""
    lines.append(_judged("transport order", yes, f"No: {names}", "Move the mailbox's own transport to the top.", state))
    books = ", ".join(f'"{provider.name}"' for provider in check.address_books(providers))
    yes = f"Yes: {books}" if books else ""
    return [*lines, _judged("address book", yes, "No", "Add an address book to the profile.", WARNING)]


def _logon(found: Mapping[str, Any], verdict: RelayVerdict) -> DoctorPoint:
    if found.get("logon") == "ok":
        return _point("logon", OK, f"Yes: in {verdict.evidence.get('seconds', 0)} s, with the start of its process")
    remedies = {
        RelayOutcome.NEEDS_UI: "Log on as the service's account, open the mail program with this profile and answer its question permanently.",
        RelayOutcome.TIMEOUT: "Open the mail program by hand with this profile: it shows what it waits for.",
        RelayOutcome.PROFILE_MISSING: "Create the profile while logged on as the service's account.",
        RelayOutcome.LOGON_FAILED: "Check the account's password and its right to the mailbox.",
        RelayOutcome.INCOMPATIBLE_CLIENT: "Make the chosen mail program the default mail program of this host, or repair it.",
    }
    again = "Try again; if it fails again, open the mail program by hand."
    remedy = "" if verdict.outcome == EXAMINED else remedies.get(RelayOutcome(verdict.outcome), again)
    return _point("logon", FAIL, f"No: {verdict.reason}", remedy)
