"""The reporter's client over TLS and through proxies, and before servers that are wrong or hostile: an answer, or none, soon."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from programs.protocol.http_client import NoAnswer
from programs.reporter.client import EventsClient, EventsRefused
from programs.reporter.settings import BadReporterSettings, ReporterSettings
from tests.support.answers import answering_in_turn
from tests.support.wrong_server import answering, tls

EVENT = {"key": "k", "job": "j", "outcome": "failure"}
TAKEN = b'{"accepted":1,"duplicates":0,"rejected":[]}'
GOOD = b"HTTP/1.1 202 Accepted\r\nContent-Length: %d\r\n\r\n%s" % (len(TAKEN), TAKEN)
HEAD = b"HTTP/1.1 202 Accepted\r\n"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def ask(url: str, seconds: float = 5, **settings: str):
    return EventsClient(ReporterSettings(url, "a-key", **settings)).post([EVENT], time.monotonic() + seconds)


def test_an_answer_is_read():
    with answering([GOOD]) as port:
        assert ask(f"http://127.0.0.1:{port}").accepted == 1


def test_tls_is_verified_with_our_own_authority_where_one_is_set(tmp_path: Path):
    authority, stranger = trustme.CA(), trustme.CA()
    for name, one in (("ca.pem", authority), ("other.pem", stranger)):
        one.cert_pem.write_to_path(tmp_path / name)
    with answering([GOOD], tls=tls(authority.issue_cert("127.0.0.1"))) as port:
        assert ask(f"https://127.0.0.1:{port}", ca_file=str(tmp_path / "ca.pem")).accepted == 1
        for wrong in ({"ca_file": str(tmp_path / "other.pem")}, {}):
            with pytest.raises(NoAnswer, match="CERTIFICATE_VERIFY_FAILED"):
                ask(f"https://127.0.0.1:{port}", **wrong)
    with answering([GOOD], tls=tls(authority.issue_cert("tocsin.example.org"))) as port, pytest.raises(NoAnswer):
        ask(f"https://127.0.0.1:{port}", ca_file=str(tmp_path / "ca.pem"))


def test_a_proxy_of_the_environment_is_asked_for_the_whole_address(monkeypatch: pytest.MonkeyPatch):
    with answering_in_turn([(202, {}, TAKEN)]) as asked:
        monkeypatch.setenv("http_proxy", f"http://user:p%40ss@127.0.0.1:{asked.port}")
        assert ask("http://tocsin.example.org:81/base/").accepted == 1
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert ask(f"http://127.0.0.1:{asked.port}").accepted == 1
    assert [path for path, _ in asked.requests] == ["http://tocsin.example.org:81/base/v1/events", "/v1/events"]


def test_tls_goes_through_a_proxy_and_is_verified_behind_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with answering([GOOD], tls=tls(authority.issue_cert("tocsin.example.org"))) as port, tunnel_to(port) as heads:
        monkeypatch.setenv("https_proxy", f"http://user:pass@127.0.0.1:{heads[0]}")
        assert ask("https://tocsin.example.org", ca_file=str(tmp_path / "ca.pem")).accepted == 1
    assert heads[1].startswith(b"CONNECT tocsin.example.org:443 HTTP/1.")
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNz" in heads[1]
    assert b"a-key" not in heads[1], "the key is for the service alone"


@contextmanager
def tunnel_to(port: int) -> Iterator[list]:
    """A proxy that opens one tunnel; yields its port, and the head that it was sent."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        heads: list = [listening.getsockname()[1]]
        thread = threading.Thread(target=_tunnel, args=(listening, port, heads), daemon=True)
        thread.start()
        yield heads
        thread.join(10)


def _tunnel(listening: socket.socket, port: int, heads: list) -> None:
    near, _ = listening.accept()
    with near, socket.create_connection(("127.0.0.1", port)) as far:
        heads.append(near.recv(65536))
        near.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join(10)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


WRONG = {
    "no HTTP at all": b"\x16\x03\x01 go away\r\n\r\n",
    "nothing": b"",
    "a page": HEAD + b"Content-Length: 13\r\n\r\n<html></html>",
    "an array": HEAD + b"Content-Length: 2\r\n\r\n[]",
    "a redirect": b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "a body that is cut": HEAD + b"Content-Length: 500\r\n\r\n{",
    "broken chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    "a number without an end": HEAD + b'\r\n{"accepted": ' + b"9" * 100_000 + b"}",
    "a deep one": HEAD + b"\r\n" + b"[" * 100_000,
    "one without an end": HEAD + b"\r\n" + b"x" * 3_000_000,
    "a head without an end": b"HTTP/1.1 202 OK\r\n" + b"X: y\r\n" * 5000,
    "a place below zero": HEAD + b'\r\n{"accepted": 0, "rejected": [{"index": -1}]}',
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_no_answer(words: bytes):
    with answering([words]) as port:
        started = time.monotonic()
        with pytest.raises(NoAnswer):
            ask(f"http://127.0.0.1:{port}")
        assert time.monotonic() - started < 20


def test_an_answer_that_comes_too_slowly_is_abandoned_at_the_deadline():
    with answering([HEAD, *[b"X: y\r\n"] * 300], 0.1) as port:
        started = time.monotonic()
        with pytest.raises(NoAnswer, match="no whole answer within 1 s"):
            ask(f"http://127.0.0.1:{port}", seconds=1)
        assert time.monotonic() - started < 20


def test_a_refusal_of_all_names_each_or_is_unfit():
    problem = {
        "status": 422,
        "code": "bad_time",
        "detail": "x",
        "rejected": [{"index": 0, "code": "bad_time", "detail": "x"}],
    }
    with answering_in_turn(
        [(422, {}, json.dumps(problem).encode()), (413, {}, b"nginx"), (415, {}, b'{"code": "wrong_type"}')]
    ) as asked:
        assert ask(f"http://127.0.0.1:{asked.port}").rejected[0].code == "bad_time"
        for _ in range(2):
            with pytest.raises(EventsRefused):
                ask(f"http://127.0.0.1:{asked.port}")


@pytest.mark.parametrize(
    "url", ["tocsin.example.org", "ftp://x", "http://", "http://u:p@x", "http://x?y", "http://[::1", "http://x:99999"]
)
def test_an_address_that_cannot_be_used_is_refused(url: str):
    with pytest.raises(BadReporterSettings):
        EventsClient(ReporterSettings(url, "a-key"))
