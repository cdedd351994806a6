"""The relay's client before servers that are wrong, slow or hostile: it says that there is no answer, soon, and goes on."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme

from programs.protocol.http_client import BadAddress, KeyRejected, NoAnswer
from programs.protocol.relay import LeaseClaim
from programs.relay.client import RelayClient
from tests.support.wrong_server import answering, tls

CLAIM = LeaseClaim("msg_1", "t1")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def body(data: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(data), data)


@contextmanager
def service(*pieces: bytes, pause_s: float = 0, patience_s: float = 5) -> Iterator[RelayClient]:
    with answering(pieces, pause_s) as port:
        client = RelayClient(f"http://127.0.0.1:{port}", "a-key", patience_s=patience_s)
        yield client
        client.close()


WRONG = {
    "no HTTP at all": b"\x16\x03\x01 go away\r\n\r\n",
    "nothing": b"",
    "a page": body(b"<html>Welcome to the hotel's network</html>"),
    "an array": body(b"[]"),
    "no shape of ours": body(b'{"claims": "all"}'),
    "a deep one": body(b"[" * 100_000),
    "a number without an end": body(b'{"claims": %s}' % (b"9" * 1_000_000)),
    "too many": body(json.dumps({"claims": [{"id": "m", "token": "t"}] * 5000}).encode()),
    "a redirect": b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    "an error": b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
    "a body that is cut": HEAD + b"Content-Length: 500\r\n\r\n{",
    "broken chunks": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    "a length below zero": HEAD + b"Content-Length: -5\r\n\r\n{",
    "a packed body": HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
    "a head without an end": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000,
    "one long line": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000,
}


@pytest.mark.parametrize("words", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_no_answer_and_nothing_may_be_sent(words: bytes):
    with service(words) as client:
        started = time.monotonic()
        with pytest.raises(NoAnswer):
            client.begin(CLAIM)
        assert time.monotonic() - started < 20


def test_a_body_without_an_end_is_read_no_further_than_agreed():
    with service(HEAD + b"\r\n", *[b" " * 1_000_000] * 20) as client, pytest.raises(NoAnswer, match="more than"):
        client.begin(CLAIM)


def test_an_answer_that_comes_too_slowly_is_abandoned():
    drops = [bytes([one]) for one in body(json.dumps({"claims": [CLAIM.__dict__]}).encode())]
    with service(*drops, pause_s=0.2, patience_s=1) as client:
        started = time.monotonic()
        with pytest.raises(NoAnswer, match="no whole answer"):
            client.begin(CLAIM)
        assert time.monotonic() - started < 20


def test_a_rejected_key_has_an_error_of_its_own():
    with (
        service(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n") as client,
        pytest.raises(KeyRejected, match="make a new one"),
    ):
        client.begin(CLAIM)


def test_only_what_was_asked_for_may_begin():
    other = json.dumps({"claims": [{"id": "msg_2", "token": "t1"}, {"id": "msg_1", "token": "t2"}]}).encode()
    with service(body(other)) as client:
        assert client.begin(CLAIM) is False


def test_a_connection_that_was_closed_meanwhile_is_opened_again():
    good = body(json.dumps({"claims": [CLAIM.__dict__]}).encode())
    with service(good) as client:  # each connection is closed after its answer
        assert [client.begin(CLAIM) for _ in range(3)] == [True] * 3


@pytest.mark.parametrize(
    "server",
    [
        "http://tocsin.example.org",
        "ftp://x",
        "https://",
        "https://u:p@x",
        "https://x/?a=b",
        "tocsin:8000",
        "https://[::1",
    ],
)
def test_an_address_that_is_invalid_or_would_show_the_key_is_refused(server: str):
    with pytest.raises(BadAddress):
        RelayClient(server, "a-key")


def test_tls_is_verified_and_an_own_authority_is_believed_if_named(tmp_path: Path):
    ours, other = trustme.CA(), trustme.CA()
    for name, authority in (("ours", ours), ("other", other)):
        authority.cert_pem.write_to_path(str(tmp_path / name))
    good = body(json.dumps({"claims": [CLAIM.__dict__]}).encode())

    def begin(certificate: trustme.LeafCert, ca_file: str, host: str = "localhost") -> bool:
        with answering([good], tls=tls(certificate)) as port:
            client = RelayClient(f"https://{host}:{port}", "a-key", ca_file)
            try:
                return client.begin(CLAIM)
            finally:
                client.close()

    localhost = ours.issue_cert("localhost")
    assert begin(localhost, str(tmp_path / "ours")) is True
    for certificate, ca_file, host in (
        (localhost, "", "localhost"),
        (localhost, str(tmp_path / "other"), "localhost"),
        (ours.issue_cert("mail.example.org"), str(tmp_path / "ours"), "localhost"),
        (localhost, str(tmp_path / "ours"), "127.0.0.1"),
    ):
        with pytest.raises(NoAnswer, match="certificate"):
            begin(certificate, ca_file, host)


def test_closing_it_from_another_thread_ends_a_wait():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = RelayClient(f"http://127.0.0.1:{silent.getsockname()[1]}", "a-key", patience_s=30)
        threading.Timer(0.5, client.close).start()
        started = time.monotonic()
        with pytest.raises(NoAnswer):
            client.lease(30, 1, [])
        assert time.monotonic() - started < 10
