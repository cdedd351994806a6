#!/usr/bin/env python3
"""A plugin for Nagios, Icinga, Naemon and Checkmk that checks the state of backups in Tocsin. One file, Python 3.9 or later, no libraries.

It follows the Monitoring Plugins' guidelines: exit status 0 to 3, ranges, performance data, `-t`. It exits with 3
(UNKNOWN) when the state cannot be read: no such job, nothing matches, states that are not up to date, and every error.
"""

from __future__ import annotations

import argparse
import http.client
import json
import math
import os
import re
import signal
import ssl
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NoReturn

VERSION = "1.0"
OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3
WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_SEVERITY = (0, 2, 3, 1)  # of OK, WARNING, CRITICAL, UNKNOWN: what is known to be bad outranks what is not known
_STATES = {"ok": OK, "warning": WARNING, "unclear": WARNING, "new": UNKNOWN}
_STATES.update(dict.fromkeys(("failed", "missed", "overrun"), CRITICAL))
_VERDICTS = {"ok": OK, "warning": WARNING, "critical": CRITICAL, "unknown": UNKNOWN}
_COUNTS = ("failed", "missed", "overrun", "unclear", "warning", "new", "ok")
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = 300  # characters of one line of a job's message
_ANSWER_MOST = 10_000_000  # bytes
_LISTED = 20
_LONGEST_WAIT = 3600  # seconds
# A text of a backup tool must neither end the line, begin performance data, nor be HTML in a web page.
_UNSAFE = {**dict.fromkeys((*range(32), 127), " "), ord("|"): "/", ord("<"): "[", ord(">"): "]"}


class CannotTell(Exception):
    """Why the state is not known."""


class TimeIsUp(Exception):
    """The time-out of the whole check has passed."""


