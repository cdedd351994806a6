"""The reporter's command line: one function for each command. It does nothing itself but read words and show what came of them."""

from __future__ import annotations

import argparse
import math
import sys
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from programs.protocol import report as wire
from programs.reporter import VERSION
from programs.reporter import settings as config
from programs.reporter.event_sender import EventSender, one_line
from programs.reporter.records import cut_off
from programs.reporter.running import run
from programs.reporter.spool import ReporterSpool, last_event

SEND_S, FLUSH_S = 8.0, 300.0


def main(words: Sequence[str] | None = None) -> int:
    """Do what the command line says; 0 if it went well, 1 if not, 2 for words that are no command."""
    parser = _parser()
    before, mark, after = _parted(sys.argv[1:] if words is None else words)
    given = parser.parse_args(before)
    settings = config.load({name: getattr(given, name) or "" for name in ("url", "key_file", "agent")})
    if given.command == "run":
        command = [*given.words, *mark, *after] if given.words else after
        if not command:
            parser.error("run: the command to run is missing")
        run(command, settings, job=given.job, is_quiet=given.quiet, keeps_log=not given.no_log)
    try:
        return int(_COMMANDS[given.command](given, settings))
    except OSError as cause:
        return _complain(given, f"{cause.filename or settings.spool}: {cause.strerror or cause}")


def _parted(words: Sequence[str]) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """Give our words, the `--`, and those of the command: of these argparse takes some for ours."""
    place = list(words).index("--") if "--" in words else len(words)
    return words[:place], words[place : place + 1], words[place + 1 :]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tocsin-report", description="Tells Tocsin how a backup went.")
    parser.add_argument("--version", action="version", version=f"tocsin-report {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    own = argparse.ArgumentParser(add_help=False)
    own.add_argument("--url", help="Tocsin's address; else TOCSIN_REPORT_URL")
    own.add_argument("--key-file", help="a file that holds the key; else TOCSIN_REPORT_KEY_FILE or TOCSIN_REPORT_KEY")
    own.add_argument("--agent", help="who reports; else this host's name, or whose the key is")
    own.add_argument("--quiet", action="store_true", help="say nothing, also when something is wrong")
    running = commands.add_parser("run", parents=[own], help="run a command as it is, and tell how it went")
    running.add_argument("--job", default="", help="what is backed up; else the command's name")
    running.add_argument("--no-log", action="store_true", help="tell nothing of what it prints")
    running.add_argument("words", nargs=argparse.REMAINDER, metavar="command", help="the command")
    sending = commands.add_parser("send", parents=[own], help="tell something, from a script")
    _add_event(sending)
    for name, what in (
        ("flush", "send what waits"),
        ("test", "send a heartbeat, and say whether it arrived"),
        ("status", "say where we report to, and what waits"),
    ):
        commands.add_parser(name, parents=[own], help=what)
    return parser


def _add_event(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--job", required=True, help="what is backed up")
    parser.add_argument("--outcome", choices=wire.OUTCOMES, help="how it ended")
    parser.add_argument("--phase", choices=wire.PHASES, help="how far it is")
    parser.add_argument("--severity", choices=wire.SEVERITIES)
    parser.add_argument("--activity", choices=wire.ACTIVITIES, default="backup")
    parser.add_argument("--run", default="", help="which run: the same words at its start and its end")
    parser.add_argument("-m", "--message", default="", help="one line for people")
    parser.add_argument("--log", metavar="FILE", help="a file to send as the log; - is what comes in")
    parser.add_argument("--metric", action="append", default=[], metavar="NAME=NUMBER", type=_metric)
    parser.add_argument("--label", action="append", default=[], metavar="NAME=TEXT", type=_label)


def _metric(word: str) -> tuple[str, float]:
    name, mark, value = word.partition("=")
    number = float(value)
    if not name or not mark or not math.isfinite(number):
        raise ValueError(word)
    return name[: wire.METRIC_NAME_MOST], number


def _label(word: str) -> tuple[str, str]:
    name, mark, value = word.partition("=")
    if not name or not mark:
        raise ValueError(word)
    return name[: wire.LABEL_NAME_MOST], value[: wire.LABEL_VALUE_MOST]


def _send(given: argparse.Namespace, settings: config.ReporterSettings) -> int:
    """Tell; 0 also if it is only kept: it goes with the next call."""
    return _tell(given, settings, _event_of(given, settings))


def _tell(given: argparse.Namespace, settings: config.ReporterSettings, event: Mapping[str, Any]) -> int:
    deadline, courier = time.monotonic() + SEND_S, EventSender(settings)
    try:
        spool = ReporterSpool(settings.spool)
        spool.put(event)
    except OSError as cause:
        if courier.send_past_the_disk(event, deadline):
            return 0
        return _complain(
            given, f"neither sent nor kept: {courier.trouble}; {settings.spool}: {cause.strerror or cause}"
        )
    thread = threading.Thread(target=_deliver, args=(courier, spool, deadline), daemon=True)
    thread.start()
    thread.join(SEND_S + 1)  # a name server that hangs heeds no deadline
    if thread.is_alive() or courier.trouble:
        _complain(given, courier.trouble or "it could not be sent in time; it is kept")
    return 0


def _deliver(courier: EventSender, spool: ReporterSpool, deadline: float) -> None:
    """Send what waits. A disk that fails now is only told: the event is kept."""
    try:
        for record in cut_off(spool):
            record.rescue()
        courier.deliver(spool, deadline)
    except OSError as cause:
        courier.trouble = (
            f"it is kept, and could not be sent: {cause.filename or spool.folder}: {cause.strerror or cause}"
        )


def _event_of(given: argparse.Namespace, settings: config.ReporterSettings) -> dict[str, Any]:
    return wire.ReportedEvent(
        key=uuid.uuid4().hex, occurred_at=datetime.now(timezone.utc).isoformat(timespec="microseconds"),
        job=given.job, agent=settings.agent, run=given.run, activity=given.activity, phase=given.phase or "",
        outcome=given.outcome or "", severity=given.severity or "",
        message=_shown(given.message)[: wire.MESSAGE_MOST], log=_log(given),
        metrics=dict(given.metric[: wire.METRICS_MOST]), labels=dict(given.label[: wire.LABELS_MOST]),
    ).as_json()  # fmt: skip


def _log(given: argparse.Namespace) -> str:
    """Read the log; its end, if it is long. One that cannot be read is no reason to keep an outcome back."""
    if not given.log:
        return ""
    try:
        if given.log == "-":
            data = sys.stdin.buffer.read()
        else:
            with Path(given.log).open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - wire.LOG_MOST))
                data = file.read(wire.LOG_MOST)
    except OSError as cause:
        _complain(given, f"{given.log}: {cause.strerror or cause}")
        return f"[{given.log} could not be read: {cause.strerror or cause}]"
    return data[-wire.LOG_MOST :].decode("utf-8", "replace")


