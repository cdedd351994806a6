"""The relay's command line: one function for each command. It only reads arguments and prints results."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from programs.protocol.http_client import NoAnswer
from programs.relay import settings as relay_settings
from programs.relay import windows_service
from programs.relay.client import RelayClient
from programs.relay.loop import VERSION, RelayLoop, set_up_log
from programs.relay.registry import BadSetting, set_up, set_value, this_registry
from programs.relay.sender import SendingSetup, SpoolSender, examine_host
from programs.relay.setup import RelaySetup, SetupAnswers, SetupFailed, send_test
from programs.relay.spool import FILE_NAME as SPOOL_FILE
from programs.relay.spool import RelaySpool, SpoolDamaged, SpoolInUse, SpoolUnusable, damaged_copy, open_spool
from programs.relay.watch import Deadlines
from programs.relay.windows_calls import NotWindows, has_console, is_windows

# The commands that take an option, which gets its value from the next word unless its name here ends in "!".
_OPTIONS = {
    "--server": ("setup install", "the address of the service, https://..."),
    "--code": ("setup", "the one-time code that POST /v1/relays answered with"),
    "--key": ("install", "the relay's key; better in TOCSIN_RELAY_KEY, which no other user can see"),
    "--profile": ("setup install", "the mail profile, made under the service's account"),
    "--account": ("setup install", "DOMAIN\\user, whose profile it is"),
    "--password": ("setup install", "the account's password; better in TOCSIN_RELAY_PASSWORD, or you are asked"),
    "--ca": ("setup install", "a file with your own certificate authority"),
    "--test-to": ("setup", "the address that gets a test message; empty: none is sent"),
    "--logon": ("install", "seconds for the logon"),
    "--submit": ("install", "seconds for the submission"),
    "--drain": ("install", "seconds to leave the Outbox"),
    "--clean!": ("remove", "delete settings and key too, and the spool if no message is in it"),
    "--json!": ("doctor", "as JSON"),
}
_REFUSALS = (relay_settings.NotInstalled, SpoolUnusable, windows_service.ServiceRefused, SetupFailed, BadSetting)
_EXPECTED = (*_REFUSALS, NoAnswer, ValueError, OSError)
_MARKS = {"ok": "ok  ", "warning": "warn", "fail": "FAIL"}


def main(options: Sequence[str] | None = None) -> int:
    """Run the command line. Return 0 for success, 1 for a failure, 2 for arguments that are not a command."""
    arguments = _parser().parse_args(options)
    try:
        return int(_COMMANDS[arguments.command][0](arguments))
    except SpoolDamaged as cause:
        problem = f"the spool is damaged ({cause}): `stop` and `start` the service, which keeps it under another name and opens a new one"
    except PermissionError as cause:
        problem = f"{cause}; run this as administrator, or as the relay's account"
    except (KeyboardInterrupt, EOFError):
        problem = "ended by you; what was done is kept, and it can be run again"
    except NotWindows as cause:
        problem = f"this needs Windows ({cause})"
    except _EXPECTED as cause:
        problem = str(cause)
    print(f"{arguments.command}: {problem}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tocsin-relay", description="Sends Tocsin's mails over MAPI.")
    parser.add_argument("--version", action="version", version=f"tocsin-relay {VERSION}")
    parser.add_argument("--home", type=Path, default=None, help="the relay's folder, if it is not the default one")
    commands = parser.add_subparsers(dest="command", required=True)
    for command, (_, what) in _COMMANDS.items():
        words = commands.add_parser(command, help=what)
        for option, (of_commands, option_help) in _OPTIONS.items():
            if command in of_commands.split():
                action = "store_true" if option.endswith("!") else "store"
                words.add_argument(option.rstrip("!"), action=action, help=option_help)
        if command in ("install", "doctor"):
            set_help = "MailClientsSupported=NAME;NAME or MailUsingSpooler=0, in our own registry key"
            words.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=set_help)
        if command == "send-test":
            words.add_argument("address")
    return parser


def _home(arguments: argparse.Namespace) -> Path:
    """Return the relay's folder. The service gets it as an option, as its environment differs from the administrator's."""
    return arguments.home or relay_settings.home()


def _install(arguments: argparse.Namespace) -> int:
    """Store settings and key, and install the service, but do not start it. Options that are not given keep their value.

    Raises ValueError for what is missing or impossible.
    """
    _set(arguments)
    folder = _home(arguments)
    try:
        old, key = relay_settings.load(folder)
    except relay_settings.NotInstalled:
        old, key = relay_settings.RelaySettings("", ""), ""
    key = arguments.key or relay_settings.from_environment("KEY") or key
    if not key.isascii() or not key:
        raise ValueError("set the relay's key by --key, or in TOCSIN_RELAY_KEY")
    server, profile = arguments.server or old.server, arguments.profile or old.profile
    if not server or not profile:
        raise ValueError("set --server URL and --profile NAME: there is no earlier installation that has them")
    account = old.account if arguments.account is None else windows_service.full_account(arguments.account)
    if is_windows():
        windows_service.check_account(account)
    ca_file = old.ca_file if arguments.ca is None else str(Path(arguments.ca).resolve()) if arguments.ca else ""
    times = {name: str(getattr(old, name)) for name in ("logon", "submit", "drain")}
    times.update((name, value) for name in times if (value := getattr(arguments, name)) is not None)
    new_settings = relay_settings.RelaySettings(server, profile, account, ca_file).with_values(times)
    RelayClient(new_settings.server, key, new_settings.ca_file).close()  # refuses an address that cannot be used
    set_up(this_registry())
    relay_settings.save(folder, new_settings, key)
    print(f"Settings are in {folder}.")
    if not is_windows():
        return 0
    before = windows_service.state()
    is_new = before == windows_service.NOT_INSTALLED
    service_account = new_settings.account if is_new or arguments.account is not None else None
    password = arguments.password or relay_settings.from_environment("PASSWORD")
    if service_account and not password and has_console():
        password = windows_service.ask_password(service_account)
    windows_service.install(_service_command(arguments), service_account, password)
    print(f"The service {windows_service.TITLE} is installed, as {new_settings.account}.")
    print("Next: `doctor`, then `start`." if before != "running" else "It runs unchanged until `stop` and `start`.")
    return 0


def _setup(arguments: argparse.Namespace) -> int:
    answers = SetupAnswers(**{field.name: getattr(arguments, field.name) for field in fields(SetupAnswers)})
    RelaySetup(_home(arguments), answers, windows_service.program(), partial(print, flush=True)).run()
    return 0


def _upgraded(arguments: argparse.Namespace) -> int:
    """Have the service that is there run this program, which may lie in another folder than the one before. Without one, do nothing."""
    if windows_service.state() != windows_service.NOT_INSTALLED:
        windows_service.install(_service_command(arguments), None, "")
        windows_service.control("start")
        print(f"The service is {windows_service.state()}.")
    return 0


def _service_command(arguments: argparse.Namespace) -> list[str]:
    return [*windows_service.program(), "--home", str(_home(arguments)), "service"]


def _remove(arguments: argparse.Namespace) -> int:
    folder = _home(arguments)
    if windows_service.state() != windows_service.NOT_INSTALLED:
        windows_service.control("remove")
    print(f"The service is {windows_service.state()}.")
    if arguments.clean and folder.exists():
        spool = RelaySpool(folder / SPOOL_FILE)
        (waiting, _), kept = spool.waiting(), damaged_copy(spool)
        spool.close()
        if waiting or kept:
            print(
                f"{folder} is kept: {waiting} message(s) in the spool are not settled{kept and f', and there is {kept}'}."
            )
            return 0
        for pattern in ("relay.json*", "relay.key*", "relay.lo*", "spool.*"):
            for file in folder.glob(pattern):
                file.unlink()
        with contextlib.suppress(OSError):  # somebody else's file is in it
            folder.rmdir()
        print("Settings, key, log and the empty spool are deleted.")
    return 0


def _set(arguments: argparse.Namespace) -> None:
    for words in arguments.set:
        name, _, value = words.partition("=")
        set_value(this_registry(), name, value)
        print(f"{name} is set.")


def _control(arguments: argparse.Namespace) -> int:
    windows_service.control(arguments.command)
    print(f"The service is {windows_service.state()}.")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    """Work in this console, or, as the command `service`, under Windows' service control manager."""
    if arguments.command == "service":
        windows_service.host(partial(_work, _home(arguments), console=False))
        return 0
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stop.set())
    _work(_home(arguments), stop, console=True)
    return 0


