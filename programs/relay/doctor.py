"""Examines this host: each thing that sending over MAPI from a service needs, one line each, with what to do about it.

Reads the profile in a child, as the relay's own process never loads MAPI. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from programs.relay import profile_check as check
from programs.relay.conversation import Order
from programs.relay.mail_clients import CLIENTS_KEY, Choice, NoChoice, choose, forbidden, is_loadable
from programs.relay.outcomes import EXAMINED, Outcome, Verdict
from programs.relay.registry import CLIENTS, OUR_KEY, SPOOLER, Hive, MailSettings, read_settings

OK, WARNING, FAIL = "ok", "warning", "fail"
_SYSTEM_ACCOUNTS = {"S-1-5-18": "LocalSystem", "S-1-5-19": "LocalService", "S-1-5-20": "NetworkService"}
# Programs that use MAPI, or offer it; a second one on the host can hold the profile, or the mail.
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
class Line:
    """One point that was looked at. `state`: ok, warning or fail; `remedy` is empty where all is well."""

    point: str
    state: str
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """All points. `outcome` is what sending would end in as things are, None if nothing fails."""

    lines: tuple[Line, ...]
    outcome: Outcome | None = None

    @property
    def is_failing(self) -> bool:
        """Say whether the relay must pause."""
        return any(line.state == FAIL for line in self.lines)

    def as_json(self) -> dict[str, Any]:
        """Give the shape that the service shows."""
        return {"outcome": self.outcome.value if self.outcome else None, "lines": [asdict(line) for line in self.lines]}


@dataclass(frozen=True)
class Surroundings:
    """What the parent knows of its host. Empty texts: not known.

    `test_message`: when a message last left, in words. `spool_trouble`: why the spool cannot be written to, empty if it can;
    `spool_kept`: the name of one that was damaged and lies beside it.
    """

    account: str = ""
    account_sid: str = ""
    service_account: str = ""  # of the installed service; may be another than ours when an admin runs doctor by hand
    programs: Sequence[str] = ()  # names of the programs that run on the host
    mapi_binding: str = ""  # pywin32's version
    test_message: str = ""
    spool_trouble: str = ""
    spool_kept: str = ""


def examine(hive: Hive, profile: str, around: Surroundings, run_child: Callable[[Order], Verdict]) -> Report:
    """Examine all. `run_child` runs one child in mode `doctor` and gives its verdict (programs.relay.watch.watch)."""
    settings = read_settings(hive)
    choice = choose(settings, hive)
    lines = [_smtp(), *_list(settings), _client(choice), _bitness(choice), _spooler(settings), _binding(around)]
    lines += [_account(around), _others(around.programs), _spool(around)]
    outcome = choice.outcome if isinstance(choice, NoChoice) else None
    if isinstance(choice, Choice) and around.mapi_binding:
        order = Order(mode="doctor", profile=profile, client=choice.as_json(), use_spooler=settings.use_spooler)
        verdict = run_child(order)
        lines += profile_lines(profile, settings, verdict)
        outcome = _outcome(settings, verdict)
    else:
        lines.append(
            Line("profile", FAIL, "not looked at: there is no mail client to look with", "Mend the points above first.")
        )
    lines.append(_test_message(around.test_message))
    return Report(tuple(lines), outcome if any(line.state == FAIL for line in lines) else None)


def profile_lines(profile: str, settings: MailSettings, verdict: Verdict) -> list[Line]:
    """Judge what a child found in the profile. Findings told before a hang or a dialog count."""
    found: Mapping[str, Any] = verdict.evidence.get("found") or {}
    lines = []
    if found.get("simple"):
        words = 'this client offers Simple MAPI only: no profile to examine, and no proof beyond "handed to the client"'
        lines.append(Line("profile", WARNING, words, "Prefer a client with Extended MAPI (DLLPathEx), or SMTP."))
    else:
        lines.append(_profile(profile, found))
        if "providers" in found:
            lines += _pair(settings, [check.Provider(**row) for row in found["providers"]])
    lines.append(_logon(found, verdict))
    if "online" in found:
        lines.append(_online(found))
    return lines


def _smtp() -> Line:
    return Line("smtp", OK, "SMTP is recommended and stays the fallback; MAPI is for hosts where only MAPI may send")


def _list(settings: MailSettings) -> list[Line]:
    if not settings.clients:
        remedy = f'Run `--set {CLIENTS}="Microsoft Outlook"`.'
        return [Line("supported clients", FAIL, f"{CLIENTS} is not set or empty", remedy)]
    words = f"{'; '.join(settings.clients)} (from {settings.clients_from})"
    never = [f"{name}: {why}" for name in settings.clients if (why := forbidden(name))]
    if never:
        return [
            Line("supported clients", WARNING, f"{words}; never used: {'; '.join(never)}", f"Take it off {CLIENTS}.")
        ]
    return [Line("supported clients", OK, words)]


def _client(choice: Choice | NoChoice) -> Line:
    if isinstance(choice, NoChoice):
        return Line(
            "mail client", FAIL, choice.reason, "Install Microsoft Outlook (not the new Outlook), or send by SMTP."
        )
    words = f"{choice.name}: {choice.reason}; {choice.kind} MAPI, {choice.dll}"
    if choice.kind == "extended" and not is_loadable(choice.as_json()):
        remedy = f"Make {choice.name} the host's default mail client (HKLM\\{CLIENTS_KEY}, default value)."
        return Line("mail client", FAIL, f"{words}; pywin32 would load the host's default client instead", remedy)
    return Line("mail client", OK, words)


def _bitness(choice: Choice | NoChoice) -> Line:
    if isinstance(choice, Choice):
        return Line("bitness", OK, f"client and Python are {choice.machine}")
    if choice.outcome == Outcome.BITNESS:
        return Line("bitness", FAIL, choice.reason, "Install the relay again with a Python of the client's bitness.")
    return Line("bitness", WARNING, "not compared: there is no mail client", "Mend the mail client first.")


def _spooler(settings: MailSettings) -> Line:
    if not settings.use_spooler:
        return Line("spooler", OK, "the MAPI spooler is not used")
    words = f"{SPOOLER} is set (in {settings.spooler_from}): THE MAPI SPOOLER IS USED. A service must not; mail can stay in the Outbox for ever"
    remedy = f"Run `--set {SPOOLER}=0` (it writes HKLM\\{OUR_KEY}, which goes before the old key) and use a tight profile, or SMTP."
    return Line("spooler", WARNING, words, remedy)


def _binding(around: Surroundings) -> Line:
    if around.mapi_binding:
        return Line("pywin32", OK, around.mapi_binding)
    return Line("pywin32", FAIL, "pywin32 cannot be imported", "Run `py -m pip install pywin32`.")


def _account(around: Surroundings) -> Line:
    who = around.account or around.account_sid or "unknown"
    if around.account_sid in _SYSTEM_ACCOUNTS:
        words = f"runs as {_SYSTEM_ACCOUNTS[around.account_sid]}, which has no mail profile"
        return Line(
            "service account", FAIL, words, "Install the service with `--account DOMAIN\\user`, whose profile it is."
        )
    if around.service_account and _user(around.service_account) != _user(around.account):
        words = f"this is {who}, the service runs as {around.service_account}: profiles belong to an account"
        return Line(
            "service account",
            WARNING,
            words,
            f"Run doctor as {around.service_account}, or ask the service for its report.",
        )
    return Line("service account", OK, f"runs as {who}")


def _others(programs: Sequence[str]) -> Line:
    running = sorted({OTHER_CLIENTS[name.lower()] for name in programs if OTHER_CLIENTS.get(name.lower())})
    if not running:
        return Line("other mail clients", OK, "none is running")
    words = f"running: {', '.join(running)}"
    return Line(
        "other mail clients",
        WARNING,
        words,
        "Close it and keep it from starting: no other MAPI client may run on this host.",
    )


def _spool(around: Surroundings) -> Line:
    if around.spool_trouble:
        return Line("spool", FAIL, f"cannot be written to: {around.spool_trouble}", "Make room on its disk.")
    if around.spool_kept:
        words = f"was found damaged, and begun anew; the old one is kept as {around.spool_kept}"
        return Line("spool", WARNING, words, "Look after the disk, then delete the old one.")
    return Line("spool", OK, "can be written to")


def _profile(profile: str, found: Mapping[str, Any]) -> Line:
    names = [str(name) for name in found.get("profiles") or ()]
    make = "Make it in Control Panel, Mail, while logged on as the service's account."
    if not profile:
        return Line("profile", FAIL, "no profile is named", "Install with `--profile NAME`.")
    if not names and "profiles" not in found:
        return Line("profile", FAIL, "the list of profiles could not be read", 'See the point "logon".')
    if profile.lower() not in {name.lower() for name in names}:
        return Line("profile", FAIL, f'"{profile}" is not there; there are: {", ".join(names) or "none"}', make)
    return Line("profile", OK, f'"{profile}" is there')


def _pair(settings: MailSettings, providers: Sequence[check.Provider]) -> list[Line]:
    store, order = check.default_store(providers), check.transports(providers)
    books = check.address_books(providers)
    is_tight, why = check.tightness(providers)
    state = OK if is_tight else WARNING if settings.use_spooler else FAIL
    remedy = (
        "" if is_tight else "Use a profile with one Exchange account as the default store and first transport, or SMTP."
    )
    lines = [Line("tight pair", state, why, remedy)]
    if store is None:
        lines.append(Line("default store", FAIL, "none", "Make the Exchange mailbox the default data file."))
    elif store.is_exchange and store.store in ("", check.EXCHANGE_PRIVATE_STORE):
        lines.append(Line("default store", OK, f'"{store.name}" ({store.service})'))
    else:
        words = f'"{store.name}" ({store.service}) is not Exchange\'s private store'
        lines.append(Line("default store", WARNING, words, "Make the Exchange mailbox the default data file."))
    names = ", ".join(f'"{one.name}" ({one.service})' for one in order) or "none"
    first = bool(order) and store is not None and order[0].service_uid == store.service_uid
    lines.append(
        Line(
            "transport order", OK if first else state, names, "" if first else "Move the store's transport to the top."
        )
    )
    if books:
        lines.append(Line("address book", OK, ", ".join(f'"{one.name}"' for one in books)))
    else:
        lines.append(Line("address book", WARNING, "the profile has none", "Add an address book to the profile."))
    return lines


def _logon(found: Mapping[str, Any], verdict: Verdict) -> Line:
    if found.get("logon") == "ok":
        return Line("logon", OK, f"without a dialog, in {verdict.evidence.get('seconds', 0)} s with the child's start")
    remedies = {
        Outcome.NEEDS_UI: "Log on as the service's account, open the client with this profile and answer what it asks, for good.",
        Outcome.TIMEOUT: "Open the client by hand with this profile: what it waits for shows there.",
        Outcome.PROFILE_MISSING: "Make the profile while logged on as the service's account.",
        Outcome.LOGON_FAILED: "Check the account's password and its right to the mailbox.",
        Outcome.INCOMPATIBLE_CLIENT: "Make the chosen client the host's default mail client, or repair it.",
    }
    remedy = (
        remedies.get(Outcome(verdict.outcome), "Try again; if it stays, open the client by hand.")
        if verdict.outcome != EXAMINED
        else ""
    )
    return Line("logon", FAIL, verdict.reason, remedy)


def _online(found: Mapping[str, Any]) -> Line:
    if not found.get("submits", True):
        return Line(
            "store",
            FAIL,
            "the default store cannot submit messages",
            "Make the Exchange mailbox the default data file.",
        )
    if found["online"]:
        return Line("store", OK, "opened online, past any cache, so the Outbox shows what really left")
    return Line(
        "store",
        WARNING,
        "it has no online mode: the Outbox shows what left the cache",
        "Switch cached mode off for this account.",
    )


def _test_message(when: str) -> Line:
    if when:
        return Line("test message", OK, f"the last message left at {when}")
    return Line("test message", WARNING, "none has left yet", "Run `send-test ADDRESS`, and look whether it arrives.")


def _outcome(settings: MailSettings, verdict: Verdict) -> Outcome | None:
    found: Mapping[str, Any] = verdict.evidence.get("found") or {}
    if verdict.outcome != EXAMINED:
        return Outcome(verdict.outcome)
    providers = [check.Provider(**row) for row in found.get("providers") or ()]
    if not found.get("simple") and not settings.use_spooler and not check.tightness(providers)[0]:
        return Outcome.NOT_TIGHT
    return Outcome.LOGON_FAILED if found.get("logon") != "ok" else None


def _user(account: str) -> str:
    return account.replace("/", "\\").rsplit("\\", 1)[-1].split("@")[0].lower()