def _shown(text: str) -> str:
    """Give words of the command line as text: what was no UTF-8 there came as halves of characters."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _flush(given: argparse.Namespace, settings: config.ReporterSettings) -> int:
    spool, courier = ReporterSpool(settings.spool), EventSender(settings)
    for record in cut_off(spool):
        record.rescue()
    is_empty = courier.deliver(spool, time.monotonic() + FLUSH_S)
    if courier.trouble:
        _complain(given, courier.trouble)
    if not given.quiet:
        print(f"{courier.sent} sent, {len(spool.list())} still waiting")
    return 0 if is_empty and not courier.trouble else 1


def _test(given: argparse.Namespace, settings: config.ReporterSettings) -> int:
    event = wire.ReportedEvent(
        key=uuid.uuid4().hex, occurred_at=datetime.now(timezone.utc).isoformat(), job="tocsin-report",
        agent=settings.agent, activity="heartbeat", message="a test from tocsin-report",
    )  # fmt: skip
    courier = EventSender(settings)
    if not courier.send_past_the_disk(event.as_json(), time.monotonic() + SEND_S):
        return _complain(given, courier.trouble)
    print(f"{settings.url} took it")
    if settings.url.startswith("http:"):
        print("note: the key travels in the clear; use https where others share the network")
    return 0


def _status(_: argparse.Namespace, settings: config.ReporterSettings) -> int:
    print(f"address   {settings.url or 'none'}")
    print(f"settings  {settings.trouble or 'can be used'}")
    spool = ReporterSpool(settings.spool)
    waiting = spool.list()
    print(f"spool     {spool.folder}: {len(waiting)} waiting, {len(list(spool.running.glob('*.json')))} running")
    for one in waiting[:10]:
        event = last_event(one.path.read_bytes()) or {}
        print(f"          {event.get('occurred_at')}  {event.get('job')}  {event.get('outcome') or event.get('phase')}")
    refused = sorted(spool.refused.glob("*.json"))
    if refused:
        print(f"refused   {len(refused)} in {spool.refused}; the last: {_why(refused[-1])}")
    return 1 if settings.trouble or waiting or refused else 0


def _why(refused: Path) -> str:
    try:
        return refused.with_suffix(".why").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:  # there was no room for it, or no time
        return "its reason could not be kept"


def _complain(given: argparse.Namespace, words: str) -> int:
    if not given.quiet:
        print(f"tocsin-report: {one_line(words)}", file=sys.stderr)
    return 1


_COMMANDS = {"send": _send, "flush": _flush, "test": _test, "status": _status}
