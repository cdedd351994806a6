"""The relay's command line: one function for each command. It does nothing itself but read words and show what came of them."""

from __future__ import annotations

import argparse
import json
import logging
import platform
import signal
import sys
import threading
from collections.abc import Sequence
from datetime import datetime, timezone
from email.message import EmailMessage
from email.utils import make_msgid
from functools import partial
from pathlib import Path

from programs.protocol.http_client import BadAddress, NoAnswer
from programs.relay import child, windows_service
from programs.relay import settings as config
from programs.relay.client import RelayClient
from programs.relay.conversation import ChildOrder
from programs.relay.doctor import DoctorReport, examine
from programs.relay.host_facts import read_host_facts
from programs.relay.loop import VERSION, RelayLoop, set_up_log
from programs.relay.mail_clients import NoUsableClient, choose_client
from programs.relay.registry import BadSetting, read_settings, set_up, set_value, this_registry
from programs.relay.sender import SendingSetup, SpoolSender
from programs.relay.spool import NAME as SPOOL
from programs.relay.spool import RelaySpool, SpoolDamaged, SpoolUnusable, damaged_copy, open_spool
from programs.relay.watch import Deadlines, watch
from programs.relay.windows_calls import is_windows

_MARKS = {"ok": "ok  ", "warning": "warn", "fail": "FAIL"}


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says; 0 if it went well, 1 if not, 2 for words that are no command."""
    given = _parser().parse_args(words)
    if given.command == "child":
        return child.main()
    try:
        return int(_COMMANDS[given.command](given))
    except SpoolDamaged as cause:
        words = (
            f"the spool is damaged ({cause}): `stop` and `start` the service, which keeps it aside and begins a new one"
        )
    except PermissionError as cause:
        words = f"{cause}; run this as administrator, or as the relay's account"
    except (
        config.NotInstalled,
        SpoolUnusable,
        windows_service.ServiceRefused,
        BadAddress,
        BadSetting,
        NoAnswer,
        ValueError,
        OSError,
    ) as cause:
        words = str(cause)
    print(f"{given.command}: {words}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tocsin-relay", description="Sends Tocsin's mails over MAPI.")
    parser.add_argument("--version", action="version", version=f"tocsin-relay {VERSION}")
    parser.add_argument("--home", type=Path, default=None, help="the relay's folder, where it is not the usual one")
    commands = parser.add_subparsers(dest="command", required=True)
    put_in = commands.add_parser("install", help="put the Windows service in; again: what is not said stays as it was")
    put_in.add_argument("--server", help="the address of the service, https://...")
    put_in.add_argument("--key", help="the relay's key; better in TOCSIN_RELAY_KEY, where no other user sees it")
    put_in.add_argument("--profile", help="the mail profile, made under the service's account")
    put_in.add_argument("--account", help="DOMAIN\\user, whose profile it is")
    put_in.add_argument("--password", help="the account's; else it is asked for, or read from TOCSIN_RELAY_PASSWORD")
    put_in.add_argument("--ca", help="a file with your own certificate authority")
    for name, what in (
        ("logon", "seconds for the logon"),
        ("submit", "seconds for the submission"),
        ("drain", "seconds to leave the Outbox"),
    ):
        put_in.add_argument(f"--{name}", help=what)
    put_in.add_argument("--no-service", action="store_true", help="keep the settings only")
    _add_set(put_in)
    for name, what in (
        ("remove", "take the Windows service out; the spool stays"),
        ("start", "start the service"),
        ("stop", "stop the service"),
        ("run", "work in this console"),
        ("service", "work as the service; for Windows itself"),
        ("status", "say how service, connection and spool are"),
        ("spool", "list the messages that were here"),
        ("child", "send one message; for the relay itself"),
    ):
        commands.add_parser(name, help=what)
    doctor = commands.add_parser("doctor", help="look at this host, point by point")
    doctor.add_argument("--json", action="store_true", help="as JSON")
    _add_set(doctor)
    trial = commands.add_parser("send-test", help="send a test message from here, past the service")
    trial.add_argument("address")
    return parser


def _add_set(parser: argparse.ArgumentParser) -> None:
    words = "MailClientsSupported=NAME;NAME or MailUsingSpooler=0, in our own registry key"
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help=words)


def _home(given: argparse.Namespace) -> Path:
    """Give the relay's folder. The service is told it: what its environment says differs from the administrator's."""
    return given.home or config.home()


def _install(given: argparse.Namespace) -> int:
    _set(given)
    install(given, _home(given))
    return 0


def _set(given: argparse.Namespace) -> None:
    for words in given.set:
        name, _, value = words.partition("=")
        set_value(this_registry(), name, value)
        print(f"{name} is set.")


def _control(given: argparse.Namespace) -> int:
    windows_service.control(given.command)
    print(f"The service is {windows_service.state()}.")
    return 0


def _run(given: argparse.Namespace) -> int:
    stop = threading.Event()
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, lambda *_: stop.set())
    _work(_home(given), stop, console=True)
    return 0


def _service(given: argparse.Namespace) -> int:
    windows_service.host(partial(_work, _home(given), console=False))
    return 0


def _work(folder: Path, stop: threading.Event, *, console: bool) -> None:
    """Work until `stop` is set. Whatever keeps it from that stands in the log: a service has no console to say it on."""
    folder.mkdir(parents=True, exist_ok=True)
    set_up_log(folder, console=console, event_log=not console)
    try:
        settings, key = config.load(folder)
        spool = open_spool(folder)
        try:
            sender = SpoolSender(spool, _means(settings), stop)
            RelayLoop(spool, sender, lambda: RelayClient(settings.server, key, settings.ca_file), stop).run()
        finally:
            spool.close()
    except Exception:
        logging.getLogger("tocsin.relay").exception("the relay cannot work")
        raise


def _means(settings: config.RelaySettings) -> SendingSetup:
    deadlines = Deadlines(logon=settings.logon, submit=settings.submit)
    command = [*windows_service.program(), "child"]
    return SendingSetup(this_registry(), settings.profile, command, deadlines, settings.drain, settings.account)


def _doctor(given: argparse.Namespace) -> int:
    _set(given)
    report = _examined(_home(given))
    if given.json:
        print(json.dumps(report.as_json(), indent=1))
    else:
        for line in report.lines:
            print(f"{_MARKS[line.state]} {line.name}: {line.found}")
            if line.remedy:
                print(f"     -> {line.remedy}")
        failing = sum(line.state == "fail" for line in report.lines)
        print(f"{failing} point(s) keep the relay from sending." if failing else "The relay can send.")
    return 1 if report.is_failing else 0


def _examined(folder: Path) -> DoctorReport:
    settings, _ = config.load(folder)
    means = _means(settings)
    spool = RelaySpool(folder / SPOOL)
    is_installed = windows_service.state() in ("running", "stopped")
    around = read_host_facts(
        service_account=settings.account or ("LocalSystem" if is_installed else ""),
        test_message=spool.recall("last sent"),
        spool_trouble=spool.trouble(),
        spool_kept=damaged_copy(spool),
    )
    spool.close()
    never = threading.Event()
    run = partial(watch, command=means.command, deadlines=means.deadlines, on_phase=lambda _: None, stop=never)
    return examine(means.hive, means.profile, around, run)


def _send_test(given: argparse.Namespace) -> int:
    settings, _ = config.load(_home(given))
    means = _means(settings)
    chosen = choose_client(read_settings(means.hive), means.hive)
    if isinstance(chosen, NoUsableClient):
        print(f"{chosen.outcome.value}: {chosen.reason}")
        return 1
    use_spooler = read_settings(means.hive).use_spooler
    order = ChildOrder(
        mode="send", profile=means.profile, client=chosen.as_json(), use_spooler=use_spooler, drain=means.drain,
        mime=_test_mail(given.address), recipients=(given.address,),
    )  # fmt: skip
    verdict = watch(
        order, command=means.command, deadlines=means.deadlines, on_phase=lambda phase: print(f"... {phase.name}")
    )
    told = verdict.as_json()
    print(f"{told['outcome']}: {told['reason']}")
    print(json.dumps(told["evidence"], indent=1))
    if told["outcome"] == "sent":
        spool = RelaySpool(_home(given) / SPOOL)
        spool.remember("last sent", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"))
        spool.close()
    return 0 if told["outcome"] == "sent" else 1


def _test_mail(address: str) -> bytes:
    mail = EmailMessage()
    mail["Subject"], mail["To"] = f"Tocsin: a test from {platform.node()}", address
    mail["Message-ID"], mail["Auto-Submitted"] = make_msgid(domain="tocsin.invalid"), "auto-generated"
    mail.set_content(f"Sent over MAPI by the relay on {platform.node()}. If you read this, it works.\n")
    return mail.as_bytes()


def _status(given: argparse.Namespace) -> int:
    settings, key = config.load(_home(given))
    print(f"service   {windows_service.state()}")
    print(f"settings  {_home(given)}, profile {settings.profile}, account {settings.account or '-'}")
    spool = RelaySpool(_home(given) / SPOOL)
    waiting, oldest_s = spool.waiting()
    print(
        f"spool     {waiting} not settled"
        + (f", the oldest for {oldest_s:.0f} s" if waiting else "")
        + f"; {spool.sent} sent"
    )
    spool.close()
    try:
        service = RelayClient(settings.server, key, settings.ca_file)
        service.renew([])
        print(f"server    {settings.server} answers and knows our key")
    except NoAnswer as cause:
        print(f"server    {settings.server}: {cause}")
        return 1
    return 0


def _spool(given: argparse.Namespace) -> int:
    config.load(_home(given))
    spool = RelaySpool(_home(given) / SPOOL)
    for one in spool.all():
        taken = datetime.fromtimestamp(one.taken_at, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
        became = "waits" if one.verdict is None else str(one.verdict.as_json()["outcome"])
        print(
            f"{taken}  {one.id}  {one.recipient}  {one.phase or '-'}  {became}{'' if one.is_handed_in else '  (to be told)'}"
        )
    spool.close()
    return 0


_COMMANDS = {
    "install": _install,
    "remove": _control,
    "start": _control,
    "stop": _control,
    "run": _run,
    "service": _service,
    "doctor": _doctor,
    "send-test": _send_test,
    "status": _status,
    "spool": _spool,
}


def install(given: argparse.Namespace, folder: Path) -> None:
    """Keep settings and key, and put the service in. Raises ValueError for what is missing or cannot be."""
    wanted, key = _wanted(given, folder)
    RelayClient(wanted.server, key, wanted.ca_file).close()  # an address that cannot be used is refused now
    set_up(this_registry())
    config.save(folder, wanted, key)
    print(f"Settings are in {folder}.")
    if given.no_service or not is_windows():
        return
    before = windows_service.state()
    is_new = before == windows_service.NOT_INSTALLED
    account = wanted.account if is_new or given.account is not None else None
    command = [*windows_service.program(), "--home", str(folder), "service"]
    windows_service.install(command, account, _password(given, account))
    print(
        f"The service {windows_service.TITLE} is in, as {wanted.account or 'LocalSystem, which has no mail profile'}."
    )
    print("Next: `doctor`, then `start`." if before != "running" else "It runs as before until `stop` and `start`.")


def _wanted(given: argparse.Namespace, folder: Path) -> tuple[config.RelaySettings, str]:
    try:
        before, key = config.load(folder)
    except config.NotInstalled:
        before, key = config.RelaySettings("", ""), ""
    key = given.key or config.from_environment("KEY") or key
    if not key.isascii() or not key:
        raise ValueError("give the relay's key by --key, or in TOCSIN_RELAY_KEY")
    server, profile = given.server or before.server, given.profile or before.profile
    if not server or not profile:
        raise ValueError("give --server URL and --profile NAME: nothing is installed yet that has them")
    account = before.account if given.account is None else windows_service.full_account(given.account)
    ca_file = before.ca_file if given.ca is None else str(Path(given.ca).resolve()) if given.ca else ""
    times = {name: value for name in ("logon", "submit", "drain") if (value := getattr(given, name)) is not None}
    same = {name: str(getattr(before, name)) for name in ("logon", "submit", "drain")}
    return config.RelaySettings(server, profile, account, ca_file).with_values({**same, **times}), key


def _password(given: argparse.Namespace, account: str | None) -> str:
    password: str = given.password or config.from_environment("PASSWORD")
    if account and not password and sys.stdin.isatty():
        return windows_service.ask_password(account)
    return password