def _work(folder: Path, stop: threading.Event, *, console: bool) -> None:
    """Work until `stop` is set. What prevents that is in the log: a service has no console to print it on."""
    folder.mkdir(parents=True, exist_ok=True)
    set_up_log(folder, console=console, event_log=not console)
    try:
        settings, key = relay_settings.load(folder)
        spool = open_spool(folder)
        try:
            sender = SpoolSender(spool, _sending_setup(settings), stop)
            RelayLoop(spool, sender, lambda: RelayClient(settings.server, key, settings.ca_file), stop).run()
        finally:
            spool.close()
    except SpoolInUse as cause:
        logging.getLogger("tocsin.relay").error("%s", cause)  # noqa: TRY400  (no defect, so no trace)
        raise
    except Exception:
        logging.getLogger("tocsin.relay").exception("the relay cannot work")
        raise


def _sending_setup(settings: relay_settings.RelaySettings) -> SendingSetup:
    deadlines = Deadlines(logon=settings.logon, submit=settings.submit)
    command = [*windows_service.program(), "child"]
    account = windows_service.account() or settings.account  # an administrator may have changed it in Windows
    return SendingSetup(this_registry(), settings.profile, command, deadlines, settings.drain, account)


def _doctor(arguments: argparse.Namespace) -> int:
    _set(arguments)
    settings, _ = relay_settings.load(_home(arguments))
    spool = RelaySpool(_home(arguments) / SPOOL_FILE)
    report = examine_host(_sending_setup(settings), spool)
    spool.close()
    if arguments.json:
        print(json.dumps(report.as_json(), indent=1))
    else:
        for line in report.lines:
            print(f"{_MARKS[line.state]} {line.question}  {line.found}  [{line.name}]")
            if line.remedy:
                print(f"     -> {line.remedy}")
        print(report.conclusion)
    return 0 if report.is_service_account and not report.is_failing else 1


