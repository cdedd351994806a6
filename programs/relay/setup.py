"""`tocsin-relay setup`: sets up a new host step by step, until the relay has sent a test message. Each step prints one line.

It can be run again: it uses what exists already. Doctor and test are run by the service and requested through Tocsin, because the
administrator who runs this has other mail profiles than the relay.
"""

from __future__ import annotations

import contextlib
import getpass
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

from programs.protocol.http_client import BadAddress, KeyRejected, NoAnswer
from programs.protocol.relay import CheckAnswer, DoctorPoint
from programs.relay import settings as relay_settings
from programs.relay import windows_service
from programs.relay.client import RelayClient
from programs.relay.mail_clients import NoUsableClient, choose_client
from programs.relay.outcomes import RelayOutcome
from programs.relay.registry import read_settings, set_up, this_registry
from programs.relay.windows_accounts import (
    AccountRefused,
    NotChecked,
    Profiles,
    let_log_on_as_service,
    logged_on,
    profiles_of,
    sid_of,
)
from programs.relay.windows_calls import has_console, is_administrator, is_windows

T = TypeVar("T")
_DOCTOR_S, _TEST_S, _LOOK_EVERY_S = 180.0, 240.0, 2.0
_SETTLED = ("sent", "bounced", "dead", "moved")
_NO_CONNECTION = "Is the address right? Does a firewall block it? This host must reach Tocsin; Tocsin does not have to reach this host"
_TRUST = (
    "Import the certificate of your own authority into this computer's Trusted Root Certification Authorities, or pass its file: "
    "--ca FILE. If the name is wrong, use the one in the certificate"
)
_REMEDIES = (
    ("CERTIFICATE_VERIFY_FAILED", _TRUST),
    ("answered 404", "Is this the address of Tocsin, and does Tocsin have at least the version of this relay?"),
    ("answered 409", "Call POST /v1/relays/{id}:resume, so that the relay sends again"),
    ("answered", "The code and the address are in the answer of POST /v1/relays"),
)


class SetupFailed(Exception):
    """A step failed. The text says why, and what to do before `setup` is run again."""


@dataclass(frozen=True)
class SetupAnswers:
    """What was given as options. A field that is None is asked for, if there is a console. `test_to` "": no test message."""

    server: str | None = None
    code: str | None = None
    account: str | None = None
    password: str | None = None
    profile: str | None = None
    test_to: str | None = None
    ca: str | None = None


