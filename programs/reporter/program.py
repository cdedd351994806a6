"""The reporter's command line: one function for each command. It only reads arguments and prints results."""

from __future__ import annotations

import argparse
import math
import os
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from programs.protocol import report as wire
from programs.reporter import VERSION
from programs.reporter import settings as reporter_settings
from programs.reporter.event_sender import EventSender, one_line
from programs.reporter.records import cut_off
from programs.reporter.spool import ReporterSpool, last_event

SEND_S, FLUSH_S = 8.0, 300.0


def main(options: Sequence[str] | None = None) -> int:
    """Run the command line. Return 0 for success, 1 for a failure, 2 for arguments that are not a command."""
    parser = _parser()
    words = list(sys.argv[1:] if options is None else options)
    # What comes after `--` is the command's: argparse would take some of it for ours.
    place = words.index("--") if "--" in words else len(words)
    separator, after = words[place : place + 1], words[place + 1 :]
    arguments = parser.parse_args(words[:place])
    settings = reporter_settings.load({name: getattr(arguments, name) or "" for name in ("url", "key_file", "agent")})
    if arguments.command == "run":
        command = [*arguments.words, *separator, *after] if arguments.words else after
        if not command:
            parser.error("run: the command to run is missing")
        # Imported as a whole before the command starts: during a long backup, an update may replace the file that it comes from.
        from programs.reporter.running import run  # noqa: PLC0415

        run(command, settings, job=arguments.job, is_quiet=arguments.quiet, keeps_log=not arguments.no_log)
    try:
        return int(_COMMANDS[arguments.command](arguments, settings))
    except OSError as cause:
        return _print_problem(arguments, f"{cause.filename or settings.spool}: {cause.strerror or cause}")