@dataclass
class CheckResult:
    """What was found: a state, a line, further lines, and performance data as (name, value, unit, warning, critical)."""

    state: int
    text: str
    more: list[str] = field(default_factory=list)
    performance: list[tuple[str, float, str, str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Range:
    """A range of the plugins' guidelines: an alert outside of it, or with @ inside. Its ends may have a unit of time (`26h`)."""

    low: float
    high: float
    is_inside: bool
    written: str

    def alerts(self, value: float) -> bool:
        """Return whether the value is to be alerted of."""
        return (self.low <= value <= self.high) is self.is_inside

    @classmethod
    def read(cls, written: str) -> Range:
        """Read a range. Raises argparse.ArgumentTypeError."""
        found = re.fullmatch(r"(@?)(?:(~|[\d.]+[smhdw]?):)?([\d.]+[smhdw]?)?", written)
        if found is None or written in ("", "@"):
            raise argparse.ArgumentTypeError(f"{written!r} is not a range such as 10, 10:, ~:10, 10:20, @10:20 or 26h")
        inside, low, high = found.groups()
        bottom = -math.inf if low == "~" else _number(low or "0")
        top = _number(high) if high else math.inf
        if bottom > top:
            raise argparse.ArgumentTypeError(f"{written!r}: the first number is larger than the second")
        ends = ("~:" if low == "~" else f"{_plain(bottom)}:" if low else "") + (_plain(top) if high else "")
        return cls(bottom, top, bool(inside), f"{inside}{ends}")


def _plain(number: float) -> str:
    """Return a number without an exponent, which performance data must not have."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _number(text: str) -> float:
    unit = text[-1] if text[-1] in "smhdw" else ""
    try:
        return float(text[: len(text) - len(unit)]) * _UNITS[unit]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


def _seconds(text: str) -> float:
    """Read a time-out. Without an upper end, or with 0, the check would wait for ever."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0 < found <= _LONGEST_WAIT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0 and up to {_LONGEST_WAIT}")
    return found


class _Parser(argparse.ArgumentParser):
    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """Exit with 3 after --help and --version too, as the guidelines say: a wrong command line must not look like OK."""
        super().exit(status or UNKNOWN, message)

    def error(self, message: str) -> NoReturn:
        """Exit with 3: argparse's own status 2 would be CRITICAL."""
        print(f"TOCSIN UNKNOWN - {message}. See --help.")
        sys.exit(UNKNOWN)


def read_arguments(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    shared = _Parser(add_help=False)
    shared.add_argument("-U", "--url", required=True, help="address of Tocsin, such as https://tocsin.example.org")
    shared.add_argument(
        "-k", "--key", default="", help="key of kind monitor; other users of this host can see it, so prefer --key-file"
    )
    shared.add_argument("-K", "--key-file", type=Path, help="file that contains the key")
    shared.add_argument("--ca-file", type=Path, help="file with the CA certificates to trust (PEM)")
    shared.add_argument("-t", "--timeout", type=_seconds, default=10, help="seconds for the whole check (default: 10)")
    shared.add_argument(
        "--checkmk", metavar="SERVICE", help="print the result as a Checkmk local check with this service name"
    )
    of_jobs = _Parser(add_help=False)
    of_jobs.add_argument(
        "-w",
        "--warning",
        type=Range.read,
        help="range for WARNING; mode job: age of the last success; other modes: number of jobs that failed, were missed or run too long; without it, each is a WARNING",
    )
    of_jobs.add_argument("-c", "--critical", type=Range.read, help="the same range for CRITICAL")
    of_jobs.add_argument(
        "-r", "--report-age", type=Range.read, help="range for the age of the newest report; CRITICAL if it is outside"
    )
    parser = _Parser(
        prog="check_tocsin",
        description="Check the state of backups in Tocsin.",
        epilog="Ranges: 10 (alert below 0 or above 10), 10: (below 10), ~:10 (above 10), 10:20 (outside), @10:20 (inside). "
        "Ages can have a unit, s, m, h, d or w: 26h. Exit status: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"check_tocsin {VERSION}")
    modes = parser.add_subparsers(dest="mode", required=True, metavar="MODE")
    job = modes.add_parser("job", parents=[shared, of_jobs], help="one job of an agent")
    job.add_argument("-a", "--agent", required=True, help="name of the agent")
    job.add_argument("-j", "--job", required=True, help="name of the job")
    job.add_argument("-C", "--customer", help="name of the customer, if several have an agent of this name")
    jobs = modes.add_parser("jobs", parents=[shared, of_jobs], help="all jobs that match")
    jobs.add_argument(
        "-m",
        "--match",
        action="append",
        required=True,
        help="condition such as agent~sql* or label:site=hq; can be repeated",
    )
    customer = modes.add_parser("customer", parents=[shared, of_jobs], help="all jobs of a customer")
    customer.add_argument("-C", "--customer", required=True, help="name of the customer")
    agent = modes.add_parser("agent", parents=[shared, of_jobs], help="all jobs of an agent")
    agent.add_argument("-a", "--agent", required=True, help="name of the agent")
    agent.add_argument("-C", "--customer", help="name of the customer")
    modes.add_parser("summary", parents=[shared, of_jobs], help="all jobs")
    modes.add_parser("service", parents=[shared], help="Tocsin itself: database, worker, transports")
    return parser.parse_args(words)


class Tocsin:
    """The service's API, with a key."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._url: str = arguments.url.rstrip("/")
        if not re.match(r"https?://", self._url):
            raise CannotTell("the address must begin with http:// or https://")
        self._key: str = arguments.key
        if arguments.key_file is not None:
            try:
                self._key = arguments.key_file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeError) as cause:
                raise CannotTell(f"the key file cannot be read: {cause}") from None
        # http.client shows a header that it refuses in its error: the key would stand in the output of the check.
        if re.fullmatch(r"[\x21-\x7e]*", self._key) is None:
            raise CannotTell("the key must be one line of letters, digits and signs, without spaces")
        self._timeout: float = arguments.timeout
        try:
            context = ssl.create_default_context(cafile=arguments.ca_file)
        except OSError as cause:
            raise CannotTell(f"the file with CA certificates cannot be read: {cause}") from None
        # No proxy and no redirect: both would send the key elsewhere.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _NoRedirect()
        )

    def get(self, path: str, asked: list[tuple[str, str]], accept: tuple[int, ...] = (200,)) -> Any:  # noqa: ANN401
        """Return the JSON of an answer. Raises CannotTell."""
        headers = {"Accept": "application/json", "User-Agent": f"check_tocsin/{VERSION}"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(f"{self._url}{path}?{urllib.parse.urlencode(asked)}", headers=headers)  # noqa: S310
        try:
            try:
                with self._opener.open(request, timeout=self._timeout) as answer:
                    status, body = answer.status, answer.read(_ANSWER_MOST)
            except urllib.error.HTTPError as refused:
                with refused:
                    status, body = refused.code, refused.read(_ANSWER_MOST)
        except http.client.HTTPException as cause:  # such as another protocol on this port
            raise CannotTell(f"the answer is not HTTP: {cause!r}") from None
        except (OSError, ValueError) as cause:
            raise CannotTell(f"Tocsin does not answer: {getattr(cause, 'reason', cause)}") from None
        try:
            found = json.loads(body)
        except ValueError:
            raise CannotTell(f"HTTP {status}, but the answer is not from Tocsin") from None
        if status not in accept:
            detail = found.get("detail") if isinstance(found, dict) else None
            raise CannotTell(f"HTTP {status}: {detail or 'refused'}")
        return found


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:  # noqa: ANN401
        """Follow none."""


def check_service(tocsin: Tocsin) -> CheckResult:
    """Return how the service itself is. One that does not answer is CRITICAL."""
    try:
        found = tocsin.get("/readyz", [], accept=(200, 503))
        checks = [(str(one["name"]), str(one["status"]), str(one["detail"])) for one in found["checks"]]
        state = {"ok": OK, "warning": WARNING, "failed": CRITICAL}.get(found["status"], UNKNOWN)
    except CannotTell as cause:
        return CheckResult(CRITICAL, str(cause))
    wrong = [f"{name}: {detail}" for name, status, detail in checks if status != "ok"]
    text = "; ".join(wrong) or f"{len(checks)} checks are ok"
    return CheckResult(state, text, performance=[("checks_not_ok", len(wrong), "", "", "")])


def check_job(tocsin: Tocsin, arguments: argparse.Namespace) -> CheckResult:
    """Return how one job stands."""
    match = [("match", f"agent={arguments.agent}"), ("match", f"job={arguments.job}"), *_of_customer(arguments)]
    status = tocsin.get("/v1/status", [*match, ("worst", "0")])
    jobs: list[dict[str, Any]] = []
    cursor: list[tuple[str, str]] = []
    while True:  # many customers may have such a job, and the one that failed may be on the last page
        page = tocsin.get("/v1/status/jobs", [*match, ("limit", "200"), *cursor])
        jobs += page["items"]
        if page["next"] is None:
            break
        cursor = [("cursor", page["next"])]
    if not jobs:
        raise CannotTell(f"there is no job {arguments.job} of an agent {arguments.agent}")
    findings = [_judge_job(job, arguments) for job in jobs]
    worst = max(findings, key=lambda finding: _SEVERITY[finding.state])
    worst.more = [finding.text for finding in findings][:_LISTED] if len(findings) > 1 else []
    if status["counts"]["silent_agents"]:  # the last report may have been good, and nothing more comes
        worst.state, worst.text = CRITICAL, f"{worst.text}; the agent is silent"
    return _with_status(worst, status, arguments)


def _judge_job(job: dict[str, Any], arguments: argparse.Namespace) -> CheckResult:
    state = _STATES.get(job["state"], UNKNOWN)
    age = _age(job["last_success_at"])
    text = f"{job['agent']}: {job['job']} ({job['activity']}) is {job['state']}"
    text += ", it never succeeded" if age is None else f", last success {_long(age)} ago"
    if state != OK and job["message"]:
        text += f": {job['message'][:_LONGEST]}"
    for level, limit in ((WARNING, arguments.warning), (CRITICAL, arguments.critical)):
        if limit is not None and limit.alerts(math.inf if age is None else age):
            state = max(state, level, key=lambda one: _SEVERITY[one])
    performance = (
        [("age", float(age), "s", _written(arguments.warning), _written(arguments.critical))] if age is not None else []
    )
    for name, value, unit in (
        ("duration", job["duration_s"], "s"),
        ("processed", job["bytes_processed"], "B"),
        ("stored", job["bytes_stored"], "B"),
        ("failures", job["failures_in_row"], ""),
    ):
        if value is not None:
            performance.append((name, float(value), unit, "", ""))
    return CheckResult(state, text, performance=performance)


def check_many(tocsin: Tocsin, arguments: argparse.Namespace) -> CheckResult:
    """Return how all jobs that match stand."""
    match = [("match", one) for one in getattr(arguments, "match", [])] + _of_customer(arguments)
    if getattr(arguments, "agent", None) is not None:
        match.append(("match", f"agent={arguments.agent}"))
    status = tocsin.get("/v1/status", [*match, ("worst", str(_LISTED))])
    counts = {name: int(status["counts"].get(name, 0)) for name in ("jobs", *_COUNTS)}
    state = _VERDICTS.get(status["verdict"], UNKNOWN)
    bad = counts["failed"] + counts["missed"] + counts["overrun"]
    if state != UNKNOWN and (arguments.warning or arguments.critical):
        # The ranges decide how many may be bad. Without a range for WARNING, each of them is one, and so is what ended with warnings
        # or unclear: a limit for CRITICAL must not make a failure look well.
        is_known_bad = bad and not arguments.warning
        state = WARNING if is_known_bad or counts["warning"] + counts["unclear"] else OK
        if status["counts"]["silent_agents"] or (arguments.critical and arguments.critical.alerts(bad)):
            state = CRITICAL
        elif arguments.warning and arguments.warning.alerts(bad):
            state = WARNING
    found = CheckResult(state, f"{status['reason']} ({counts['jobs']} jobs)")
    found.more = [
        f"{job['state'].upper()} {job['customer']}: {job['agent']}: {job['job']}"
        + (f": {job['message'][:_LONGEST]}" if job["message"] else "")
        for job in status["worst"]
    ]
    limits = _written(arguments.warning), _written(arguments.critical)
    found.performance = [("bad", bad, "", *limits), *((name, counts[name], "", "", "") for name in counts)]
    return _with_status(found, status, arguments)


def _with_status(found: CheckResult, status: dict[str, Any], arguments: argparse.Namespace) -> CheckResult:
    """Return a finding together with whether states are up to date, and the age of the newest report."""
    if not status["is_current"] and found.state in (OK, WARNING, UNKNOWN):
        found.state, found.text = UNKNOWN, f"states are not up to date: {status['reason']}"
    age = status["newest_report_age_s"]
    if arguments.report_age is not None:
        if arguments.report_age.alerts(math.inf if age is None else age):
            found.state = CRITICAL
            found.text += ", nothing was reported" if age is None else f", newest report {_long(age)} ago"
        if age is not None:
            found.performance.append(("report_age", float(age), "s", "", arguments.report_age.written))
    return found


def _of_customer(arguments: argparse.Namespace) -> list[tuple[str, str]]:
    customer = getattr(arguments, "customer", None)
    return [] if customer is None else [("match", f"customer={customer}")]


def _age(moment: str | None) -> float | None:
    if moment is None:
        return None
    at = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    return max(0.0, (datetime.now(timezone.utc) - at).total_seconds())


def _long(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"


def _written(limit: Range | None) -> str:
    return "" if limit is None else limit.written


def shown(found: CheckResult, service: str | None) -> str:
    """Return the output for Nagios, or as a Checkmk local check."""
    text = found.text.translate(_UNSAFE)
    more = [line.translate(_UNSAFE) for line in found.more]
    if service is not None:
        values = "|".join(f"{name}={_plain(value)}" for name, value, *_ in found.performance) or "-"
        name = service.translate(_UNSAFE).replace('"', "'")
        return f'{found.state} "{name}" {values} ' + "\\n".join([text, *more]).replace("\r", " ")
    values = " ".join(
        f"{name}={_plain(value)}{unit};{warning};{critical};0"
        for name, value, unit, warning, critical in found.performance
    )
    line = f"TOCSIN {WORDS[found.state]} - {text}" + (f" | {values}" if values else "")
    return "\n".join([line, *more])


_LATE_S = 1.0  # after the signal, which ends all but a look-up of a name


def _stop(*_: object) -> NoReturn:
    raise TimeIsUp


def _end_late(arguments: argparse.Namespace) -> None:
    """Print that there is no answer, and end. A look-up of a name that hangs blocks the signal, and the monitoring system would wait."""
    found = _no_answer(arguments, arguments.timeout)
    sys.stdout.buffer.write((shown(found, arguments.checkmk) + "\n").encode())
    sys.stdout.flush()
    os._exit(OK if arguments.checkmk is not None else found.state)


def _no_answer(arguments: argparse.Namespace, seconds: float) -> CheckResult:
    return CheckResult(CRITICAL if arguments.mode == "service" else UNKNOWN, f"no answer within {seconds:.0f} s")


def main(words: list[str] | None = None) -> int:
    """Check, print, and return the exit status."""
    arguments = read_arguments(words)
    begun = time.monotonic()
    late = threading.Timer(arguments.timeout + _LATE_S, _end_late, [arguments])
    late.daemon = True
    late.start()
    if hasattr(signal, "setitimer"):
        signal.signal(signal.SIGALRM, _stop)
        signal.setitimer(signal.ITIMER_REAL, arguments.timeout)
    is_service = arguments.mode == "service"
    try:
        tocsin = Tocsin(arguments)
        if is_service:
            found = check_service(tocsin)
        else:
            found = check_job(tocsin, arguments) if arguments.mode == "job" else check_many(tocsin, arguments)
    except CannotTell as cause:
        found = CheckResult(UNKNOWN, str(cause))
    except TimeIsUp:
        found = _no_answer(arguments, time.monotonic() - begun)
    except Exception as cause:  # noqa: BLE001  (Python would exit with 1, which is WARNING)
        found = CheckResult(UNKNOWN, f"the answer cannot be read: {cause!r}")
    late.cancel()
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
    output = shown(found, arguments.checkmk) + "\n"
    sys.stdout.buffer.write(output.encode("utf-8", "replace"))
    sys.stdout.flush()
    return OK if arguments.checkmk is not None else found.state


if __name__ == "__main__":
    sys.exit(main())