def _send_test(arguments: argparse.Namespace) -> int:
    settings, key = relay_settings.load(_home(arguments))
    with contextlib.closing(RelayClient(settings.server, key, settings.ca_file)) as service:
        send_test(service, arguments.address, partial(print, flush=True))
    return 0


def _status(arguments: argparse.Namespace) -> int:
    settings, key = relay_settings.load(_home(arguments))
    print(f"service   {windows_service.state()}")
    print(f"settings  {_home(arguments)}, profile {settings.profile}, account {settings.account or '-'}")
    spool = RelaySpool(_home(arguments) / SPOOL_FILE)
    waiting, oldest_s = spool.waiting()
    print(
        f"spool     {waiting} not settled{f', the oldest for {oldest_s:.0f} s' if waiting else ''}; {spool.sent} sent"
    )
    spool.close()
    try:
        service = RelayClient(settings.server, key, settings.ca_file)
        service.renew([])
        print(f"server    {settings.server} answers and accepts our key")
    except NoAnswer as cause:
        print(f"server    {settings.server}: {cause}")
        return 1
    return 0


def _spool(arguments: argparse.Namespace) -> int:
    relay_settings.load(_home(arguments))
    spool = RelaySpool(_home(arguments) / SPOOL_FILE)
    for one in spool.all():
        taken = datetime.fromtimestamp(one.taken_at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        became = "waits" if one.verdict is None else str(one.verdict.as_json()["outcome"])
        reported = "" if one.is_handed_in else "  (not reported yet)"
        print(f"{taken}  {one.id}  {one.recipient}  {one.phase or '-'}  {became}{reported}")
    spool.close()
    return 0


_COMMANDS = {
    "setup": (_setup, "set this host up step by step, from the one-time code to a test message"),
    "install": (_install, "install the service only; installed again: options that are not given keep their value"),
    "remove": (_remove, "remove the service; settings and spool stay"),
    "start": (_control, "start the service"),
    "stop": (_control, "stop the service"),
    "run": (_run, "run in this console"),
    "service": (_run, "run as the service; for Windows itself"),
    "status": (_status, "show the state of service, connection and spool"),
    "spool": (_spool, "list the messages that are or were on this host"),
    "doctor": (_doctor, "examine this host, point by point"),
    "send-test": (_send_test, "send a test message through the service and Tocsin"),
    "upgraded": (_upgraded, "start the service again with this program; for its MSI"),
}