class RelaySetup:
    """One run of it in the relay's folder. `command` starts the relay's program; `say` shows a line."""

    def __init__(self, folder: Path, answers: SetupAnswers, command: list[str], say: Callable[[str], None]) -> None:
        self._folder, self._answers, self._command, self._say = folder, answers, command, say
        self._settings, self._key, self._clients = relay_settings.RelaySettings("", ""), "", contextlib.ExitStack()
        with contextlib.suppress(relay_settings.NotInstalled):
            self._settings, self._key = relay_settings.load(folder)

    def run(self) -> None:
        """Do all steps. Raises SetupFailed."""
        if not is_administrator():
            raise SetupFailed("PowerShell has no administrator rights here: open it with `Run as administrator`")
        with self._clients:
            service = self._connect()
            if not is_windows():
                self._say("--   The rest (account, profile, service, test message) was left out: it needs Windows.")
                return
            self._find_mail_client()
            started_at = self._start(*self._choose_account())
            self._examine(service, started_at)
            self._test(service)
        self._say("Done. Now add `mapi` to the transports of your recipients (docs/mapi.md).")

    def _connect(self) -> RelayClient:
        """Reach the service: by the code, if one was given, else by the key of this host, else by the code that is asked for.

        A code that is refused is passed over if this host has a key: the line of an interrupted set-up is pasted again as it is.
        """
        server = self._ask(self._answers.server, "--server", "Address of the service", self._settings.server)
        ca = self._settings.ca_file if self._answers.ca is None else self._answers.ca
        self._settings = replace(self._settings, server=server, ca_file=str(Path(ca).resolve()) if ca else "")
        with _failing_as("Service", server):
            refused = None
            if self._answers.code:
                try:
                    return self._exchange(self._answers.code)
                except KeyRejected as cause:
                    refused = cause
            if self._key:
                service = self._client(self._key)
                try:
                    name = service.check().relay
                except KeyRejected:
                    self._say("--   Service: it does not accept the key of this host any more.")
                else:
                    self._save()
                    used = " The code was passed over: it was used before, or is wrong." if refused else ""
                    self._say(f'ok   Service: {server} knows this host as relay "{name}".{used}')
                    return service
            if refused:
                raise refused
            return self._exchange(self._ask(None, "--code", "One-time code of the relay"))

    def _exchange(self, code: str) -> RelayClient:
        """Exchange the code for this host's key."""
        server = self._settings.server
        granted = self._client("").set_up(code, socket.gethostname()[:200] or "?")
        self._key = granted.key
        self._save()  # at once: the code is used up
        how = "over TLS, its certificate is valid" if server.startswith("https:") else "on this host, without TLS"
        self._say(f'ok   Service: {server}, {how}. This host is relay "{granted.relay}"; its key is stored.')
        return self._client(self._key)

    def _client(self, key: str) -> RelayClient:
        client = RelayClient(self._settings.server, key, self._settings.ca_file)
        return self._clients.enter_context(contextlib.closing(client))

    def _find_mail_client(self) -> None:
        registry = this_registry()
        set_up(registry)
        chosen = choose_client(read_settings(registry), registry)
        if not isinstance(chosen, NoUsableClient):
            self._say(f"ok   Mail client: {chosen.name}, {chosen.machine}.")
        elif chosen.outcome == RelayOutcome.BITNESS:
            other = "x86" if struct.calcsize("P") == 8 else "x64"  # noqa: PLR2004  (bytes of a 64-bit pointer)
            raise SetupFailed(f"Mail client: {chosen.reason}. tocsin-relay-{other}.msi has it, and replaces this one")
        else:
            remedy = "Install classic Outlook (the new one has no MAPI), or send by SMTP or Microsoft Graph"
            raise SetupFailed(f"Mail client: {chosen.reason}. {remedy}")

    def _choose_account(self) -> tuple[str | None, str]:
        """Settle the account and its profile. Return it with its password; None if the installed service has both already."""
        known = self._settings.account
        account = self._ask(self._answers.account, "--account", "Account of the service, DOMAIN\\user", known)
        account = windows_service.full_account(account)
        token, is_managed = None, account.endswith("$")
        with _failing_as("Account", account), contextlib.ExitStack() as stack:
            windows_service.check_account(account)
            sid = sid_of(account)
            password = self._answers.password or relay_settings.from_environment("PASSWORD")
            is_kept = not password and windows_service.account().lower() == account.lower()
            if not password and not is_kept and not is_managed:
                question = f"Password of {account}"
                password = self._ask(None, "TOCSIN_RELAY_PASSWORD", question, read=getpass.getpass)
            try:
                let_log_on_as_service(account)
                self._say(f'ok   Right: {account} may "Log on as a service".')
            except NotChecked as missing:
                self._say(f"--   Right: not set: {missing}. On Windows, secpol.msc sets it.")
            try:
                if is_kept or is_managed:
                    raise NotChecked("Windows manages it" if is_managed else "the service keeps the one it has")  # noqa: TRY301
                token = stack.enter_context(logged_on(account, password))
                self._say(f"ok   Password: {account} can log on with it.")
            except NotChecked as why:
                self._say(f"--   Password: not checked: {why}.")
            try:
                profiles = profiles_of(account, sid, token)
            except NotChecked as missing:
                self._say(f"--   Profiles: not listed: {missing}. Doctor looks later.")
                profiles = None
        self._settings = replace(self._settings, account=account, profile=self._choose_profile(account, profiles))
        self._save()
        return None if is_kept else account, password

    def _choose_profile(self, account: str, profiles: Profiles | None) -> str:
        """Return the profile that was named, the only one, or the one that somebody chooses. Doctor judges it later."""
        names = profiles.names if profiles else ()
        if profiles and not names:
            remedy = f"Log on to Windows as {account}, create one in Control Panel, Mail, and open Outlook once with it"
            raise SetupFailed(f"Profile: {account} has none. {remedy}")
        listed = ", ".join(f'"{name}"' for name in names) or "cannot be listed"
        usual = names[0] if len(names) == 1 else self._settings.profile or (profiles.default if profiles else "")
        given = usual if self._answers.profile is None and len(names) == 1 else self._answers.profile
        wanted = self._ask(given, "--profile", f"Mail profile ({listed})", usual)
        profile = next((name for name in names if name.lower() == wanted.lower()), "" if names else wanted)
        if not profile:
            raise SetupFailed(f'Profile: {account} has no "{wanted}". It has: {listed}')
        self._say(f'ok   Profile: "{profile}". The account has: {listed}.')
        return profile

    def _start(self, account: str | None, password: str) -> str:
        """Install and start the service, again if it runs; return when."""
        with _failing_as("Service", str(self._folder / "relay.log")):
            if windows_service.state() != windows_service.NOT_INSTALLED:
                windows_service.control("stop")
            command = [*self._command, "--home", str(self._folder), "service"]
            windows_service.install(command, account, password)
            started_at = datetime.now(timezone.utc).isoformat()
            windows_service.control("start")
        self._say(f"ok   Service: runs as {self._settings.account}, starts with Windows and again after a failure.")
        return started_at

    def _examine(self, service: RelayClient, started_at: str) -> None:
        """Wait for the report of the doctor that the service runs at its start. Raises SetupFailed if a point fails."""

        def look() -> list[DoctorPoint]:
            beat = service.check().heartbeat
            return list(beat.doctor) if beat is not None and beat.doctor_at >= started_at else []

        points = _wait(look, _DOCTOR_S)
        for point in points or ():
            if point.state != "ok" and point.name != "test message":  # which comes next
                self._say(f"{point.state.upper()[:4]} {point.question} {point.found}  [{point.name}]")
                self._say(f"     -> {point.remedy}")
        failing = sum(point.state == "fail" for point in points or ())
        if not points:
            raise SetupFailed(f"Doctor: no report came within {_DOCTOR_S:.0f} s. See {self._folder / 'relay.log'}")
        if failing:
            raise SetupFailed(
                f"Doctor: {failing} of {len(points)} points prevent it from sending. The lines with -> say what to do"
            )
        self._say(f"ok   Doctor: the service looked at {len(points)} points; none prevents it from sending.")

    def _test(self, service: RelayClient) -> None:
        given = self._answers.test_to if has_console() else self._answers.test_to or ""
        address = self._ask(given, "--test-to", "Address for a test message", may_be_empty=True)
        if address:
            send_test(service, address, self._say)
        else:
            self._say("--   Test: none was sent, as no address was given (send-test you@example.org).")

    def _save(self) -> None:
        relay_settings.save(self._folder, self._settings, self._key)

    def _ask(
        self, given: str | None, option: str, question: str, usual: str = "",
        *, read: Callable[[str], str] = input, may_be_empty: bool = False,
    ) -> str:  # fmt: skip
        """Return what was given, what somebody answers, or the usual value. Raises SetupFailed if there is none of them."""
        answer = given
        if answer is None and has_console():
            answer = read(f"{question} [{usual}]: " if usual else f"{question}: ").strip()
        answer = answer or usual
        if not answer and not may_be_empty:
            raise SetupFailed(f"{question}: pass it by {option}")
        return answer