class _Help(argparse.HelpFormatter):
    """Help texts of a fixed width: with any width, argparse loads shutil for each call, also for those that print no help (4 of 60 ms)."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100)


class _ReporterParser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:  # noqa: ANN401  (those of argparse)
        super().__init__(formatter_class=_Help, **options)


def _parser() -> argparse.ArgumentParser:
    parser = _ReporterParser(prog="tocsin-report", description="Reports to Tocsin how a backup went.")
    parser.add_argument("--version", action="version", version=f"tocsin-report {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    shared = _ReporterParser(add_help=False)
    shared.add_argument("--url", help="Tocsin's address; else TOCSIN_REPORT_URL")
    shared.add_argument(
        "--key-file", help="a file that holds the key; else TOCSIN_REPORT_KEY_FILE or TOCSIN_REPORT_KEY"
    )
    shared.add_argument("--agent", help="the agent that reports; else this host's name, or the agent of the key")
    shared.add_argument("--quiet", action="store_true", help="print nothing, not even problems")
    run_parser = commands.add_parser("run", parents=[shared], help="run a command unchanged, and report how it went")
    run_parser.add_argument("--job", default="", help="what is backed up; else the command's name")
    run_parser.add_argument("--no-log", action="store_true", help="do not send its output")
    run_parser.add_argument("words", nargs=argparse.REMAINDER, metavar="command", help="the command")
    send_parser = commands.add_parser("send", parents=[shared], help="report an event, from a script")
    send_parser.add_argument("--job", required=True, help="what is backed up")
    send_parser.add_argument("--outcome", choices=wire.OUTCOMES, help="how it ended")
    send_parser.add_argument("--phase", choices=wire.PHASES, help="how far it has come")
    send_parser.add_argument("--severity", choices=wire.SEVERITIES)
    send_parser.add_argument("--activity", choices=wire.ACTIVITIES, default="backup")
    send_parser.add_argument("--run", default="", help="the name of the run: the same at its start and its end")
    send_parser.add_argument("-m", "--message", default="", help="one line for people")
    send_parser.add_argument("--log", metavar="FILE", help="a file to send as the log; - is standard input")
    send_parser.add_argument("--metric", action="append", default=[], metavar="NAME=NUMBER", type=_metric)
    send_parser.add_argument("--label", action="append", default=[], metavar="NAME=TEXT", type=_label)
    for name, what in (
        ("flush", "send the waiting events"),
        ("test", "send a heartbeat, and print whether it arrived"),
        ("status", "print the address, and the waiting events"),
    ):
        commands.add_parser(name, parents=[shared], help=what)
    return parser


def _metric(word: str) -> tuple[str, float]:
    name, separator, value = word.partition("=")
    number = float(value)
    if not name or not separator or not math.isfinite(number):
        raise ValueError(word)
    return name[: wire.METRIC_NAME_MOST], number


def _label(word: str) -> tuple[str, str]:
    name, separator, value = word.partition("=")
    if not name or not separator:
        raise ValueError(word)
    return name[: wire.LABEL_NAME_MOST], value[: wire.LABEL_VALUE_MOST]


def _send(arguments: argparse.Namespace, settings: reporter_settings.ReporterSettings) -> int:
    """Report an event. Return 0 also if it is only stored: it is sent with the next call."""
    # Bytes that are not UTF-8 come from the command line as surrogates, which no database accepts.
    message = arguments.message.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    event = wire.ReportedEvent(
        key=os.urandom(16).hex(), occurred_at=datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        job=arguments.job, agent=settings.agent, run=arguments.run, activity=arguments.activity, phase=arguments.phase or "",
        outcome=arguments.outcome or "", severity=arguments.severity or "",
        message=message[: wire.MESSAGE_MOST], log=_read_log(arguments),
        metrics=dict(arguments.metric[: wire.METRICS_MOST]), labels=dict(arguments.label[: wire.LABELS_MOST]),
    ).as_json()  # fmt: skip
    deadline, sender = time.monotonic() + SEND_S, EventSender(settings)
    try:
        spool = ReporterSpool(settings.spool)
        spool.put(event)
    except OSError as cause:
        if sender.send_without_spool(event, deadline):
            return 0
        return _print_problem(
            arguments, f"neither sent nor stored: {sender.trouble}; {settings.spool}: {cause.strerror or cause}"
        )
    thread = threading.Thread(target=_deliver, args=(sender, spool, deadline), daemon=True)
    thread.start()
    thread.join(SEND_S + 1)  # a name server that hangs ignores every deadline
    if thread.is_alive() or sender.trouble:
        _print_problem(arguments, sender.trouble or "it could not be sent in time; it is stored")
    return 0


def _deliver(sender: EventSender, spool: ReporterSpool, deadline: float) -> None:
    """Send what waits. A disk that fails now is only reported: the event is stored."""
    try:
        for record in cut_off(spool):
            record.rescue()
        sender.deliver(spool, deadline)
    except OSError as cause:
        sender.trouble = (
            f"it is stored, and could not be sent: {cause.filename or spool.folder}: {cause.strerror or cause}"
        )


def _read_log(arguments: argparse.Namespace) -> str:
    """Read the log; only its end, if it is long. One that cannot be read is no reason to withhold an outcome."""
    if not arguments.log:
        return ""
    try:
        if arguments.log == "-":
            data = sys.stdin.buffer.read()
        else:
            with Path(arguments.log).open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - wire.LOG_MOST))
                data = file.read(wire.LOG_MOST)
    except OSError as cause:
        _print_problem(arguments, f"{arguments.log}: {cause.strerror or cause}")
        return f"[{arguments.log} could not be read: {cause.strerror or cause}]"
    return data[-wire.LOG_MOST :].decode("utf-8", "replace")


def _flush(arguments: argparse.Namespace, settings: reporter_settings.ReporterSettings) -> int:
    spool, sender = ReporterSpool(settings.spool), EventSender(settings)
    for record in cut_off(spool):
        record.rescue()
    is_empty = sender.deliver(spool, time.monotonic() + FLUSH_S)
    if sender.trouble:
        _print_problem(arguments, sender.trouble)
    if not arguments.quiet:
        print(f"{sender.sent} sent, {len(spool.list())} still waiting")
    return 0 if is_empty and not sender.trouble else 1


def _test(arguments: argparse.Namespace, settings: reporter_settings.ReporterSettings) -> int:
    event = wire.ReportedEvent(
        key=os.urandom(16).hex(), occurred_at=datetime.now(timezone.utc).isoformat(), job="tocsin-report",
        agent=settings.agent, activity="heartbeat", message="a test from tocsin-report",
    )  # fmt: skip
    sender = EventSender(settings)
    if not sender.send_without_spool(event.as_json(), time.monotonic() + SEND_S):
        return _print_problem(arguments, sender.trouble)
    print(f"{settings.url} accepted it")
    if settings.url.startswith("http:"):
        print("note: the key is not encrypted on its way; use https where others share the network")
    return 0


def _status(_: argparse.Namespace, settings: reporter_settings.ReporterSettings) -> int:
    print(f"address   {settings.url or 'none'}")
    print(f"settings  {settings.trouble or 'can be used'}")
    spool = ReporterSpool(settings.spool)
    waiting = spool.list()
    print(f"spool     {spool.folder}: {len(waiting)} waiting, {len(list(spool.running.glob('*.json')))} running")
    for waiting_event in waiting[:10]:
        event = last_event(waiting_event.path.read_bytes()) or {}
        print(f"          {event.get('occurred_at')}  {event.get('job')}  {event.get('outcome') or event.get('phase')}")
    refused = sorted(spool.refused.glob("*.json"))
    if refused:
        try:
            why = refused[-1].with_suffix(".why").read_text(encoding="utf-8", errors="replace").strip()
        except OSError:  # there was no room for it, or the process was killed
            why = "its reason could not be stored"
        print(f"refused   {len(refused)} in {spool.refused}; the last: {why}")
    return 1 if settings.trouble or waiting or refused else 0


def _print_problem(arguments: argparse.Namespace, text: str) -> int:
    if not arguments.quiet:
        print(f"tocsin-report: {one_line(text)}", file=sys.stderr)
    return 1


_COMMANDS = {"send": _send, "flush": _flush, "test": _test, "status": _status}
