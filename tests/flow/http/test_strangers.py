"""500 idle strangers of each kind leave the others' requests served, for about the same CPU time of the server as without them."""

import contextlib
import resource
import smtplib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.support import running
from tests.support.cpu_noise import CPU_NOISE
from tests.support.loop_hold import serving_measured
from tests.support.ports import lasting_port
from tests.support.running import CLIENT, LOG, Running, serving

STRANGERS = 500
REQUESTS, MAILS = 150, 25
NO_PROXIES = "192.0.2.1"  # so that connections from this host are counted by address, as those of strangers are
HEAD = b"POST /v1/events HTTP/1.1\r\nHost: tocsin\r\n"
MAIL_START = b"EHLO stranger\r\nMAIL FROM:<a@b>\r\n"

KINDS: dict[str, tuple[bool, bytes]] = {
    "connected": (False, b""),
    "half a head": (False, HEAD),
    "half a body": (False, HEAD + b"Content-Length: 5000\r\n\r\n{"),
    "idle after a request": (False, b"GET /healthz HTTP/1.1\r\nHost: tocsin\r\n\r\n"),
    "mail, connected": (True, b""),
    "mail, greeted": (True, b"EHLO stranger\r\n"),
    "mail, guessing": (True, MAIL_START + b"RCPT TO:<guess-one@c>\r\nRCPT TO:<guess-two@c>\r\n"),
    "mail, reading nothing": (True, b"EHLO stranger\r\n" + b"NOOP\r\n" * 90),
}

# How much the worker takes at a time has tests of its own; what is loaded at the start is loaded once.
NOT_OF_REQUESTS = ("_decide_batch", "judge_events", "_fold", "_load_the_rest")


@dataclass
class Served:
    """A service, and the CPU time that one request and one mail cost it without strangers."""

    service: Running
    mail_port: int
    request_s: float = 0.0
    mail_s: float = 0.0

    def connect(self, number: int, *, to_mail: bool) -> socket.socket:
        """Connect from an address of its own: strangers of one address would be limited by that."""
        source = f"127.1.{number // 250}.{number % 250 + 1}"
        port = self.mail_port if to_mail else int(self.service.url.rpartition(":")[2])
        return socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))

    def cpu_s(self, work: Callable[[], object], times: int) -> float:
        """Return the CPU time that the server took for one of them."""
        process = psutil.Process(self.service.processes[-1].pid)
        before = process.cpu_times()
        for _ in range(times):
            work()
        after = process.cpu_times()
        return (after.user + after.system - before.user - before.system) / times

    def report(self) -> None:
        """Report a success, over a new connection."""
        event = {"agent": "a", "job": "b", "outcome": "success"}
        key = {"Authorization": f"Bearer {self.service.enrol_key}"}
        CLIENT.post(f"{self.service.url}/v1/events", json=event, headers=key).raise_for_status()

    def mail(self) -> None:
        """Report one by mail."""
        with smtplib.SMTP("127.0.0.1", self.mail_port, timeout=30) as client:
            client.sendmail("a@b", f"{self.service.enrol_key}@c", "Subject: Backup successful\r\n\r\nAll is well.\r\n")


@contextlib.contextmanager
def served(folder: Path, **settings: str) -> Iterator[Served]:
    port = lasting_port()
    mail = {"TOCSIN_MAIL_IN_PORT": str(port), "TOCSIN_MAIL_IN_A_MINUTE": "10000"}
    settings = {"TOCSIN_CONNECTIONS": str(STRANGERS - 100)} | settings  # fewer than there are strangers
    with serving(folder, TOCSIN_TRUSTED_PROXIES=NO_PROXIES, **mail, **settings) as service:
        yield Served(service, port)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service whose costs were measured while nobody else was there."""
    allow_sockets(2 * STRANGERS)
    with served(tmp_path_factory.mktemp("strangers") / "var") as here:
        for _ in range(2):  # the first round warms up
            here.request_s = here.cpu_s(here.report, REQUESTS)
            here.mail_s = here.cpu_s(here.mail, MAILS)
        yield here


def allow_sockets(number: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number and hard >= number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))


@contextlib.contextmanager
def strangers(here: Served, kind: str, count: int = STRANGERS) -> Iterator[list[socket.socket]]:
    to_mail, start = KINDS[kind]
    with contextlib.ExitStack() as stack:
        found = []
        for number in range(count):
            found.append(stack.enter_context(here.connect(number, to_mail=to_mail)))
            if start:
                found[-1].sendall(start)
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_strangers_neither_shut_out_the_others_nor_make_them_dearer(alone: Served, kind: str):
    with strangers(alone, kind):
        request_s = alone.cpu_s(alone.report, REQUESTS)
        mail_s = alone.cpu_s(alone.mail, MAILS)
    print(f"{kind}: {request_s / alone.request_s:.1f} times a request, {mail_s / alone.mail_s:.1f} times a mail")  # noqa: T201  (shown with -s)
    assert request_s < 2 * alone.request_s + 0.001, f"{alone.request_s=}"
    assert mail_s < 2 * alone.mail_s + 0.005, f"{alone.mail_s=}"


@pytest.mark.slow
def test_strangers_do_not_hold_the_loop(tmp_path: Path):
    allow_sockets(2 * STRANGERS)
    port = lasting_port()
    settings = {
        "TOCSIN_MAIL_IN_PORT": str(port),
        "TOCSIN_MAIL_IN_A_MINUTE": "10000",
        "TOCSIN_CONNECTIONS": str(STRANGERS - 100),
    }
    with serving_measured(tmp_path / "var", TOCSIN_TRUSTED_PROXIES=NO_PROXIES, **settings) as (service, holds):
        here = Served(service, port)
        for _ in range(20):
            here.report()
            here.mail()
        holds.forget()
        for kind in KINDS:
            with strangers(here, kind):
                for _ in range(10):
                    here.report()
                here.mail()
            longest = holds.longest(without=NOT_OF_REQUESTS)
            assert longest.seconds < 0.05 * CPU_NOISE, f"{kind}: {longest}"


@pytest.mark.slow
def test_where_few_files_may_be_opened_there_are_fewer_places_and_the_log_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    few = 300
    start = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({few}, {few})); from app.cli.serve import serve; serve()"
    monkeypatch.setattr(running, "SERVE", ["-c", start])
    with served(tmp_path / "var") as here:
        with contextlib.ExitStack() as stack:
            for kind in ("half a body", "mail, greeted"):
                stack.enter_context(strangers(here, kind, 100))
            for _ in range(5):
                here.report()
                here.mail()
        log = (here.service.folder / LOG).read_text(encoding="utf-8")
    assert "the limit of open files is too low for all connections" in log
    assert log.count("all places for connections are taken") == 2, "once for each listener"
    assert "Too many open files" not in log