def send_test(service: RelayClient, address: str, say: Callable[[str], None]) -> None:
    """Send a test message through Tocsin and the running service, and wait until it has left. Raises SetupFailed if it does not."""
    with _failing_as("Test", address):
        message_id = service.check(test_to=address).message_id

        def look() -> CheckAnswer | None:
            answer = service.check(message_id=message_id)
            return answer if answer.state in _SETTLED else None

        ended = _wait(look, _TEST_S)
    if ended is None or ended.state != "sent":
        why = ended.why if ended else f"still on its way after {_TEST_S:.0f} s"
        raise SetupFailed(f"Test: not sent: {why}. GET /v1/messages/{message_id} shows each attempt")
    say(f"ok   Test: sent to {address}: {ended.why}. Check that it arrived.")


@contextlib.contextmanager
def _failing_as(step: str, what: str) -> Iterator[None]:
    """Turn what can go wrong in a step into SetupFailed, with what to do about it."""
    try:
        yield
    except (AccountRefused, BadAddress) as cause:
        raise SetupFailed(f"{step}: {cause}") from cause
    except windows_service.ServiceRefused as cause:
        raise SetupFailed(f"{step}: {cause} ({what})") from cause
    except NoAnswer as cause:
        raise SetupFailed(f"{step}: {cause!s}. {remedy_for(str(cause))}") from cause
    except OSError as cause:
        raise SetupFailed(f"{step}: {cause}. Run this as administrator") from cause


def remedy_for(problem: str) -> str:
    """Return what to do when the service does not answer as it should."""
    return next((remedy for words, remedy in _REMEDIES if words in problem), _NO_CONNECTION)


def _wait(look: Callable[[], T | None], seconds: float) -> T | None:
    """Look again and again until there is something. The service is being restarted: it need not answer each time."""
    until, found = time.monotonic() + seconds, None
    while not found and time.monotonic() < until:
        with contextlib.suppress(NoAnswer):
            found = look()
        if not found:
            time.sleep(_LOOK_EVERY_S)
    return found
